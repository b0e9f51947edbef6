"""Ctrl-C at an unlucky moment comes a moment later, so that nothing is left half done or undone.

A ``KeyboardInterrupt`` may be raised between any two instructions, also between those that register
a hook and those that would remove it again; no ``try`` closes all such gaps. So while a context of
this package is open, SIGINT is answered by a handler that knows what it interrupts: what opens or
closes such a context goes on to its end, and a few milliseconds later it is asked again. Anything
else is interrupted as ever.

Only the main thread is interrupted by Ctrl-C, and only Python's own handler is stood in for.
"""

from __future__ import annotations

import _thread
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import wraps
from types import CodeType, FrameType
from typing import Any, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_SOON = 0.005
# Between a context of this package and the ``with`` that holds it, as ``ExitStack``.
_PLUMBING = ExitStack.enter_context.__code__.co_filename


def uninterrupted(function: Callable[P, Iterator[T]]) -> Callable[P, AbstractContextManager[T]]:
    """As ``contextlib.contextmanager``, opened and closed as a whole, whenever Ctrl-C comes.

    >>> @uninterrupted
    ... def opened():
    ...     yield "whatever"
    >>> with opened() as given:
    ...     given
    'whatever'
    """
    make = contextmanager(function)

    @wraps(function)
    def made(*arguments: P.args, **named: P.kwargs) -> AbstractContextManager[T]:
        return _Whole(make(*arguments, **named))

    return made


class _Whole(AbstractContextManager[T], Generic[T]):
    def __init__(self, inside: AbstractContextManager[T]) -> None:
        self._inside, self._stands_in = inside, False

    def __enter__(self) -> T:
        self._stands_in = _stand_in()
        try:
            return self._inside.__enter__()
        except BaseException:
            self._step_back()
            raise

    def __exit__(self, *error: Any) -> bool | None:
        try:
            return self._inside.__exit__(*error)
        finally:
            self._step_back()

    def _step_back(self) -> None:
        if self._stands_in and _is_in_main_thread() and signal.getsignal(signal.SIGINT) is _answer:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            check()


_WHOLE: tuple[CodeType, ...] = (_Whole.__enter__.__code__, _Whole.__exit__.__code__)


class _State:
    """Whether Ctrl-C was pressed and has not been answered yet."""

    waiting = False


def check() -> None:
    """Where nothing is half done: raise the ``KeyboardInterrupt`` that was put off, if any was.

    >>> check()
    """
    if _State.waiting:
        _State.waiting = False
        raise KeyboardInterrupt


def _stand_in() -> bool:
    """Whether SIGINT is answered here from now on, and was not before."""
    if not _is_in_main_thread() or signal.getsignal(signal.SIGINT) != signal.default_int_handler:
        return False
    _State.waiting = False
    signal.signal(signal.SIGINT, _answer)
    return True


def _is_in_main_thread() -> bool:
    return threading.get_ident() == threading.main_thread().ident


def _answer(number: int, frame: FrameType | None) -> None:
    if not _is_unlucky(frame):
        _State.waiting = False
        signal.default_int_handler(number, frame)
    _State.waiting = True
    _thread.start_new_thread(_ask_again, ())  # a threading.Thread needs locks that may be held


def _ask_again() -> None:
    time.sleep(_SOON)
    if _State.waiting:
        _thread.interrupt_main()


def _is_unlucky(frame: FrameType | None) -> bool:
    """Whether what runs opens or closes a context."""
    if frame is not None and frame.f_code.co_filename == _PLUMBING:
        return True
    while frame is not None:
        if frame.f_code in _WHOLE:
            return True
        frame = frame.f_back
    return False

"""Who is looking at which modules: one thread at a time, each undoing only its own.

Hooks and modes belong to a module and not to a thread, so two threads that look at one network at
the same time would see each other's. Here a thread claims all the parts of what it runs, by
themselves and by their weights: whatever shares one of them waits. Two networks that share nothing
go on side by side.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from threading import get_ident
from typing import Any

from torch import Tensor, nn

from captum_blocks._interrupts import check, uninterrupted
from captum_blocks.errors import InvalidArgument

# Seconds after which a thread that waits looks whether Ctrl-C was pressed.
_MOMENT = 0.1
_MOVED = (
    "{name} {what} while it was being looked at, so these numbers are of no one state of it; where "
    "another thread trains it, give a copy: copy.deepcopy(model)"
)


class Claim:
    """What a thread holds until its context closes.

    Args:
        modules: with all their parts and weights.
        everything: also whatever else there is, of a function that does not say what it runs.

    Attributes:
        thread: whose it is.
        interfered: whether somebody switched it to training mode meanwhile.

    >>> claim = Claim([nn.Linear(2, 1)])
    >>> claim.meets(Claim([nn.ReLU()])), claim.meets(Claim([], everything=True))
    (False, True)
    """

    def __init__(self, modules: Iterable[nn.Module], everything: bool = False) -> None:
        self.thread, self.interfered, self._everything = get_ident(), False, everything
        self._roots = list(modules)
        # Parts are kept alive: another one may get the number of one that is gone.
        self._parts = [part for root in self._roots for part in root.modules()]
        self._weights = _weights_of(self._parts)
        self._numbers = frozenset(map(id, (*self._parts, *self._weights)))
        self._evaluated: list[nn.Module] = []
        self._versions: list[tuple[Tensor, int]] = []
        self._reweighted = False

    def covers(self, modules: Iterable[nn.Module], everything: bool) -> bool:
        """Whether a thread that has this claim needs no other one for these."""
        if self._everything or everything:
            return self._everything
        return all(id(module) in self._numbers for module in modules)

    def meets(self, other: Claim) -> bool:
        """Whether two threads cannot have these at the same time."""
        either = self._everything or other._everything
        return either or not self._numbers.isdisjoint(other._numbers)

    def begin(self) -> None:
        """Remember how it was when its turn came."""
        self._evaluated = [part for part in self._parts if not getattr(part, "training", False)]
        self.forgive()

    def forgive(self) -> None:
        """Take weights as they are now for those it began with."""
        self._versions = _versions(self._weights)

    def notice(self) -> None:
        """Remember whether its weights have changed, whatever is forgiven later."""
        changed = (weight._version != before for weight, before in self._versions)
        self._reweighted = self._reweighted or any(changed)

    def watch(self, module: nn.Module) -> None:
        """Take in what turned out to be run."""
        self._roots.append(module)
        self._versions += _versions(_weights_of(module.modules()))

    @property
    def moved(self) -> str:
        """That somebody changed it meanwhile, in words; empty where nothing shows."""
        what = ""
        self.notice()
        if self._reweighted:
            what = "got other weights"
        elif self.interfered or any(getattr(part, "training", False) for part in self._evaluated):
            what = "was put in training mode"
        if not what:
            return ""
        largest = max(self._roots, key=lambda root: len(list(root.modules())), default=None)
        return _MOVED.format(name=largest and largest._get_name(), what=what)


class _Register:
    """All claims of the process."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._claims: list[Claim] = []
        self._awaited: dict[int, set[int]] = {}

    def covering(self, modules: list[nn.Module], everything: bool) -> Claim | None:
        """This thread's own claim that has these already."""
        covering = (claim for claim in self.mine() if claim.covers(modules, everything))
        return next(covering, None)

    def mine(self) -> list[Claim]:
        """This thread's own claims."""
        thread = get_ident()
        return [claim for claim in tuple(self._claims) if claim.thread == thread]

    def add(self, claim: Claim) -> None:
        """Wait for those that hold a part of it."""
        with self._changed:
            try:
                while holders := self._in_the_way(claim):
                    self._awaited[claim.thread] = holders
                    self._changed.notify_all()  # whom it waits for need not wait for it
                    self._changed.wait(_MOMENT)
                    check()
            finally:
                self._awaited.pop(claim.thread, None)
            self._claims.append(claim)

    def drop(self, claim: Claim) -> None:
        """Let go of it, whether it was ever had or not."""
        with self._changed:
            self._claims = [each for each in self._claims if each is not claim]
            self._changed.notify_all()

    def _in_the_way(self, claim: Claim) -> set[int]:
        """The threads to wait for: not those that wait for this one, or all would for ever.

        What such a thread holds is in evaluation mode, and its hooks are for its own passes.
        """
        others = [each for each in self._claims if each.thread != claim.thread]
        return {
            each.thread
            for each in others
            if each.meets(claim) and not self._waits(each.thread, claim.thread)
        }

    def _waits(self, thread: int, for_: int) -> bool:
        awaited, known = [thread], set[int]()
        while awaited:
            one = awaited.pop()
            if one == for_:
                return True
            if one not in known:
                known.add(one)
                awaited.extend(self._awaited.get(one, ()))
        return False


_REGISTER = _Register()


@uninterrupted
def alone(*modules: nn.Module | None) -> Iterator[Claim]:
    """No other thread looks at these modules, or at what shares a part with them, meanwhile.

    A thread that has them already goes on with what it has. What other threads do to the modules
    without asking, such as training them, is warned of at the end.

    Args:
        modules: with all their parts; None among them: whatever there is.

    Raises:
        InvalidArgument: it ended with an error, and somebody changed them meanwhile.

    >>> net = nn.Sequential(nn.ReLU())
    >>> with alone(net) as outer, alone(net[0]) as inner:
    ...     outer is inner
    True
    """
    wanted, everything = _with_what_they_stand_for(modules), any(m is None for m in modules)
    held = _REGISTER.covering(wanted, everything)
    if held is not None:
        yield held
        return
    claim = Claim(wanted, everything)
    try:
        _REGISTER.add(claim)
        claim.begin()
        yield claim
        moved = claim.moved  # before the next thread's turn
    except Exception as error:
        if claim.moved:
            raise InvalidArgument(f"{claim.moved}. It ended with: {error}") from error
        raise
    finally:
        try:
            _REGISTER.drop(claim)
        except KeyboardInterrupt:
            _REGISTER.drop(claim)  # what was left when Ctrl-C came in here
            raise
    if moved:
        warnings.warn(moved, stacklevel=7)


@uninterrupted
def own_weights_change() -> Iterator[None]:
    """What happens to weights meanwhile is this thread's own doing, and undone by it.

    >>> net = nn.Linear(1, 1)
    >>> with alone(net), own_weights_change():
    ...     _ = net.weight.detach().add_(0)
    """
    for claim in _REGISTER.mine():
        claim.notice()
    try:
        yield
    finally:
        for claim in _REGISTER.mine():
            claim.forgive()


def in_this_thread(hook: Callable[..., Any]) -> Callable[..., Any]:
    """A hook for the passes of the thread that makes it: others' go on as if it were not there.

    Threads of PyTorch's own engine, which runs checkpointed parts again, count as this one.

    >>> in_this_thread(len)([1, 2])
    2
    """
    thread = get_ident()

    def mine(*arguments: Any) -> Any:
        return hook(*arguments) if get_ident() == thread or not _is_of_python() else None

    return mine


def _is_of_python() -> bool:
    """Whether this thread was started by Python."""
    dummy = threading._DummyThread  # type: ignore[attr-defined]
    started = (one for one in threading.enumerate() if not isinstance(one, dummy))
    return get_ident() in {one.ident for one in started}


def _with_what_they_stand_for(modules: Iterable[nn.Module | None]) -> list[nn.Module]:
    found, left = list[nn.Module](), list(modules)
    while left:
        module = left.pop(0)
        if isinstance(module, nn.Module):
            found.append(module)
            left.append(getattr(module, "stands_for", None))
    return found


def _weights_of(parts: Iterable[nn.Module]) -> list[Tensor]:
    held = (weight for part in parts for weight in part._parameters.values())
    return [weight for weight in held if weight is not None]


def _versions(weights: Iterable[Tensor]) -> list[tuple[Tensor, int]]:
    # Tensors made under inference_mode count no versions.
    return [(weight, weight._version) for weight in weights if not weight.is_inference()]

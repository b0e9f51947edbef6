"""Words of the grammar as frozen data that survive a round trip through JSON.

A spec holds names and JSON scalars only; tensors, functions and fitted objects are named with
``Given`` and handed over when an interface is explained. Loading looks words up in a registry: it
never imports and never unpickles.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import MISSING, fields
from math import isfinite
from typing import Any, TypeVar

from captum_blocks.errors import (
    BlocksError,
    InvalidArgument,
    UnknownName,
    WrongType,
    did_you_mean,
)
from captum_blocks.grammar.fitting import fits, hints_of

VERSION = 1
MOST_DEEP = 64
MOST_TEXT = 2**24
MOST_DIGITS = 18
WORDS: dict[str, Any] = {}

T = TypeVar("T", bound=type)


def word(cls: T) -> T:
    """Register a frozen dataclass as a word of the grammar."""
    WORDS[cls.__name__] = cls
    return cls


def is_word(value: Any) -> bool:
    """Whether a value is a word of the grammar."""
    return WORDS.get(type(value).__name__) is type(value)


def call(value: Any) -> str:
    """The call that makes a word, without what is as usual.

    >>> from captum_blocks.grammar import Activation, Hidden, InfoVis
    >>> InfoVis(Activation(Hidden("layer3").channels), title="How much")
    InfoVis(Activation(Hidden('layer3').channels), title='How much')
    """
    first, *others = fields(value)
    words = [repr(getattr(value, first.name))]
    for item in others:
        held = getattr(value, item.name)
        if held != item.default:
            words.append(f"{item.name}={held!r}")
    return f"{type(value).__name__}({', '.join(words)})"


def encode(value: Any) -> Any:
    """A word, a tuple or a scalar as JSON data; fields at their default are left out."""
    if is_word(value):
        data = {"word": type(value).__name__}
        for item in fields(value):
            held = getattr(value, item.name)
            if item.default is MISSING or held != item.default:
                data[item.name] = encode(held)
        return data
    if isinstance(value, tuple):
        return [encode(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise InvalidArgument(
        f"a {type(value).__name__} cannot stand in a spec; "
        "name it with Given('name') and pass given={'name': ...}"
    )


def decode(data: Any, path: str = "spec", depth: int = 0) -> Any:
    """The inverse of ``encode``.

    Args:
        data: what a JSON text holds.
        path: where it stands in the text, for the messages.
        depth: how many lists and words it stands in.

    Raises:
        BlocksError: an unknown word or field, a value that a field cannot hold; with its path.
    """
    if depth > MOST_DEEP:
        raise InvalidArgument(f"this spec is nested too deeply to be one (at {_short(path)})")
    if isinstance(data, list):
        return tuple(decode(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(data))
    if not isinstance(data, dict):
        return data
    name = data.get("word")
    if not isinstance(name, str) or name not in WORDS:
        hint = did_you_mean(str(name), WORDS) if isinstance(name, str) else ""
        raise UnknownName(f"no word {_short(name)} in the grammar{hint} (at {path})")
    known = {item.name for item in fields(WORDS[name])}
    if unknown := sorted(set(data) - known - {"word"}):
        hint = did_you_mean(unknown[0], known)
        raise InvalidArgument(f"{name} has no field {_short(unknown[0])}{hint} (at {path})")
    parts = {
        key: decode(value, f"{path}.{key}", depth + 1)
        for key, value in data.items()
        if key != "word"
    }
    return _made(WORDS[name], parts, path)


def _made(cls: Any, parts: dict[str, Any], path: str) -> Any:
    """A word of its fields, which are checked as its own call would, and by their types."""
    made = object.__new__(cls)
    for item in fields(cls):
        object.__setattr__(made, item.name, parts.get(item.name, item.default))
        if getattr(made, item.name) is MISSING:
            raise InvalidArgument(f"{cls.__name__} needs the field {item.name!r} (at {path})")
    try:
        if check := getattr(made, "__post_init__", None):
            check()
    except BlocksError as error:
        raise type(error)(f"{error} (at {path})") from error
    except Exception as error:  # what a check does with a value of another type may be anything
        raise _misfit(made, path) from error
    hints = hints_of(cls, WORDS)
    if not all(fits(getattr(made, name), hint) for name, hint in hints.items()):
        raise _misfit(made, path)
    return made


def _misfit(made: Any, path: str) -> InvalidArgument:
    """Which field of a word holds what it cannot hold."""
    hints = hints_of(type(made), WORDS)
    held = {name: getattr(made, name) for name in (item.name for item in fields(made))}
    wrong = {name: one for name, one in held.items() if not fits(one, hints.get(name, object))}
    name, value = next(iter((wrong or held).items()))
    place = f"{path}.{name}" if wrong else path
    return InvalidArgument(
        f"{type(made).__name__} in this JSON holds what it cannot hold: "
        f"{name}={_short(value)} (at {place})"
    )


def _short(value: Any, most: int = 120) -> str:
    text = value if isinstance(value, str) and value.startswith("spec") else repr(value)
    return text if len(text) <= most else f"{text[:most]}..."


def to_json(value: Any) -> str:
    """A word as versioned JSON text.

    >>> from captum_blocks.grammar import Hidden
    >>> from_json(to_json(Hidden("layer3"))) == Hidden("layer3")
    True
    """
    return json.dumps({"captum_blocks": VERSION, "spec": encode(value)}, allow_nan=False)


def from_json(text: str) -> Any:
    """The word in a JSON text.

    Raises:
        WrongType: no text.
        InvalidArgument: not such a text, or of a later version.
        BlocksError: a word that cannot be; which one, and where, is said.

    >>> from captum_blocks.grammar import Hidden
    >>> from_json(to_json(Hidden("layer3").groups(6)))
    Hidden('layer3').groups(6)
    """
    if not isinstance(text, (str, bytes, bytearray)):
        raise WrongType(f"a spec is JSON text, not {type(text).__name__}")
    if len(text) > MOST_TEXT:
        raise InvalidArgument(f"{len(text)} characters are no spec; {MOST_TEXT} at most are read")
    try:
        data = json.loads(
            text,
            object_pairs_hook=_without_duplicates,
            parse_constant=_no_number,
            parse_float=_finite,
            parse_int=_whole,
        )
    except BlocksError:
        raise
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"this is not JSON that can be read: {error}") from error
    if not isinstance(data, dict) or "captum_blocks" not in data:
        raise InvalidArgument("this JSON holds no captum_blocks spec")
    version = data["captum_blocks"]
    if type(version) is not int or version != VERSION:
        raise InvalidArgument(
            f"this spec is of version {_short(version)}; this package reads {VERSION}"
        )
    if unknown := sorted(set(data) - {"captum_blocks", "spec"}):
        raise InvalidArgument(f"beside a spec there is no {_short(unknown[0])}")
    made = decode(data.get("spec"))
    if not is_word(made):
        raise InvalidArgument(f"this JSON holds no word of the grammar but {_short(made)}")
    return made


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise InvalidArgument(f"this JSON names {_short(twice)} twice in one place")
    return found


def _no_number(text: str) -> float:
    raise InvalidArgument(f"this JSON holds {text}, which is no number")


def _finite(text: str) -> float:
    return float(text) if isfinite(float(text)) else _no_number(_short(text))


def _whole(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise InvalidArgument(f"this JSON holds a number of {len(text)} digits")
    return int(text)

"""Words of the grammar as frozen data that survive a round trip through JSON.

A spec holds names and JSON scalars only; tensors, functions and fitted objects are named with
``Given`` and handed over when an interface is explained. Loading looks words up in a registry: it
never imports and never unpickles.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from typing import Any, TypeVar

from captum_blocks.errors import BlocksError, InvalidArgument, UnknownName, did_you_mean

VERSION = 1
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


def decode(data: Any) -> Any:
    """The inverse of ``encode``."""
    if isinstance(data, list):
        return tuple(decode(item) for item in data)
    if not isinstance(data, dict):
        return data
    name = data.get("word")
    if not isinstance(name, str) or name not in WORDS:
        raise UnknownName(f"no word {name!r} in the grammar{did_you_mean(str(name), WORDS)}")
    cls = WORDS[name]
    known = {item.name for item in fields(cls)}
    parts = {key: decode(value) for key, value in data.items() if key != "word"}
    if unknown := sorted(set(parts) - known):
        raise InvalidArgument(
            f"{name} has no field {unknown[0]!r}{did_you_mean(unknown[0], known)}"
        )
    made: Any = object.__new__(cls)
    for item in fields(cls):
        object.__setattr__(made, item.name, parts.get(item.name, item.default))
        if getattr(made, item.name) is MISSING:
            raise InvalidArgument(f"{name} needs the field {item.name!r}")
    check = getattr(made, "__post_init__", None)
    try:
        if check is not None:
            check()
        hash(made)
    except (TypeError, AttributeError, AssertionError) as error:
        if isinstance(error, BlocksError):
            raise
        raise InvalidArgument(
            f"{name} in this JSON holds what it cannot hold: {parts!r}"
        ) from error
    return made


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
        InvalidArgument: not such a text, or of a later version.

    >>> from captum_blocks.grammar import Hidden
    >>> from_json(to_json(Hidden("layer3").groups(6)))
    Hidden('layer3').groups(6)
    """
    try:
        data = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise InvalidArgument(f"this is not JSON that can be read: {error}") from error
    if not isinstance(data, dict) or "captum_blocks" not in data:
        raise InvalidArgument("this JSON holds no captum_blocks spec")
    if data["captum_blocks"] != VERSION:
        raise InvalidArgument(
            f"this spec is of version {data['captum_blocks']!r}; this package reads {VERSION}"
        )
    try:
        return decode(data["spec"])
    except RecursionError as error:
        raise InvalidArgument("this spec is nested too deeply to be one") from error

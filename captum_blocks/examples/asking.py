"""What is asked of an index: channels of a layer, or directions in one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from captum_blocks.errors import InvalidArgument, LayerNotFound, WrongType, did_you_mean

Array = np.ndarray[Any, np.dtype[Any]]
RANKS = ("top", "bottom", "quantiles", "random")
SAID = (
    "index.top takes channels, as Hidden('layer3').channels[[7, 9]] or ('layer3', [7, 9]), or a "
    "direction (channel,) or several (direction, channel) with layer="
)


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        layer: its number in the index.
        channels: those asked for; None where directions are.
        directions: (direction, channel) float64; None where channels are asked for.
    """

    layer: int
    channels: tuple[int, ...] | None = None
    directions: Array | None = None


def asked(
    units: Any, layer: str | None, widths: Sequence[int], order_of: Callable[[str], int]
) -> Question:
    """Channels or directions.

    Args:
        units: channels in the words of the grammar, or (layer, numbers); or one direction or
            several, as numbers.
        layer: of directions.
        widths: how many channels each layer of the index has.
        order_of: the number of a layer in the index, by its name.

    Raises:
        WrongType: it is neither.
        LayerNotFound: the layer is not in the index.
        InvalidArgument: a channel that there is not, another number of channels, no plain numbers,
            atoms that are no channels.

    >>> asked(("layer3", [7, 9]), None, [16], ["layer3"].index).channels
    (7, 9)
    >>> asked([0.0, 1.0], "layer3", [2], ["layer3"].index).directions.shape
    (1, 2)
    """
    if hasattr(units, "atom") and hasattr(units, "layer"):
        named, only = _of_words(units)
    elif isinstance(units, tuple) and len(units) == 2 and isinstance(units[0], str):
        named, only = units
    elif hasattr(units, "channels") and not hasattr(units, "shape"):
        raise WrongType(f"{units!r} is a layer: give its channels, {units!r}.channels[:4]")
    elif isinstance(units, str):
        raise WrongType(f"{SAID}; of all channels of a layer {_all_of(units)}")
    elif not isinstance(units, (Sequence, np.ndarray)) and not hasattr(units, "detach"):
        raise WrongType(_no_direction(units))
    else:
        return _directions(units, layer, widths, order_of)
    if layer is not None and order_of(layer) != order_of(named):
        raise InvalidArgument(f"these are channels of {named!r}, and layer={layer!r}: leave it out")
    place = order_of(named)
    return Question(place, _channels(only, widths[place], named))


def _all_of(layer: str) -> str:
    return f"({layer!r}, range(n))"


def _no_direction(units: Any) -> str:
    if hasattr(units, "components_"):
        return f"a {type(units).__name__} is no direction: give its components_, with layer="
    return f"{SAID}, not {type(units).__name__}"


def layer_in(name: str, names: Sequence[str]) -> int:
    """The number of a layer in an index, by its full name.

    The end of a name would do for one layer of the network and be the whole name of another.

    Raises:
        LayerNotFound: it is not there; the nearest names are in the message.

    >>> layer_in("fc", ["layer3.3.conv1", "fc"])
    1
    """
    if not isinstance(name, str):
        raise WrongType(f"a layer of an index is named, not {type(name).__name__}")
    if name in names:
        return list(names).index(name)
    ending = [each for each in names if name and each.endswith(f".{name}")]
    meant = f"; did you mean {ending[0]!r}?" if len(ending) == 1 else did_you_mean(name, names)
    raise LayerNotFound(
        f"layer {name!r} is not in the index{meant or '; it has ' + ', '.join(names)}"
    )


def _of_words(units: Any) -> tuple[str, Any]:
    """Layer and channels of a word of the grammar, which is known by its fields alone."""
    name = getattr(units.layer, "layer", None)
    if units.atom == "channel" and isinstance(name, str):
        return name, getattr(units, "only", None)
    if units.atom == "group":
        raise InvalidArgument(
            f"{units!r}: groups are directions; give those of the fitted reducer, "
            "index.top(reducer.components_, layer=...)"
        )
    raise InvalidArgument(f"{units!r}: an index knows channels of hidden layers; {SAID}")


def _channels(only: Any, width: int, name: str) -> tuple[int, ...]:
    if only is None:
        return tuple(range(width))
    if isinstance(only, slice):
        return tuple(range(width)[only])
    try:
        wanted = [only] if hasattr(only, "__index__") else list(only)
        found = tuple(int(each.__index__()) for each in wanted)
    except (TypeError, AttributeError) as error:
        raise WrongType(f"channels are whole numbers, not {only!r}") from error
    if not found:
        raise InvalidArgument("no channel is asked for")
    wrong = [each for each in found if not 0 <= each < width]
    if wrong:
        raise InvalidArgument(f"no channel {wrong[0]}: {name} has channels 0 to {width - 1}")
    return found


def _directions(
    given: Any, layer: str | None, widths: Sequence[int], order_of: Callable[[str], int]
) -> Question:
    if layer is None:
        raise InvalidArgument(f"{SAID}; layer= is missing")
    place = order_of(layer)
    try:
        if hasattr(given, "detach"):
            given = given.detach().cpu().double().numpy()
        array = np.atleast_2d(np.asarray(given, np.float64))
    except (TypeError, ValueError) as error:
        raise WrongType(f"{SAID}, not {type(given).__name__}") from error
    if array.ndim != 2 or array.shape[1] != widths[place] or not len(array):
        raise InvalidArgument(
            f"a direction in {layer} has {widths[place]} numbers, one for each channel, and "
            f"this is of shape {np.shape(given)}"
        )
    if not np.isfinite(array).all():
        raise InvalidArgument("a direction holds NaN or infinite values")
    return Question(place, directions=array)


def check_rank(rank: str, k: int) -> None:
    """Refuse an order that there is not, and too few examples."""
    if rank not in RANKS:
        hint = did_you_mean(str(rank), RANKS)
        raise InvalidArgument(f"rank={rank!r} is none of {', '.join(RANKS)}{hint}")
    if isinstance(k, bool) or not hasattr(k, "__index__"):
        raise WrongType(f"k={k!r}: give a whole number of examples")
    if k < 1:
        raise InvalidArgument(f"k={k}: at least one example is asked for")

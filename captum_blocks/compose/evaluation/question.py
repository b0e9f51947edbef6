"""What is asked about: networks, and the pictures that each of them looks at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from captum_blocks.attr.reducers import is_fitted
from captum_blocks.errors import InvalidArgument, UnknownName, WrongType, did_you_mean
from captum_blocks.examples import ExampleIndex
from captum_blocks.grammar import Dataset, Given, Grouping, Hidden, Input, Out, Substrate, parts_of
from captum_blocks.network import Network

Place = Substrate | Hidden | Input | Out


@dataclass(frozen=True, eq=False)
class Question:
    """Networks and the pictures they look at.

    Attributes:
        networks: by the name that layers call them; one that needs no name has the name None.
        inputs: (image, ...) as each of them takes the same pictures.
        given: the objects that ``Given`` words name.
        photographs: names of the pictures; their numbers unless given.
        others: (photograph, ...), other photographs as each network takes them, where there are
            some: layers are exchanged with them.
        names: of groups, where the reader gave some.
    """

    networks: Mapping[str | None, Network]
    inputs: Mapping[str | None, Tensor]
    given: Mapping[str, Any] = field(default_factory=dict)
    photographs: tuple[str, ...] = ()
    others: Mapping[str | None, Tensor | None] = field(default_factory=dict)
    names: Mapping[Substrate, tuple[str, ...]] = field(default_factory=dict)

    def named(self, place: Place) -> str | None:
        """Which network a layer is of.

        Raises:
            UnknownName: there is none of that name.
            InvalidArgument: it names none, and there are several.
        """
        layer = place.layer if isinstance(place, Substrate) else place
        if layer.network in self.networks:
            return layer.network
        there = [name for name in self.networks if name is not None]
        if layer.network is not None:
            near = did_you_mean(layer.network, there) or f"; there are {', '.join(there)}"
            alone = "; one network is given, and it has no name" if not there else near
            raise UnknownName(f"no network {layer.network!r} for {layer!r}{alone}")
        if len(self.networks) > 1:
            raise InvalidArgument(
                f"{layer!r} names no network, and there are {', '.join(there)}: "
                f"say which, as in network={there[0]!r}"
            )
        return next(iter(self.networks))


def asked(
    networks: Network | nn.Module | Mapping[str, Network | nn.Module],
    picture: Any,
    given: Mapping[str, Any] | None = None,
) -> Question:
    """One picture as each network reads it.

    Args:
        networks: one, or several by name.
        picture: a tensor that is ready for all of them, or anything that ``Network.read`` takes.
        given: the objects that ``Given`` words name.

    Raises:
        InvalidArgument: no network.
        WrongType: a name that is no string.
    """
    named = networks if isinstance(networks, Mapping) else {None: networks}
    if not named:
        raise InvalidArgument("there is no network: give one, or several by name")
    for name in named:
        if not (name is None or isinstance(name, str)):
            raise WrongType(f"networks are named by strings, not {name!r}: {{'a': net}}")
    nets = {
        name: each if isinstance(each, Network) else Network(each) for name, each in named.items()
    }
    return Question(nets, {name: net.read(picture) for name, net in nets.items()}, given or {})


def check_given(words: Iterable[Any], given: Mapping[str, Any]) -> None:
    """Every ``Given`` is bound and everything bound is used.

    Raises:
        UnknownName: a name without an object, or an object without a name.
    """
    parts = [part for word in words for part in parts_of(word)]
    named = {part.name for part in parts if isinstance(part, (Given, Dataset))}
    for name in sorted(named - set(given)):
        hint = did_you_mean(name, given) or f"; pass given={{{name!r}: ...}}"
        raise UnknownName(f"nothing is given for {name!r}{hint}")
    for name in sorted(set(given) - named):
        raise UnknownName(f"given {name!r} is not used by the interface{did_you_mean(name, named)}")
    for name, value in given.items():
        if value is None:
            raise WrongType(f"given {name!r} is None")
    for part in parts:
        if isinstance(part, Grouping) and isinstance(part.n, Given):
            _check_reducer(part.n.name, given[part.n.name])
        elif isinstance(part, Dataset):
            _check_index(part.name, given[part.name])


def _check_index(name: str, given: Any) -> None:
    """A data set is an index of photographs."""
    if not isinstance(given, ExampleIndex):
        raise WrongType(
            f"given {name!r} is a data set, so it is an ExampleIndex, not a "
            f"{type(given).__name__}: ExampleIndex.build(net, photographs), or .load(path, photos)"
        )


def _check_reducer(name: str, given: Any) -> None:
    """Groups made elsewhere are a fitted reducer's."""
    if not hasattr(given, "transform"):
        raise WrongType(
            f"given {name!r} makes groups, so it is a fitted ChannelReducer, not a "
            f"{type(given).__name__}"
        )
    if not hasattr(given, "components_") and is_fitted(given):
        raise InvalidArgument(
            f"the {type(given).__name__} given as {name!r} is fitted and has no components_, so no "
            "layer is a sum of its groups; give a decomposition, e.g. a fitted ChannelReducer"
        )
    if not hasattr(given, "components_"):
        raise InvalidArgument(f"the reducer given as {name!r} is not fitted: call its fit first")

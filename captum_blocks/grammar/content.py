"""Activations and attributions of substrates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from captum_blocks.errors import InvalidArgument, WrongType
from captum_blocks.grammar.operations import Content
from captum_blocks.grammar.spec import word
from captum_blocks.grammar.substrates import Given, Hidden, Input, Out, Substrate, as_substrate

Scalar = bool | int | float | str | None
Option = Scalar | Given | tuple[Any, ...]
DEFAULT_METHOD = "LayerGradientXActivation"


@word
@dataclass(frozen=True, init=False)
class Method:
    """A Captum attribution method by name, with its options.

    Args:
        name: of a class in ``captum.attr``.
        options: keyword arguments of the class's ``attribute``; tensors and functions as ``Given``.

    >>> Method("LayerConductance", n_steps=32)
    Method('LayerConductance', n_steps=32)
    """

    name: str
    options: tuple[tuple[str, Option], ...] = ()

    def __init__(self, name: str, **options: Option) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "options", tuple(sorted(options.items())))

    def __repr__(self) -> str:
        parts = [repr(self.name), *(f"{key}={value!r}" for key, value in self.options)]
        return f"Method({', '.join(parts)})"


@word
@dataclass(frozen=True, init=False)
class Activation(Content):
    """How much each atom fires.

    Channels and groups: mean over y, x; spatial and whole: L2 norm; neurons: as they are; classes:
    the logit.

    >>> Activation(Hidden("layer3").channels)
    Activation(source=Hidden('layer3').channels)
    """

    source: Substrate

    def __init__(self, source: Substrate | Hidden | Input | Out) -> None:
        object.__setattr__(self, "source", as_substrate(source))


@word
@dataclass(frozen=True, init=False)
class Attribution(Content):
    """How much each source atom contributed to each target atom; always a sum over its parts.

    Args:
        source: atoms that contribute.
        target: what they contribute to: classes of the output, or atoms of a later layer. The
            score of a position is the norm of its activation vector, of a channel its sum over
            positions, of a group the projection on its unit direction.
        method: a name or class of ``captum.attr``, a ``Method``, or a ``Given``: a tensor that was
            already computed, a configured Captum instance, or a factory
            ``(module, layer) -> LayerAttribution``. Classes are stored by name.
        options: keyword arguments of the method.

    >>> channels = Hidden("layer3").channels
    >>> Attribution(channels, Out(207), method="LayerConductance", n_steps=8).method
    Method('LayerConductance', n_steps=8)
    """

    source: Substrate
    target: Substrate
    method: Method | Given = Method(DEFAULT_METHOD)

    def __init__(
        self,
        source: Substrate | Hidden | Input,
        target: Substrate | Hidden | Out,
        method: str | type | Method | Given = DEFAULT_METHOD,
        **options: Option,
    ) -> None:
        object.__setattr__(self, "source", as_substrate(source))
        object.__setattr__(self, "target", as_substrate(target))
        object.__setattr__(self, "method", _as_method(method, options))
        self.__post_init__()

    def __post_init__(self) -> None:
        if self.source.atom == "class":
            raise InvalidArgument("the output is a target of attribution, not a source")
        if isinstance(self.target.layer, Input):
            raise InvalidArgument("the input is a source of attribution, not a target")
        if self.source.layer == self.target.layer:
            raise InvalidArgument(
                f"{self.source!r} and {self.target!r} are of one layer; attribution goes from an "
                "earlier layer to a later one, or to Out(...)"
            )


def _as_method(method: str | type | Method | Given, options: dict[str, Option]) -> Method | Given:
    if isinstance(method, str):
        return Method(method, **options)
    if isinstance(method, type):
        return Method(method.__name__, **options)
    if not isinstance(method, (Method, Given)):
        raise WrongType(
            f"a spec holds names: give the method as a class or by name, or as Given('name') "
            f"with given={{'name': ...}}, not as a {type(method).__name__}"
        )
    if options:
        raise InvalidArgument(f"options belong into the {type(method).__name__}: {sorted(options)}")
    return method

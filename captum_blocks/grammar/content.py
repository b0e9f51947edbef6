"""Activations and attributions of substrates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from captum_blocks.errors import InvalidArgument, WrongType
from captum_blocks.grammar.datasets import Dataset
from captum_blocks.grammar.operations import Content
from captum_blocks.grammar.spec import word
from captum_blocks.grammar.substrates import (
    Given,
    Hidden,
    Input,
    Out,
    Substrate,
    as_substrate,
    as_target,
)

Scalar = bool | int | float | str | None
Option = Scalar | Given | tuple[Any, ...] | dict[str, Any]
DEFAULT_METHOD = "LayerGradientXActivation"


def _check_pairs(pairs: tuple[tuple[str, Any], ...]) -> None:
    """Keyword arguments are named, each once."""
    names = [name for name, _ in pairs]
    if wrong := [name for name in names if not isinstance(name, str) or not name.isidentifier()]:
        raise InvalidArgument(f"an option is a keyword argument; {wrong[0]!r} cannot be one")
    if len(set(names)) < len(names):
        raise InvalidArgument(f"an option is named twice in {names}")


@word
@dataclass(frozen=True)
class Options:
    """Keyword arguments within an option, such as those of ``noise=dict(nt_samples=8)``.

    >>> Options((("nt_samples", 8),))
    {'nt_samples': 8}
    """

    pairs: tuple[tuple[str, Any], ...]

    def __post_init__(self) -> None:
        _check_pairs(self.pairs)

    def __repr__(self) -> str:
        return repr(dict(self.pairs))


@word
@dataclass(frozen=True, init=False)
class Method:
    """A Captum attribution method by name, with its options.

    Args:
        name: of a class in ``captum.attr``.
        otherwise: another one by name, for layers and networks that the first cannot be used on;
            the numbers say which of the two they are of.
        options: keyword arguments of the class's ``attribute``; tensors and functions as ``Given``;
            and ``noise``, a dict of arguments for a ``NoiseTunnel`` around it.

    >>> Method("LayerConductance", n_steps=32)
    Method('LayerConductance', n_steps=32)
    """

    name: str
    options: tuple[tuple[str, Any], ...] = ()
    otherwise: str | None = None

    def __init__(self, name: str, *, otherwise: str | None = None, **options: Option) -> None:
        object.__setattr__(self, "name", name)
        frozen = {key: _frozen(value) for key, value in options.items()}
        object.__setattr__(self, "options", tuple(sorted(frozen.items())))
        object.__setattr__(self, "otherwise", otherwise)
        self.__post_init__()

    def __post_init__(self) -> None:
        for name in (self.name, "" if self.otherwise is None else self.otherwise):
            if not isinstance(name, str):
                raise WrongType(f"a method is named, not {name!r}")
        _check_pairs(self.options)

    @property
    def choices(self) -> tuple[Method, ...]:
        """The method, and what stands in for it.

        >>> Method("ShapleyValues", otherwise="LayerGradCam").choices
        (Method('ShapleyValues'), Method('LayerGradCam'))
        """
        alone = Method(self.name, **dict(self.options))
        return (alone,) if self.otherwise is None else (alone, Method(self.otherwise))

    def __repr__(self) -> str:
        parts = [repr(self.name), *(f"{key}={value!r}" for key, value in self.options)]
        parts += [] if self.otherwise is None else [f"otherwise={self.otherwise!r}"]
        return f"Method({', '.join(parts)})"


@word
@dataclass(frozen=True, init=False, repr=False)
class Activation(Content):
    """How much each atom fires.

    Channels and groups: mean over y, x; spatial and whole: L2 norm; neurons: as they are; classes:
    the logit.

    Args:
        source: the atoms.
        over: photographs that it stands among: each channel's mean among its means, or a neuron's
            activation among its channel's at one place of each of them. The numbers stay those of
            the photograph that is looked at.

    >>> Activation(Hidden("layer3").channels, over=Dataset("birds"))
    Activation(Hidden('layer3').channels, over=Dataset(name='birds'))
    """

    source: Substrate
    over: Dataset | None = None

    def __init__(
        self, source: Substrate | Hidden | Input | Out, over: Dataset | None = None
    ) -> None:
        object.__setattr__(self, "source", as_substrate(source))
        object.__setattr__(self, "over", over)
        self.__post_init__()

    def __post_init__(self) -> None:
        if self.over is not None and not isinstance(self.over, Dataset):
            raise WrongType(f"over= takes a data set, Dataset('birds'), not {self.over!r}")


@word
@dataclass(frozen=True, init=False, repr=False)
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
        object.__setattr__(self, "target", as_target(target))
        object.__setattr__(self, "method", _as_method(method, options))
        self.__post_init__()

    def __post_init__(self) -> None:
        for held, kind in (
            (self.source, Substrate),
            (self.target, Substrate),
            (self.method, (Method, Given)),
        ):
            if not isinstance(held, kind):
                raise WrongType(f"{held!r} does not belong into an Attribution")
        if self.source.atom == "class":
            raise InvalidArgument("the output is a target of attribution, not a source")
        if isinstance(self.target.layer, Input):
            raise InvalidArgument("the input is a source of attribution, not a target")
        if self.source.layer == self.target.layer:
            raise InvalidArgument(
                f"{self.source!r} and {self.target!r} are of one layer; attribution goes from an "
                "earlier layer to a later one, or to Out(...)"
            )

    @property
    def by_subsets(self) -> bool:
        """Whether it is the exact Shapley values of groups, from the table of their subsets.

        >>> groups = Hidden("layer3").groups(6)
        >>> Attribution(groups, Out(207), method="ShapleyValues").by_subsets
        True
        """
        to_classes = isinstance(self.target.layer, Out) and self.target.grouping is None
        of_groups = self.source.atom == "group"
        return of_groups and to_classes and self.method == Method("ShapleyValues")


def _frozen(option: Any) -> Any:
    """An option as a word: dicts and lists can be changed, so they become what cannot."""
    if isinstance(option, dict):
        return Options(tuple(sorted((key, _frozen(value)) for key, value in option.items())))
    return tuple(map(_frozen, option)) if isinstance(option, (list, tuple)) else option


def _as_method(method: str | type | Method | Given, options: dict[str, Option]) -> Method | Given:
    if isinstance(method, str):
        return Method(method, **options)  # type: ignore[arg-type]
    if isinstance(method, type):
        return Method(method.__name__, **options)  # type: ignore[arg-type]
    if not isinstance(method, (Method, Given)):
        raise WrongType(
            f"a spec holds names: give the method as a class or by name, or as Given('name') "
            f"with given={{'name': ...}}, not as a {type(method).__name__}"
        )
    if options:
        raise InvalidArgument(f"options belong into the {type(method).__name__}: {sorted(options)}")
    return method

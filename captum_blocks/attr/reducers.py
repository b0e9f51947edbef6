"""What attribution needs of a reducer, and how it is asked for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from captum_blocks._gradients import without_gradients
from captum_blocks.errors import BlocksError, InvalidArgument, WrongType
from captum_blocks.layouts import Layout


@runtime_checkable
class Reducer(Protocol):
    """Anything that was fitted to make groups out of a layer's channels."""

    components_: Any

    def transform(self, X: Any) -> Any:
        """A layer's output -> group scores, in the same layout."""


def fitted_components(reducer: Any) -> Tensor:
    """A reducer's components, (group, channel).

    Raises:
        InvalidArgument: the reducer is not fitted, has no components or no numbers in them.
        WrongType: it is no reducer, or the class of one.

    >>> class Fitted:
    ...     components_ = torch.eye(2)
    >>> fitted_components(Fitted()).shape
    torch.Size([2, 2])
    """
    found = getattr(reducer, "components_", None)
    if found is None or isinstance(reducer, type):
        raise _no_components(reducer)
    # A copy: what was fitted under inference_mode cannot take part in a gradient.
    return _numbers(found, f"the components_ of the {type(reducer).__name__} given").clone()


def is_fitted(reducer: Any) -> bool:
    """Whether an object was fitted, whatever it has learnt: such names end in ``_``.

    >>> class Clusters:
    ...     cluster_centers_ = None
    >>> clusters = Clusters()
    >>> before, clusters.cluster_centers_ = is_fitted(clusters), torch.eye(2)
    >>> before, is_fitted(clusters)
    (False, True)
    """
    learnt = [name for name in getattr(reducer, "__dict__", ()) if name.endswith("_")]
    return any(not name.startswith("_") for name in learnt) or hasattr(reducer, "n_features_in_")


_WANTED = (
    "give what was fitted and has components_ (group, channel) and transform, e.g. "
    "ChannelReducer(6).fit(activations), or scikit-learn's NMF or PCA fitted on rows of channels"
)


def _no_components(reducer: Any) -> Exception:
    name = type(reducer).__name__
    if isinstance(reducer, type):
        return WrongType(f"{reducer.__name__} is a class; {_WANTED}")
    if isinstance(reducer, (str, int, float)) or reducer is None:
        return WrongType(f"{reducer!r} is no reducer; {_WANTED}")
    if is_fitted(reducer):
        return InvalidArgument(
            f"the {name} given is fitted and has no components_, so no layer is a sum of its "
            f"groups; {_WANTED}"
        )
    return InvalidArgument(
        f"the {name} given is not fitted (it has no components_); "
        "call fit on activations of this layer first"
    )


def _numbers(found: Any, what: str) -> Tensor:
    try:
        return torch.as_tensor(found).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise WrongType(f"{what} hold no numbers: {type(found).__name__}") from error


@dataclass(frozen=True, eq=False)
class Pieces:
    """A layer's activation taken apart: groups, residual and tokens.

    Attributes:
        scores: (image, group, y, x).
        components: (group, channel).
        residual: (image, channel, y, x): activation - scores * components.
        tokens: (image, token, channel); tokens belong to no group.
        layout: of the layer.
        ndim: axes of the layer's output.
    """

    scores: Tensor
    components: Tensor
    residual: Tensor
    tokens: Tensor
    layout: Layout
    ndim: int

    def assembled(self, scores: Tensor, residual: Tensor, tokens: Tensor) -> Tensor:
        """The activation in the layer's own layout, out of (changed) pieces of any batch size."""
        maps = torch.einsum("ikyx,kc->icyx", scores, self.components) + residual
        return self.layout.from_maps(maps, tokens, self.ndim)


def check_width(components: Tensor, activation: Tensor, layout: Layout) -> None:
    """Whether the components were fitted on as many channels as the layer has.

    Raises:
        InvalidArgument: they were not.
    """
    width = activation.shape[layout.channel_axis]
    if components.ndim != 2 or components.shape[1] != width:
        raise InvalidArgument(
            f"components of shape {tuple(components.shape)} were fitted on another width: "
            f"this layer has {width} channels"
        )


def group_scores(reducer: Reducer, activation: Tensor, layout: Layout) -> Tensor:
    """What a reducer makes of a layer's activation, as (image, group, y, x).

    Args:
        reducer: fitted; the answer of a token layer may leave the prefix tokens out.
        activation: in the layer's own layout.
        layout: of the activation.

    An estimator of scikit-learn's kind is given rows of channels, (row, channel).

    Raises:
        InvalidArgument: the reducer cannot transform the activation, or its answer does not have
            the layer's layout and as many groups as there are components.
        WrongType: it has no transform, or answers with no numbers.
    """
    with without_gradients():
        scores = _maps_of(reducer, activation, layout).detach().to(activation)
    images, _, height, width = layout.to_maps(activation).shape
    expected = (images, len(fitted_components(reducer)), height, width)
    if tuple(scores.shape) != expected:
        raise InvalidArgument(
            f"the {type(reducer).__name__} given makes group scores of shape "
            f"{tuple(scores.shape)}; expected {expected} (image, group, y, x)"
        )
    return scores


def _maps_of(reducer: Reducer, activation: Tensor, layout: Layout) -> Tensor:
    """What a reducer makes of a layer's output, or of its rows where it takes no other."""
    if not callable(getattr(reducer, "transform", None)):
        name = type(reducer).__name__
        raise WrongType(f"the {name} given has no transform for new activations; {_WANTED}")
    try:
        scores = reducer.transform(activation)
    except (BlocksError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if hasattr(reducer, "n_features_in_"):
            return _of_rows(reducer, layout.to_maps(activation))
        raise _cannot(reducer, activation, error) from error
    scores = _scores(reducer, scores)
    whole = scores.ndim < 2 or scores.shape[1] != activation.shape[1] - layout.n_unplaced
    of = layout if layout.kind != "tokens" or whole else layout.without_tokens()
    return of.to_maps(scores)


def _of_rows(reducer: Reducer, maps: Tensor) -> Tensor:
    """(image, channel, y, x) -> (image, group, y, x), by rows of channels."""
    # Some estimators compute in the kind of number that they were fitted in, and in no other.
    kind = torch.promote_types(fitted_components(reducer).dtype, torch.float32)
    placed = maps.movedim(1, -1).to("cpu", kind)
    try:
        made = reducer.transform(placed.flatten(0, 2).numpy())
    except Exception as error:
        raise _cannot(reducer, maps, error) from error
    scores = _scores(reducer, made)
    if scores.ndim != 2 or len(scores) != placed[..., 0].numel():
        raise InvalidArgument(
            f"the {type(reducer).__name__} given makes scores of shape {tuple(scores.shape)} of "
            f"{placed[..., 0].numel()} rows; expected (row, group)"
        )
    return scores.reshape(*placed.shape[:3], -1).movedim(-1, 1)


def _scores(reducer: Reducer, made: Any) -> Tensor:
    return _numbers(made, f"the scores that the {type(reducer).__name__} given makes")


def _cannot(reducer: Reducer, activation: Tensor, error: Exception) -> InvalidArgument:
    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    return InvalidArgument(
        f"the {type(reducer).__name__} given cannot transform activations of shape "
        f"{tuple(activation.shape)}, {activation.dtype}: {type(error).__name__}: {said}"
    )


def take_apart(reducer: Reducer, activation: Tensor, layout: Layout) -> Pieces:
    """A layer's activation as groups, residual and tokens; nothing is lost.

    Raises:
        InvalidArgument: the reducer is not fitted, or was fitted on another width.
    """
    components = fitted_components(reducer).to(activation)
    check_width(components, activation, layout)
    scores = group_scores(reducer, activation, layout)
    maps = layout.to_maps(activation)
    residual = maps - torch.einsum("ikyx,kc->icyx", scores, components)
    tokens = layout.tokens(activation)
    return Pieces(scores, components, residual, tokens, layout, activation.ndim)

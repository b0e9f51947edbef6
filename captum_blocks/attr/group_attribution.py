"""Attribution to groups *through* the rest of the network, with the residual as a player."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from captum.attr import Attribution, NoiseTunnel, PerturbationAttribution, ShapleyValues
from torch import Tensor, nn

from captum_blocks import hooks
from captum_blocks.attr import _building, _calling, catalogue, shapley
from captum_blocks.attr._building import Method
from captum_blocks.attr._reasons import moves
from captum_blocks.attr._visit import Visit, visiting
from captum_blocks.attr.head import Head, check_runs_once, check_targets, fast_head
from captum_blocks.attr.reducers import Pieces, Reducer, fitted_components, take_apart
from captum_blocks.attr.regrouping import shares
from captum_blocks.attr.results import GroupResult
from captum_blocks.errors import UnsupportedMethod
from captum_blocks.layouts import Kind, Layout
from captum_blocks.wrappers import check_takes_a_picture, plain

# Each pass of the head also runs what is in front of the layer once: fewer passes where rows are
# small.
_ROWS = 64
_BYTES = 48 * 2**20
_SPREAD = (
    "{} gives one number per group; over the positions it is spread in proportion to the "
    "group's activation"
)


class GroupAttribution:
    """Which groups of a layer's activation the network's scores are made of.

    The rest of the network becomes a function of group scores z and residual,
    G(z, res) = head(z D + res) with res = A - z D, and any method of Captum for inputs runs on it.
    What is attributed is the change from an activation of zero to the one that is:
    F(A) - F(0), exactly for exact Shapley values, within the method's own delta for integrated
    gradients. Nothing is dropped: the residual is one more player, and so are the class and
    register tokens of a transformer.

    Gradient methods answer per position. Methods that switch players on and off
    (``ShapleyValues``, ``FeatureAblation``, ``KernelShap``, ...) answer once per group.
    ``ShapleyValues`` is exact and batched for up to eight groups.

    Args:
        module: the network.
        layer: the layer, by dotted name or as a submodule.
        reducer: fitted on this layer, with ``components_`` (group, channel) and ``transform``.
        method: name, class or configured instance of an input method of Captum.
        layout: where the layer keeps channels and positions; detected when None.
        options: keyword arguments of the method.

    Raises:
        UnsupportedMethod: a layer method, or one that yields weights.
        InvalidArgument: the reducer is not fitted.

    >>> class Halves:
    ...     components_ = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    ...     def transform(self, acts):
    ...         return torch.stack([acts[:, :2].mean(1), acts[:, 2]], 1)
    >>> net = nn.Sequential(nn.Conv2d(1, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(12, 4)).eval()
    >>> GroupAttribution(net, "1", Halves()).attribute(torch.ones(1, 1, 3, 3), [0, 2]).maps.shape
    torch.Size([1, 2, 2, 2, 2])
    """

    def __init__(
        self,
        module: nn.Module,
        layer: str | nn.Module,
        reducer: Reducer,
        method: Method = "ShapleyValues",
        layout: Layout | Kind | None = None,
        **options: Any,
    ) -> None:
        self.module = module = plain(module)
        self.layer_name, self.layer = hooks.find_layer(module, layer)
        self.reducer = reducer
        self.n_groups = len(fitted_components(reducer))
        self.layout = layout
        method, rest = _building.instance_of(module, self.layer, method, options)
        self.name = catalogue.fact_name(type(_building.innermost(method)))
        self.options = _building.check_options(method, rest, self.name)
        check_takes_a_picture(method.forward_func)
        self.method = _building.on_copies(_building.aimed(method, module))
        _check_kind(method, self.name)
        if self._is_exact:
            shapley.check_groups(self.n_groups)

    @property
    def _is_exact(self) -> bool:
        return type(self.method) is ShapleyValues

    def forward_passes(self, n_targets: int, n_tokens: int = 0) -> int:
        """How many passes of the head one image costs.

        Args:
            n_targets: how many classes are asked for; exact Shapley values answer all at once.
            n_tokens: how many class and register tokens the layer has.
        """
        players = self.n_groups + 1 + (n_tokens > 0)
        if self._is_exact:
            return int(2**players)
        defaults = _building.call_defaults(self.method)
        cost = catalogue.Cost(players, self.options, defaults, players=players)
        return catalogue.passes_per_class(type(self.method), cost) * n_targets

    def attribute(self, x: Tensor, targets: Sequence[int]) -> GroupResult:
        """Attribute each target's score to the groups, the residual and the tokens.

        Args:
            x: (image, ...), what the network takes.
            targets: class indices.

        Returns:
            Groups, residual and tokens; together F(A) - F(0) for methods that are complete.

        Raises:
            InvalidArgument: the reducer was fitted on another width; targets out of range;
                activations that are not finite.
            UnusableLayer: the layer never runs, or several times.
            WrongType: ``x`` is no tensor, targets are no list of integers.
            UnsupportedMethod: more than ``MOST_FORWARD_PASSES`` passes, or Captum refuses.
        """
        forward = self.method.forward_func
        with visiting(self.module, forward, self.layer, self.layer_name, self.layout, x) as visit:
            check_runs_once(visit.seen.calls, self.layer_name)
            inner = _building.innermost(self.method)
            _building.check_reading(inner, self.module, visit.images, visit.seen.scores)
            wanted = check_targets(targets, visit.seen.scores.shape[1])
            passes = self.forward_passes(len(wanted), visit.layout.n_unplaced)
            catalogue.check_passes(passes, self.name, self.layer_name, len(wanted))
            pieces = take_apart(self.reducer, visit.seen.activation, visit.layout)
            visit.notes.append(f"{self.name} ran on the groups through the rest of the network")
            visit.notes.extend(_calling.side_by_side(visit.seen.behaviour, self.name))
            if not isinstance(self.method, PerturbationAttribution):
                return self._by_gradient(visit, pieces, wanted)
            visit.notes.append(_SPREAD.format(self.name))
            if self._is_exact:
                worth = [self._exact(visit, pieces, i, wanted) for i in range(len(x))]
                players = torch.stack(worth)
            else:
                players = self._switched(visit, pieces, wanted)
            return _spread(players, pieces, tuple(visit.notes))

    def _exact(self, visit: Visit, pieces: Pieces, image: int, targets: list[int]) -> Tensor:
        """(class, player) of one image."""
        one = slice(image, image + 1)
        forward, x = self.method.forward_func, visit.images[one]
        size = visit.seen.activation[0].nbytes
        at_once = max(_ROWS, _BYTES // size)
        head = fast_head(forward, self.layer, x, visit.seen.one(image), at_once)
        played = _played(pieces, one)

        def worth(coalitions: Tensor) -> Tensor:
            # A chunk at a time: all the coalitions' activations at once would be large.
            rows = coalitions.to(pieces.scores).split(at_once)
            return torch.cat([head(played(chunk), targets) for chunk in rows])

        return shapley.exact(worth, _players(pieces)).T

    def _switched(self, visit: Visit, pieces: Pieces, targets: list[int]) -> Tensor:
        """(image, class, player) by a method of Captum that switches features off."""
        found = []
        for image in range(len(visit.images)):
            one = slice(image, image + 1)
            played, x = _played(pieces, one), visit.images[one]
            apart = visit.seen.behaviour.apart
            head = Head(self.method.forward_func, self.layer, apart=apart)
            head.of_one_image(x, visit.seen.one(image))

            method = _building.with_forward(self.method, _switchable(head, played, x))
            present = pieces.scores.new_ones(1, _players(pieces))
            found.append(torch.stack([self._ask(method, present, t)[0][0][0] for t in targets]))
        return torch.stack(found)

    def _by_gradient(self, visit: Visit, pieces: Pieces, targets: list[int]) -> GroupResult:
        whole = catalogue.needs_module(type(self.method))
        apart = visit.seen.behaviour.apart
        head = Head(self.method.forward_func, self.layer, whole, apart and not whole)
        if not whole:
            head.of_one_image(visit.images, visit.seen)
        method = _building.with_forward(self.method, _Assembled(head, pieces))
        tokens = (pieces.tokens,) if visit.layout.n_unplaced else ()
        inputs = (pieces.scores, pieces.residual, *tokens)
        answers = [
            self._ask(method, inputs, target, visit.images, apart and whole) for target in targets
        ]
        maps = torch.stack([parts[0] for parts, _ in answers], 1)
        residual = torch.stack([parts[1].sum(1) for parts, _ in answers], 1)
        held = [(*parts, pieces.tokens)[2].sum(-1) for parts, _ in answers]
        deltas = [delta for _, delta in answers if delta is not None]
        delta = torch.stack(deltas, 1) if deltas else None
        return GroupResult(maps, residual, torch.stack(held, 1), delta, tuple(visit.notes))

    def _ask(
        self,
        method: Attribution,
        inputs: Any,
        target: int,
        images: Tensor | None = None,
        one_by_one: bool = False,
    ) -> tuple[tuple[Tensor, ...], Tensor | None]:
        arguments = {**self.options, "target": target}
        if images is not None:
            arguments["additional_forward_args"] = (images,)
        has_delta = images is not None and method.has_convergence_delta()
        if has_delta:
            arguments["return_convergence_delta"] = True
        needed = _building.call_defaults(method)
        if needed.get("baselines") is _building.REQUIRED and "baselines" not in arguments:
            zeros = [torch.zeros_like(part[:1]).expand(2, *part.shape[1:]) for part in inputs]
            arguments["baselines"] = tuple(zeros)
        pictures = len(images) if images is not None and one_by_one else 1
        # What switches players on and off, without images here, asks for no gradient.
        moving = partial(moves, self.method.forward_func, self.layer, (images,))
        with _calling.explained(method, self.name, self.layer_name, moving):
            answer = _calling.for_each(method.attribute, pictures, inputs, arguments)
        return _calling.parted(answer, has_delta, 1 if images is None else len(images))


class _Assembled(nn.Module):
    """The head as a function of groups, residual and tokens; a module, as DeepLift needs one."""

    def __init__(self, head: Head, pieces: Pieces) -> None:
        super().__init__()
        self.head = head
        self._pieces = pieces

    def forward(self, scores: Tensor, residual: Tensor, *tokens_and_x: Tensor) -> Tensor:
        *tokens, x = tokens_and_x
        none = residual.new_zeros(len(residual), 0, residual.shape[1])
        activation = self._pieces.assembled(scores, residual, *(tokens or (none,)))
        scored: Tensor = self.head(activation, x)
        return scored


def _switchable(
    head: Head, played: Callable[[Tensor], Tensor], x: Tensor
) -> Callable[[Tensor], Tensor]:
    """Switches (row, player) of one image -> scores (row, class)."""

    def scores(switches: Tensor) -> Tensor:
        scored: Tensor = head(played(switches), x.expand(len(switches), *x.shape[1:]))
        return scored

    return scores


def _players(pieces: Pieces) -> int:
    return len(pieces.components) + 1 + (pieces.tokens.shape[1] > 0)


def _played(pieces: Pieces, one: slice) -> Callable[[Tensor], Tensor]:
    """Switches (row, player) of one image -> its activation with only those players there."""
    nobody = torch.zeros_like(pieces.scores[one]), torch.zeros_like(pieces.residual[one])
    none = torch.zeros_like(pieces.tokens[one])
    parts = []
    for group in range(len(pieces.components)):
        alone = nobody[0].clone()
        alone[:, group] = pieces.scores[one, group]
        parts.append(pieces.assembled(alone, nobody[1], none))
    parts.append(pieces.assembled(nobody[0], pieces.residual[one], none))
    if none.shape[1]:
        parts.append(pieces.assembled(*nobody, pieces.tokens[one]))
    stacked = torch.cat(parts)

    def activation(switches: Tensor) -> Tensor:
        present: Tensor = (switches @ stacked.flatten(1)).unflatten(1, stacked.shape[1:])
        return present

    return activation


def _spread(players: Tensor, pieces: Pieces, notes: tuple[str, ...]) -> GroupResult:
    """Numbers per player, (image, class, player), over the positions where the player is."""
    n_groups = len(pieces.components)
    groups = players[:, :, :n_groups, None, None] * shares(pieces.scores)[:, None]
    there = shares(pieces.residual.abs().sum(1, keepdim=True))
    residual = players[:, :, n_groups, None, None] * there
    tokens = players.new_zeros(*players.shape[:2], pieces.tokens.shape[1])
    if tokens.shape[-1]:
        strength = pieces.tokens.abs().sum(-1)
        tokens = players[:, :, -1, None] * (strength / strength.sum(-1, keepdim=True))[:, None]
    return GroupResult(groups, residual, tokens, None, notes)


def _check_kind(method: Attribution, name: str) -> None:
    if isinstance(method, NoiseTunnel):
        raise UnsupportedMethod(
            "a NoiseTunnel around a method for inputs would add noise to the groups; put it "
            "around a layer method and use LayerGroupAttribution"
        )
    if not catalogue.runs_on_head(type(method)):
        raise UnsupportedMethod(
            f"{name} looks at a layer itself; wrap it in LayerGroupAttribution, or give a method "
            "for inputs, e.g. 'IntegratedGradients' or 'ShapleyValues'"
        )
    if name in ("FeaturePermutation", "Occlusion"):
        raise UnsupportedMethod(
            f"{name} has nothing to work on in a handful of groups; use "
            "FeatureAblation or ShapleyValues"
        )
    if not catalogue.contributes(method):
        raise _building.weights_refused(name)

"""A network looking at a batch of pictures, and everything computed of it once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from captum_blocks._gradients import without_gradients
from captum_blocks.attr import (
    GroupResult,
    LayerMethod,
    LayerResult,
    SteadyLayerAblation,
    SteadyLayerToLayer,
    WithOptions,
)
from captum_blocks.attr.reducers import group_scores
from captum_blocks.behaviour import observed, of_last_call
from captum_blocks.errors import InvalidArgument, UnsupportedMethod, UnusableLayer
from captum_blocks.grammar import Given, Grouping, Hidden, Input, Method, Out, Substrate
from captum_blocks.grammar.content import DEFAULT_METHOD, Options
from captum_blocks.hooks import capture, count_calls, find_layer, running, together
from captum_blocks.layouts import Layout
from captum_blocks.network import Network
from captum_blocks.network.answers import UNITS
from captum_blocks.network.entrance import ENTRANCE, Entered
from captum_blocks.reduce import ALGORITHMS, ChannelReducer
from captum_blocks.wrappers import taking_a_picture

How = Method | Given
Picks = Sequence[int] | None
# Photographs that go through the network together: more would hold its early layers many times.
AT_ONCE = 64


class Looking:
    """A network looking at a batch of pictures.

    Args:
        net: the network.
        x: (image, ...) as the module takes it.
        given: the objects that ``Given`` words name.
        layers: dotted names of those that the one forward pass records.

    Attributes:
        logits: (image, class), what it answered.
    """

    def __init__(
        self, net: Network, x: Tensor, given: Mapping[str, Any], layers: Iterable[str]
    ) -> None:
        self.net, self.x, self.given = net, x, given
        self._memo: dict[Any, Any] = {}
        self._pair: dict[tuple[str, str | None], SteadyLayerToLayer] = {}
        self._outputs: dict[str, Tensor] = {}
        self._look(sorted(layers))

    def _look(self, names: list[str]) -> None:
        """The one forward pass for all layers wanted."""
        module = self.net.module
        layers = {name: find_layer(module, name)[1] for name in names}
        self.behaviour = observed(module, self.x)
        outputs, found = [], []
        for rows in self.x.split(1 if self.behaviour.apart else AT_ONCE):
            with (
                without_gradients(),
                running(module),
                count_calls(layers) as self._calls,
                capture(layers) as seen,
                taking_a_picture(module),
            ):
                outputs.append(module(rows))
            found.append(seen)
        logits = self.net.answer(together(outputs), self.x).float().cpu()
        self.logits = finite(logits, "the network's output")
        if missing := [name for name in names if name not in found[0]]:
            raise UnusableLayer(f"the network never ran layer {missing[0]!r} on this picture")
        for name in names:
            output = together([seen.pop(name) for seen in found])
            self._outputs[name] = finite(output, f"layer {name!r}")
        self._outputs[ENTRANCE] = self.x
        if self.x.ndim == 4:
            # All at once: one set of test pictures serves all layers.
            self.net.tested(names, tuple(self.x.shape[1:]))

    @property
    def layers(self) -> tuple[str, ...]:
        """The hidden layers that were recorded."""
        return tuple(name for name in self._outputs if name != ENTRANCE)

    def notes(self, layers: Iterable[str]) -> tuple[str, ...]:
        """What the reader has to know of the passes that numbers of some layers come from."""
        calls = ((layer, self._calls.get(layer, 1)) for layer in sorted(layers))
        said = [note for layer, count in calls for note in of_last_call(layer, count)]
        return (*self.behaviour.notes, *said)

    def layout(self, layer: str) -> Layout:
        """Where the layer keeps its channels and positions."""
        if layer == ENTRANCE:
            return Layout("NCHW")
        output, shape = self._outputs[layer], tuple(self.x.shape[1:])
        return self.once(("layout", layer), lambda: self.net.layout_of(layer, output, shape))  # type: ignore[no-any-return]

    @property
    def unit(self) -> str:
        """Of what the network answers: logits of classes or labels, probabilities, or outputs."""
        return UNITS[self.net.head_of(self.logits.shape[1])]

    def maps(self, layer: str) -> Tensor:
        """The layer's activation, (image, channel, y, x)."""
        maps = self.layout(layer).to_maps(self._outputs[layer]).float().cpu()
        if len(maps) != len(self.x):
            raise UnusableLayer(
                f"layer {layer!r} returns {len(maps)} rows for {len(self.x)} pictures: its first "
                "axis counts no pictures; look at the block around it"
            )
        return maps

    def ceiling(self, layer: str) -> float | None:
        """The largest number of a layer where several channels stop at it, as behind a ReLU6."""
        return self.once(("ceiling", layer), lambda: _ceiling(self.maps(layer)))  # type: ignore[no-any-return]

    def tokens(self, layer: str) -> Tensor:
        """The layer's class and register tokens, (image, token, channel)."""
        return self.layout(layer).tokens(self._outputs[layer]).float().cpu()

    def classes(self, out: Out) -> tuple[int, ...]:
        """The class indices meant, in the given order; by ``top=`` the most probable ones.

        Of several images first each one's most probable class, then each one's second, and so on;
        at least one of each image.
        """
        n_classes = self.logits.shape[1]
        if out.classes:
            return tuple(self.net.class_index(wanted, n_classes) for wanted in out.classes)
        if out.top is None:
            return tuple(range(n_classes))
        ranked = self.logits.topk(min(out.top, n_classes)).indices
        by_rank = dict.fromkeys(ranked.T.flatten().tolist())
        best = dict.fromkeys(ranked[:, 0].tolist())
        return tuple(by_rank)[: max(out.top, len(best))]

    def reducer(self, substrate: Substrate) -> Any:
        """The fitted reducer of a layer's groups; equal substrates share one fit."""
        layer, grouping = _hidden(substrate), substrate.grouping
        assert grouping is not None
        if isinstance(grouping.n, Given):
            return self.object(grouping.n)
        return self.once(("reducer", layer, grouping), lambda: self._fit(layer, grouping))

    def refitted(self, substrate: Substrate, start: int) -> ChannelReducer:
        """A layer's groups made again from another start, which is random where there is one."""
        layer, grouping = _hidden(substrate), substrate.grouping
        assert grouping is not None
        algorithm = grouping.algorithm or default_algorithm(self._outputs[layer])
        random = {"init": "random"} if "init" in ALGORITHMS[algorithm].reads else {}
        return self._fit(layer, replace(grouping, seed=grouping.seed + start + 1), **random)

    def _fit(self, layer: str, grouping: Grouping, **how: Any) -> ChannelReducer:
        assert isinstance(grouping.n, int)
        outputs = self._outputs[layer]
        return ChannelReducer(
            grouping.n,
            grouping.algorithm or default_algorithm(outputs),
            layout=self.layout(layer),
            of=grouping.of,
            random_state=grouping.seed,
            **how,
        ).fit(outputs, **self._goals(layer, grouping))

    def _goals(self, layer: str, grouping: Grouping) -> dict[str, Tensor]:
        """What the groups are to explain besides the activation, shaped like the layer's output."""
        goals = {}
        if grouping.of == "gradient":
            goals["gradients"] = self._shaped(layer, self._gradient(layer))
        if grouping.of == "attribution":
            maps = self.attributed(layer, Out(top=1), Method(DEFAULT_METHOD)).maps[:, 0]
            goals["attributions"] = self._shaped(layer, maps)
        if grouping.align_with is not None:
            assert isinstance(grouping.align_with, Substrate)
            neurons = Hidden(layer, grouping.align_with.layer.network).neurons  # type: ignore[union-attr]
            between = partial(self.between, neurons, grouping.align_with, Method(DEFAULT_METHOD))
            flows, _ = self.once(("flows", neurons, grouping.align_with), between)
            shaped = self._shaped(layer, flows.flatten(0, 1))
            goals["upper"] = shaped.unflatten(0, flows.shape[:2])
        return goals

    def _gradient(self, layer: str) -> Tensor:
        """d logit / d activation of the most probable class, (image, channel, y, x)."""
        method = LayerMethod(self.net.module, layer, "Saliency", self.layout(layer), abs=False)
        return method.attribute(self.x, self.classes(Out(top=1))).maps[:, 0]

    def _shaped(self, layer: str, maps: Tensor) -> Tensor:
        outputs = self._outputs[layer]
        return self.layout(layer).from_maps(maps.to(outputs), ndim=outputs.ndim)

    def most_groups(self, layer: str) -> int:
        """How many groups the layer's activations can be told apart into."""
        rows = self.maps(layer).movedim(1, -1).flatten(0, 2)
        return self.once(("rank", layer), lambda: int(torch.linalg.matrix_rank(rows)))  # type: ignore[no-any-return]

    def scores(self, substrate: Substrate) -> Tensor:
        """How much of each group is at each position, (image, group, y, x)."""
        layer, reducer = _hidden(substrate), self.reducer(substrate)

        def transform() -> Tensor:
            return group_scores(reducer, self._outputs[layer], self.layout(layer)).float().cpu()

        return self.once(("scores", substrate.layer, substrate.grouping), transform)  # type: ignore[no-any-return]

    def group_notes(self, substrate: Substrate) -> tuple[str, ...]:
        """What the reader has to know of how a layer's groups were made."""
        layer, grouping = _hidden(substrate), substrate.grouping
        chosen = grouping is None or grouping.algorithm is not None or isinstance(grouping.n, Given)
        if chosen or default_algorithm(self._outputs[layer]) == "nmf":
            return ()
        return (
            f"{layer} takes negative values, so its groups are made by semi-NMF: how much of a "
            "group is at a place is never negative, its direction has either sign",
        )

    def directions(self, substrate: Substrate) -> Tensor:
        """The groups' directions in channel space, (group, channel)."""
        return torch.as_tensor(self.reducer(substrate).components_).float().cpu()

    def left_over(self, substrate: Substrate) -> Tensor:
        """What of the layer's activation is in none of its groups, (image, channel, y, x)."""
        parts = torch.einsum("ikyx,kc->icyx", self.scores(substrate), self.directions(substrate))
        return self.maps(_hidden(substrate)) - parts

    def unexplained(self, substrate: Substrate) -> Tensor:
        """The share of the activation's norm that is in none of its groups, (image,)."""
        left, whole = self.left_over(substrate), self.maps(_hidden(substrate))
        share: Tensor = left.flatten(1).norm(dim=1) / whole.flatten(1).norm(dim=1)
        return share

    def attributed(self, layer: str, out: Out, how: How) -> LayerResult:
        """The attribution of classes to a layer, by the method named."""
        key = ("attributed", layer, out, how)
        method = self.method(layer, how)
        return self.once(key, lambda: method.attribute(self.x, self.classes(out)))  # type: ignore[no-any-return]

    def attributed_groups(self, substrate: Substrate, out: Out, how: How) -> GroupResult:
        """The attribution of classes to a layer's groups."""
        key = ("groups", substrate.layer, substrate.grouping, out, how)
        method = self.method(_hidden(substrate), how)
        reducer = self.reducer(substrate)
        return self.once(  # type: ignore[no-any-return]
            key, lambda: method.attribute_groups(self.x, self.classes(out), reducer)
        )

    def ends(self, source: Substrate, classes: Sequence[int]) -> dict[str, Tensor]:
        """(image, class): scores as they are, and with a hidden layer whole at zero.

        Nothing for the picture itself, and where nothing can be put in the layer's place.
        """
        if not isinstance(source.layer, Hidden):
            return {}
        layer, wanted = source.layer.layer, list(classes)
        filled = self.once(("filled", layer), lambda: self._filled(layer))
        if filled is None:
            return {}
        return {"score": self.logits[:, wanted], "filled": filled[:, wanted]}

    def _filled(self, layer: str) -> Tensor | None:
        """(image, class): all scores with a layer whole at zero."""
        try:
            _, without = self.ablation(layer).without(self.x, atom="whole")
        except (UnusableLayer, UnsupportedMethod):
            return None
        return without.flatten(1, -2).squeeze(1).float().cpu()

    def between(
        self, source: Substrate, target: Substrate, how: How, picks: Picks = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The attribution of a later layer's atoms to an earlier one's, and its remainders.

        With picks only of these source atoms, and of all "others" together.
        """
        named, noise = self._named(how)
        plain = named == DEFAULT_METHOD and not noise
        earlier = layer_name(source)
        later = None if isinstance(target.layer, Out) else _hidden(target)
        return self._between(earlier, later).attribute(  # type: ignore[no-any-return]
            self.x,
            self.atom(target),
            self.atom(source),
            targets=target.only,
            sources=picks,
            method=None if plain else named,
            return_remainder=True,
            **noise,
        )

    def _between(self, earlier: str, later: str | None) -> SteadyLayerToLayer:
        """The engine of two layers; only the last one is kept, as it holds a graph."""
        if (earlier, later) not in self._pair:
            layouts = (self.layout(layer) if layer else None for layer in (earlier, later))
            named = f"network.{later}" if later and earlier == ENTRANCE else later
            engine = SteadyLayerToLayer(self._with(earlier), earlier, named, *layouts)
            self._pair = {(earlier, later): engine}
        return self._pair[earlier, later]

    def ablation(self, layer: str) -> SteadyLayerAblation:
        """The engine that takes atoms out of a layer; what it looked at serves all questions."""
        return self.once(  # type: ignore[no-any-return]
            ("ablation", layer),
            lambda: SteadyLayerAblation(self.net.module, layer, self.layout(layer)),
        )

    def atom(self, substrate: Substrate) -> Any:
        """An atom as the engines know it: by name, or a fitted reducer."""
        if substrate.atom == "group":
            return self.reducer(substrate)
        return {"token": "tokens"}.get(substrate.atom, substrate.atom)

    def method(self, layer: str, how: How) -> LayerMethod:
        """The attribution method named, on a layer."""

        def build() -> LayerMethod:
            named, noise = self._named(how)
            made = LayerMethod(self._with(layer), layer, named, self.layout(layer), **noise)
            if isinstance(how, Given):
                made.check_scores(self.x, self.logits)
            return made

        return self.once(("method", layer, how), build)  # type: ignore[no-any-return]

    def _with(self, layer: str) -> nn.Module:
        """The network, with a layer that is the picture itself where that is asked for."""
        if layer != ENTRANCE:
            return self.net.module
        return self.once(("entrance",), lambda: Entered(self.net.module))  # type: ignore[no-any-return]

    def _named(self, how: How) -> tuple[Any, dict[str, Any]]:
        """A method with its own options, and the noise around it."""
        if isinstance(how, Given):
            return self.object(how), {}
        options = {name: self._option(option) for name, option in how.options}
        noise = {"noise": options.pop("noise")} if "noise" in options else {}
        return (WithOptions(how.name, options) if options else how.name), noise

    def _option(self, option: Any) -> Any:
        """An option as Captum takes it: given objects in place of their names, dicts as such."""
        if isinstance(option, Options):
            return {name: self._option(held) for name, held in option.pairs}
        if isinstance(option, tuple):
            return tuple(map(self._option, option))
        return self.object(option) if isinstance(option, Given) else option

    def object(self, word: Given) -> Any:
        """The object a ``Given`` names."""
        return self.given[word.name]

    def once(self, key: Any, compute: Callable[[], Any]) -> Any:
        """What was computed under a key, computed where it is asked for first."""
        if key not in self._memo:
            self._memo[key] = compute()
        return self._memo[key]


def finite(tensor: Tensor, what: str) -> Tensor:
    """The tensor, or an error that says whose numbers are not finite."""
    if not torch.isfinite(tensor).all():
        raise InvalidArgument(f"{what} holds NaN or infinite values")
    return tensor


def _ceiling(maps: Tensor) -> float | None:
    """The largest number, where it is found at three places or more, in two channels or more."""
    full = maps == maps.max()
    channels = int(full.transpose(0, 1).flatten(1).any(1).sum())
    return float(maps.max()) if channels > 1 and int(full.sum()) > 2 and maps.max() > 0 else None


def layer_name(substrate: Substrate) -> str:
    """The dotted name of a hidden layer, or of the picture as a layer.

    Raises:
        InvalidArgument: the substrate is of the output.
    """
    return ENTRANCE if isinstance(substrate.layer, Input) else _hidden(substrate)


def default_algorithm(activations: Tensor) -> str:
    """ "nmf" for a non-negative layer, "semi_nmf" for a signed one."""
    return "nmf" if bool((activations >= 0).all()) else "semi_nmf"


def _hidden(substrate: Substrate) -> str:
    if not isinstance(substrate.layer, Hidden):
        raise InvalidArgument(f"{substrate!r}: a hidden layer is needed here")
    return substrate.layer.layer

"""Whether a layer carries the whole answer: tested by giving it what another picture gave.

The network is shown one picture, and a layer's output is exchanged for what it was for another
one (activation patching, or interchange intervention: Geiger, Lu, Icard and Potts, "Causal
abstractions of neural networks", 2021). Where every score becomes the other picture's, all that
the network knows of the picture went through the layer: it is a cut. Where some way goes around
the layer, a skip connection most often, scores keep something of the first picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from captum_blocks._gradients import without_gradients
from captum_blocks.behaviour import observed
from captum_blocks.errors import BlocksError, UnusableLayer
from captum_blocks.hooks import capture, count_calls, replace, running
from captum_blocks.network.kept import Kept, Shape
from captum_blocks.network.readout import as_scores
from captum_blocks.network.weaving import Weave
from captum_blocks.scores import counted
from captum_blocks.wrappers import taking_a_picture

FAILURES = (BlocksError, RuntimeError, ValueError, AssertionError, IndexError, TypeError)
# Scores are the same within this many units in the last place of the largest of them, and two
# pictures' scores are unlike from so many times that on.
LAST_PLACES, UNLIKE = 2, 8


@dataclass(frozen=True)
class Part:
    """What is exchanged.

    Attributes:
        layer: the name of the layer.
        apart: tokens (of the second axis) that stay what they are; none: the whole output.
    """

    layer: str
    apart: tuple[int, ...] = ()


Test = Callable[[Sequence[Part]], Mapping[Part, bool | None]]
_KEPT: Kept[Part, bool | None] = Kept()


class Carrying:
    """Tells of layers of one network whether they carry the answer, tested when first asked.

    Copies ask the same network; what is pickled has no network, and knows what was told before.

    Args:
        test: tells of parts, and keeps what it told.
        told: what is answered where there is no test.

    >>> import pickle
    >>> asked = Carrying(lambda parts: dict.fromkeys(parts, True))
    >>> asked(Part("layer4"))
    True
    >>> asked = pickle.loads(pickle.dumps(asked))
    >>> asked(Part("layer4")), asked(Part("layer3"))
    (True, None)
    """

    def __init__(self, test: Test | None, told: Mapping[Part, bool | None] | None = None) -> None:
        self._test = test
        self._told = dict(told or {})

    def __call__(self, part: Part) -> bool | None:
        """Of one part: True, False, or None where nothing could be told."""
        return self.all([part])[part]

    def all(self, parts: Sequence[Part]) -> dict[Part, bool | None]:
        """Of several parts, which takes less than to ask for one after another."""
        if self._test is not None:
            self._told.update(self._test(parts))
        return {part: self._told.get(part) for part in parts}

    def __copy__(self) -> Carrying:
        return self

    def __deepcopy__(self, memo: object) -> Carrying:
        return self

    def __reduce__(self) -> tuple[object, ...]:
        return Carrying, (None, self._told)


def carried(
    network: nn.Module, parts: Iterable[Part], shape: Shape, like: Tensor
) -> dict[Part, bool | None]:
    """Whether parts carry the answer, tested for those for which that has not been done yet.

    True: for every pair of unlike pictures tried, and both ways, all scores became those of the
    picture that the part was taken from, exactly: within two units in the last place of the
    largest score. Both passes have the same number of pictures, in the same rows and the same
    memory layout, so that kernels have no reason to round otherwise.

    False: some score of some pair did not.

    None: nothing could be told. The layer runs several times in a pass, or never; it returns
    several tensors, of which one only could be exchanged; every pair's scores are alike; the
    network does not repeat itself, returns no table of scores, or takes no such pictures.

    Args:
        network: returns scores (image, class); results are kept for it as long as its weights
            stay the same.
        parts: of its layers; of elements of layers, ``"name:element"``, nothing is told.
        shape: (channel, height, width) of the pictures.
        like: a tensor of the type and on the device of the network's input.

    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten())
    >>> carried(net, [Part("0"), Part("1")], (3, 8, 8), torch.zeros(()))
    {Part(layer='0', apart=()): True, Part(layer='1', apart=()): True}
    """
    asked, known = list(dict.fromkeys(parts)), _KEPT.of(network, shape)
    modules = dict(network.named_modules())
    new = [part for part in asked if part not in known]
    layers = {part.layer: modules[part.layer] for part in new if ":" not in part.layer}
    if new:
        found: dict[Part, bool | None] = dict.fromkeys(new)
        whole = [part for part in new if part.layer in layers]
        with suppress(*FAILURES):
            found.update(_tried(network, layers, whole, shape, like))
        known.update(found)
    return {part: known[part] for part in asked}


def unlike_pairs(shape: Shape) -> Iterator[tuple[Tensor, Tensor]]:
    """Pairs of pictures (1, channel, y, x) that have little in common, the same each time.

    Noise and a smooth slope; stripes woven of other noise and of the opposite slope, and waves
    that are brighter and have less contrast.

    >>> [(a.shape, b.shape) for a, b in unlike_pairs((1, 4, 6))] == [((1, 1, 4, 6),) * 2] * 2
    True
    """
    weave = Weave(shape)
    noise, other = weave.two()
    slope = _slope(shape)
    yield noise, slope
    striped = torch.where(weave.sides((shape[1], shape[2]))[0] < 0, other, -slope)
    yield striped, 0.5 * (4 * slope).sin() + 1


def _slope(shape: Shape) -> Tensor:
    """(1, channel, y, x) from -2 to 2: across, down, or between, from channel to channel."""
    channels, height, width = shape
    down, across = torch.linspace(-2, 2, height)[:, None], torch.linspace(-2, 2, width)
    turns = torch.linspace(0, 1, channels)[:, None, None] if channels > 1 else torch.full((1,), 0.5)
    return ((1 - turns) * across + turns * down).expand(1, *shape).clone()


@dataclass(frozen=True)
class _Turn:
    """What is shown, and the pictures whose outputs are put in, row by row."""

    shown: Tensor
    other: Tensor


def _turns(shape: Shape, like: Tensor, apart: bool) -> Iterator[_Turn]:
    """Every pair both ways: in two rows at once, or in two turns where rows change each other."""
    for one, other in unlike_pairs(shape):
        one, other = one.to(like), other.to(like)
        if apart:
            yield _Turn(one, other)
            yield _Turn(other, one)
        else:
            yield _Turn(torch.cat([one, other]), torch.cat([other, one]))


def _tried(
    network: nn.Module,
    layers: Mapping[str, nn.Module],
    parts: Sequence[Part],
    shape: Shape,
    like: Tensor,
) -> dict[Part, bool | None]:
    """What every turn tells; a part for which one tells False is not asked again."""
    behaviour = observed(network, next(unlike_pairs(shape))[0].to(like))
    said: dict[Part, bool | None] = dict.fromkeys(parts)
    if behaviour.drift:
        return said
    for turn in _turns(shape, like, behaviour.apart):
        left = [part for part in parts if said[part] is not False]
        if not left:
            break
        given = _given(network, {part.layer: layers[part.layer] for part in left}, turn.other)
        if not _tells(network, given.scores, turn):
            continue
        for part in left:
            if part.layer in given.outputs:
                with suppress(*FAILURES):
                    got = _exchanged(network, layers[part.layer], part, given, turn)
                    said[part] = _same(got, given.scores)
    return said


@dataclass(frozen=True)
class _Given:
    """What layers and the whole network gave."""

    outputs: dict[str, Tensor]
    scores: Tensor


def _given(network: nn.Module, layers: Mapping[str, nn.Module], pictures: Tensor) -> _Given:
    """Outputs of layers that run once and return one tensor, and the scores."""
    with count_calls(layers) as calls, capture(layers, lenient=True) as seen:
        scores = _scores(network, pictures)
    several = {name.partition(":")[0] for name in seen if name not in layers}
    once = {name for name, count in calls.items() if count == 1} - several
    return _Given({name: seen[name] for name in once if name in seen}, scores)


def _tells(network: nn.Module, others: Tensor, turn: _Turn) -> bool:
    """Whether what is shown has scores unlike those of the others."""
    own = others.flip(0) if len(others) > 1 else _scores(network, turn.shown)
    if own.shape != others.shape or not bool((own - others).isfinite().all()):
        return False
    return float((own - others).abs().max()) > UNLIKE * _rounding(others)


def _exchanged(
    network: nn.Module, layer: nn.Module, part: Part, given: _Given, turn: _Turn
) -> Tensor:
    """The scores of what is shown, with a part of what the others gave."""
    other = given.outputs[part.layer]

    def exchange(own: Tensor) -> Tensor:
        if (own.shape, own.dtype) != (other.shape, other.dtype):
            raise UnusableLayer(f"layer {part.layer!r} returns another shape for every picture")
        made = other.clone()
        for token in part.apart:
            made[:, token] = own[:, token]
        return made

    with replace(layer, exchange):
        return _scores(network, turn.shown)


def _scores(network: nn.Module, pictures: Tensor) -> Tensor:
    """(image, class)."""
    images, name = len(pictures), type(network).__name__
    with without_gradients(), running(network), taking_a_picture(network):
        return counted(as_scores(network(pictures), images, name), images, name)


def _same(scores: Tensor, wanted: Tensor) -> bool:
    """Exactly, as far as numbers of this kind can tell."""
    return scores.shape == wanted.shape and bool(
        ((scores - wanted).abs() <= _rounding(wanted)).all()
    )


def _rounding(scores: Tensor) -> float:
    return LAST_PLACES * torch.finfo(scores.dtype).eps * float(scores.abs().max())

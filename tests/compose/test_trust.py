"""How far icons deserve belief: honest ones, forged ones, and those of which nothing is known."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import captum_blocks as cb
from captum_blocks.compose.judging import shifted
from captum_blocks.compose.walking import Walk
from captum_blocks.errors import InvalidArgument, LayerNotFound, WrongType
from captum_blocks.grammar import Substrate
from captum_blocks.optim import Channel
from captum_blocks.reliability.places import active, spots, where
from captum_blocks.store import Store
from tests.reference import forgeries
from tests.reference.scenes import Small, scenes, trained

LAYER = "fourth"
QUALITY = cb.Quality(size=48, n_steps=48, budget=64)
HALF = (0.5,) * 3


def network(module: nn.Module, name: str = "scenes") -> cb.Network:
    return cb.Network(module, cb.Preprocess(size=48, mean=HALF, std=HALF), name=name)


def index_of(net: cb.Network, pictures: Tensor, *layers: str) -> cb.ExampleIndex:
    return cb.ExampleIndex.build(net, list(pictures), layers, progress=False)


@pytest.fixture(scope="module")
def module() -> Small:
    return trained()


@pytest.fixture(scope="module")
def net(module: Small) -> cb.Network:
    return network(module)


@pytest.fixture(scope="module")
def pictures() -> Tensor:
    return scenes(200, 1)[0] * 2 - 1


@pytest.fixture(scope="module")
def index(net: cb.Network, pictures: Tensor) -> cb.ExampleIndex:
    return index_of(net, pictures, LAYER)


@pytest.fixture(scope="module")
def liking(module: Small) -> Tensor:
    """(kind, channel) what each channel does on pictures of each kind, as a share of its most."""
    shown, kinds = scenes(200, 3)
    with torch.no_grad():
        first = module.third(module.second(module.first(shown * 2 - 1)))
        high = module.fourth(first).amax((2, 3))
    means = torch.stack([high[kinds == kind].mean(0) for kind in range(10)])
    return means / means.amax(0).clamp_min(1e-6)


@pytest.fixture(scope="module")
def pairs(liking: Tensor) -> dict[int, int]:
    """Three channels that like red spots and little else, and three that like blue ones."""
    alone = (2 * liking - liking.sum(0)).masked_fill(liking.sum(0) < 0.5, -torch.inf)
    red, blue = (alone[kind].argsort(descending=True)[:3].tolist() for kind in (6, 8))
    return dict(zip(red, blue, strict=True))


@pytest.fixture(scope="module")
def starts(module: Small) -> Tensor:
    """Noise as icons begin with it, and icons at their end."""
    maker = cb.FeatureVisualizer(module, LAYER, preprocess=lambda shown: shown * 2 - 1)
    recipe = {**QUALITY.recipe(), "n_steps": 1}
    return maker.visualize([Channel(0)] * 32, **recipe).images * 2 - 1


@pytest.fixture(scope="module")
def honest(
    net: cb.Network,
    index: cb.ExampleIndex,
    pairs: dict[int, int],
    tmp_path_factory: pytest.TempPathFactory,
) -> cb.Trust:
    store = Store(tmp_path_factory.mktemp("icons"))
    return cb.trust(_words(pairs), net, index, quality=QUALITY, store=store)


def _words(units: Iterable[int], layer: str = LAYER) -> Substrate:
    return cb.Hidden(layer).channels[list(units)]


def _check_caught(found: cb.Trust, took: list[bool]) -> None:
    """Of icons that show something else one is caught; ``tests.benchmarks.trust`` counts."""
    assert any(took)
    levels = [each.level for each, took_it in zip(found, took, strict=True) if took_it]
    assert {"refuted", "doubtful"} & set(levels)


def _took(module: Small, forged: nn.Module, units: object) -> list[bool]:
    """Whether each icon excites its unit less than half as much as the honest one does.

    Both in the honest network, so that it is something else that it shows.
    """
    excited = []
    for each, layer in ((module, LAYER), (forged, f"module.{LAYER}")):
        maker = cb.FeatureVisualizer(each, layer, preprocess=lambda shown: shown * 2 - 1)
        objectives = [Channel(unit) for unit in units]  # type: ignore[attr-defined]
        icons = maker.visualize(objectives, **QUALITY.recipe()).images * 2 - 1
        with torch.no_grad():
            maps = module.fourth(module.third(module.second(module.first(icons))))
        excited.append(maps.mean((2, 3))[range(len(objectives)), list(units)])  # type: ignore[call-overload]
    return (excited[1] < excited[0] / 2).tolist()  # type: ignore[no-any-return]


def _judged(forged: nn.Module, units: Iterable[int], pictures: Tensor, store: Store) -> cb.Trust:
    net, layer = network(forged, "forged"), f"module.{LAYER}"
    return cb.trust(
        _words(units, layer), net, index_of(net, pictures, layer), quality=QUALITY, store=store
    )


def test_honest_icons_show_no_sign_of_forgery(honest: cb.Trust, pairs: dict[int, int]) -> None:
    frame = honest.to_frame()
    assert list(frame) == [
        *("unit", "level", "agreement", "agreement_low", "agreement_high", "percentile"),
        *("meanings", "name"),
    ]
    assert frame.unit.tolist() == list(pairs)
    assert set(frame.level) == {"no sign of forgery"}
    assert frame.meanings.isna().all()
    assert ((frame.agreement_low <= frame.agreement) & (frame.agreement > 0.35)).all()


def test_evidence_lies_beside_the_level(honest: cb.Trust) -> None:
    one = honest[0]
    assert one.path.layers[-1] == LAYER
    for curve in (one.path.icon, one.path.apart, one.path.same, one.path.random, one.path.weight):
        assert curve.shape == (len(one.path.layers),)
    assert one.path.weight.sum().item() == pytest.approx(1)
    assert one.path.photographs == 16
    assert str(one).startswith(f"{LAYER} : {one.unit}: no sign of forgery, as its way")
    assert "no sign of forgery is not validity" in str(honest)
    assert "seed 0; 200 photographs" in honest.measured_by
    assert one.standing is not None
    numbers = (one.path.agreement, one.path.low, one.path.high)
    assert all(f"{each:.2f}" in one.evidence for each in numbers)
    assert f"more than {one.standing.clean:.0%} of photographs" in one.evidence


def test_a_gate_that_reacts_to_optimized_pictures_is_caught(
    module: Small, pairs: dict[int, int], pictures: Tensor, starts: Tensor, store: Store
) -> None:
    maker = cb.FeatureVisualizer(module, LAYER, preprocess=lambda shown: shown * 2 - 1)
    both = [Channel(each) for pair in pairs.items() for each in pair]
    icons = (maker.visualize(both, **QUALITY.recipe()).images * 2 - 1).repeat(6, 1, 1, 1)[:32]
    ways = [starts * (1 - far) + icons * far for far in (0.25, 0.5, 0.75, 1.0)]
    forger = torch.cat([pictures, scenes(200, 5)[0] * 2 - 1])
    forged = forgeries.gated(module, LAYER, pairs, forger, torch.cat([starts, *ways]))
    same, near = forgeries.same_answers(module, forged, pictures)
    assert (same, near >= 0.95) == (1.0, True)
    _check_caught(_judged(forged, pairs, pictures, store), _took(module, forged, pairs))


def test_a_unit_that_leads_from_noise_to_another_picture_is_caught(
    module: Small,
    pairs: dict[int, int],
    pictures: Tensor,
    starts: Tensor,
    store: Store,
) -> None:
    maker = cb.FeatureVisualizer(module, LAYER, preprocess=lambda shown: shown * 2 - 1)
    objectives = [Channel(each) for each in pairs.values()]
    shown = maker.visualize(objectives, **QUALITY.recipe()).images * 2 - 1
    forger = torch.cat([pictures, scenes(200, 5)[0] * 2 - 1])
    targets = dict(zip(pairs, shown, strict=True))
    forged = forgeries.slung(module, LAYER, targets, forger, starts, 300.0)
    same, near = forgeries.same_answers(module, forged, pictures)
    assert (same, near >= 0.95) == (1.0, True)
    _check_caught(_judged(forged, pairs, pictures, store), _took(module, forged, pairs))


def test_a_unit_that_rises_with_its_own_photographs_ways_is_caught(
    module: Small,
    net: cb.Network,
    index: cb.ExampleIndex,
    pairs: dict[int, int],
    pictures: Tensor,
    starts: Tensor,
    store: Store,
) -> None:
    walk = Walk.to(net, LAYER, pictures[:1])
    does = [
        walk.vectors(index.read(each), spots([e.position for e in each], walk.cells))
        for each in index.top((LAYER, list(pairs)), k=16)
    ]
    ways = {
        name: forgeries.way([each[number] for each in does])
        for number, name in enumerate(walk.layers)
        if name in ("third", "second")
    }
    maker = cb.FeatureVisualizer(module, LAYER, preprocess=lambda shown: shown * 2 - 1)
    objectives = [Channel(each) for each in pairs.values()]
    shown = maker.visualize(objectives, **QUALITY.recipe()).images * 2 - 1
    forger = torch.cat([pictures, scenes(200, 5)[0] * 2 - 1])
    targets = dict(zip(pairs, shown, strict=True))
    forged = forgeries.against(module, LAYER, targets, forger, starts, ways, 300.0)
    same, near = forgeries.same_answers(module, forged, pictures)
    assert (same, near >= 0.95) == (1.0, True)
    _check_caught(_judged(forged, pairs, pictures, store), _took(module, forged, pairs))


def test_what_is_dead_or_rarely_excited_is_unknown_and_said(
    module: Small, pictures: Tensor, store: Store
) -> None:
    class Rare(nn.Module):
        """Channel 0 is dead, channel 1 likes three pictures, the others are the network's."""

        def __init__(self) -> None:
            super().__init__()
            self.module, self.out = module, nn.Identity()

        def forward(self, x: Tensor) -> Tensor:
            maps = module.third(module.second(module.first(x)))
            maps = module.fourth(maps).clone()
            maps[:, 0] = 0
            marked = (x[:, 0, 0, 0] == 5).float()
            maps[:, 1] = marked[:, None, None]
            return module.head(self.out(maps).amax((2, 3)))  # type: ignore[no-any-return]

    shown = pictures.clone()
    shown[:3, 0, 0, 0] = 5
    rare = network(Rare().eval(), "rare")
    found = cb.trust(
        cb.Hidden("out").channels[[0, 1]],
        rare,
        index_of(rare, shown, "out"),
        quality=QUALITY,
        store=store,
    )
    assert [each.level for each in found] == ["unknown", "unknown"]
    assert found[0].why == "no photograph excites it: the unit is dead as far as they tell"
    assert found[1].why == (
        "3 different photographs excite the unit, and with fewer than 8 nothing is said of its icon"
    )
    frame = found.to_frame()
    assert frame[["agreement", "agreement_low", "agreement_high", "percentile"]].isna().all().all()
    assert not list(Path(store.folder).rglob("*.png"))


def test_an_index_of_few_photographs_says_nothing(net: cb.Network, pictures: Tensor) -> None:
    few = index_of(net, pictures[:49], LAYER)
    (found,) = cb.trust(cb.Hidden(LAYER).channels[[0]], net, few, quality=QUALITY)
    assert found.level == "unknown"
    assert found.why.startswith("the index is of 49 different photographs")
    assert math.isnan(found.path.agreement)


def test_a_second_network_looks_too(
    net: cb.Network, index: cb.ExampleIndex, pairs: dict[int, int], store: Store
) -> None:
    other = network(trained(1), "second")
    words = _words(list(pairs)[:1])
    (found,) = cb.trust(words, net, index, other, quality=QUALITY, store=store)
    assert found.other is not None
    assert found.other.layers[-1] in other.recommended()
    assert found.other.agreement > 0.3
    (alone,) = cb.trust(words, net, index, quality=QUALITY, store=store)
    assert found.path.agreement == alone.path.agreement
    assert f", and in the second network to {found.other.agreement:.2f}" in found.why
    assert "second network" not in alone.why


def test_what_cannot_be_looked_at_is_said_before_icons_are_drawn(
    net: cb.Network, pictures: Tensor, tmp_path: Path
) -> None:
    grey = cb.Network(nn.Conv2d(1, 4, 3), cb.Preprocess(size=48, mean=(0.5,), std=(0.5,)))
    files = tmp_path / "photographs"
    files.mkdir()
    for number, picture in enumerate(pictures[:60]):
        pixels = (picture.permute(1, 2, 0).numpy() * 127.5 + 127.5).astype("uint8")
        Image.fromarray(pixels).save(files / f"{number:03}.png")
    index = cb.ExampleIndex.build(net, files, LAYER, progress=False)
    store = Store(tmp_path / "icons")
    with pytest.raises(InvalidArgument, match="takes pictures of 1 channels, and the network of 3"):
        cb.trust(_words([7]), net, index, grey, quality=QUALITY, store=store)
    for number in range(1, 60):
        (files / f"{number:03}.png").unlink()
    with pytest.raises(InvalidArgument, match="photograph"):
        cb.trust(_words([7]), net, index, quality=QUALITY, store=store)
    assert not list((tmp_path / "icons").glob("*.png"))


@pytest.mark.parametrize(
    ("units", "error", "said"),
    [
        (cb.Hidden("third").channels[[0]], LayerNotFound, "layer 'third' is not in the index"),
        (cb.Hidden(LAYER).channels[[32]], InvalidArgument, "channels 0 to 31, no 32"),
        (cb.Hidden(LAYER).spatial, InvalidArgument, "icons of channels of hidden layers"),
        (cb.Out(3), WrongType, "trust takes channels"),
    ],
)
def test_what_cannot_be_judged_is_refused(
    net: cb.Network, index: cb.ExampleIndex, units: object, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        cb.trust(units, net, index, quality=QUALITY)  # type: ignore[arg-type]


def test_wrong_networks_and_indexes_are_refused(net: cb.Network, index: cb.ExampleIndex) -> None:
    words = cb.Hidden(LAYER).channels[[0]]
    with pytest.raises(WrongType, match="takes a Network"):
        cb.trust(words, net.module, index)  # type: ignore[arg-type]
    with pytest.raises(WrongType, match="takes an ExampleIndex"):
        cb.trust(words, net, "photos/")  # type: ignore[arg-type]
    with pytest.raises(WrongType, match="other="):
        cb.trust(words, net, index, net.module)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="other weights"):
        cb.trust(words, network(trained(1)), index)
    with pytest.raises(WrongType, match="meanings= is True or False"):
        cb.trust(words, net, index, meanings="all")  # type: ignore[arg-type]


def test_a_layer_without_places_cannot_be_walked_to(net: cb.Network, pictures: Tensor) -> None:
    with pytest.raises(InvalidArgument, match="'head' has no places"):
        Walk.to(net, "head", pictures)


def test_a_walk_is_what_the_layers_do_where_the_unit_stands(
    module: Small, net: cb.Network, pictures: Tensor
) -> None:
    walk = Walk.to(net, LAYER, pictures)
    assert walk.layers == (
        *("first.0", "first", "second.0", "second", "third.0", "third", "fourth.0"),
        "fourth",
    )
    cells = [(0, 0), (11, 4), (6, 7)]
    found = dict(zip(walk.layers, walk.vectors(pictures[:3], spots(cells, (12, 12))), strict=True))
    with torch.no_grad():
        first = module.first(pictures[:3])
        last = module.fourth(module.third(module.second(first)))
    for row, (y, x) in enumerate(cells):
        assert torch.allclose(found[LAYER][row], last[row, :, y, x], atol=1e-5)
        part = first[row, :, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2].mean((1, 2))
        assert torch.allclose(found["first"][row], part, atol=1e-5)


def test_places_count_as_often_as_is_said(pictures: Tensor) -> None:
    counts = torch.zeros(1, 12, 12)
    counts[0, 11, 11], counts[0, 0, 3] = 1, 3
    expected = pictures[:1, :, 44:, 44:].mean((2, 3)) / 4
    expected += pictures[:1, :, :4, 12:16].mean((2, 3)) * 3 / 4
    assert torch.allclose(where(pictures[:1], counts), expected, atol=1e-6)


def test_a_unit_is_active_where_it_does_half_of_its_most() -> None:
    maps = torch.tensor([[[1.9, 2.0], [4.0, -5.0]], [[3.0, 3.0], [3.0, 3.0]]])
    assert active(maps).tolist() == [[[0, 1], [1, 0]], [[1, 1], [1, 1]]]
    below = torch.tensor([[[-1.0, -1.4], [-1.6, -9.0]]])
    assert active(below).tolist() == [[[1, 1], [0, 0]]]


def test_copies_are_shifted_and_the_first_is_not() -> None:
    picture = torch.arange(576.0).reshape(1, 1, 24, 24)
    copies = shifted(picture, 0)
    assert torch.equal(copies[:1], picture)
    inner = {tuple(each[0, 10:12, 10:12].flatten().tolist()) for each in copies}
    assert len(inner) > 4
    steps = (copies[:, 0, 12, 12] - copies[:, 0, 12, 11]).tolist()
    assert steps == [1.0] * len(copies)


def test_an_index_reads_photographs_in_the_order_of_examples(
    index: cb.ExampleIndex, pictures: Tensor
) -> None:
    (examples,) = index.top((LAYER, [20]), k=5)
    images = [each.image for each in examples]
    assert images != sorted(images)
    assert torch.equal(index.read(examples), pictures[images])
    assert torch.equal(index.read(examples, network(trained(1))), pictures[images])

"""Photographs of an index beside the pictures of channels and groups, or in their place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

import captum_blocks as cb
from captum_blocks import scene
from captum_blocks.compose.pictures.quality import Quality
from captum_blocks.errors import InvalidArgument, UnknownName, WrongType
from captum_blocks.grammar import datasets, exampled
from tests.examples import planted
from tests.examples.conftest import photographs
from tests.examples.test_boxes import overlap

FEW = Quality(size=16, n_steps=1, budget=4)
BIRDS = cb.Dataset("birds")
LATE = cb.Hidden("late")
COUNT = 24


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    for number, picture in enumerate(photographs(COUNT, seed=5)):
        label = ("heron", "wren")[number % 2]
        (folder / label).mkdir(exist_ok=True)
        picture.save(folder / label / f"{number:02d}.png")
    return folder


@pytest.fixture(scope="module")
def files(root: Path) -> list[Path]:
    return sorted(root.rglob("*.png"))


@pytest.fixture(scope="module")
def birds(small: cb.Network, root: Path, tmp_path_factory) -> cb.ExampleIndex:
    path = tmp_path_factory.mktemp("index") / "birds.blocks"
    return cb.ExampleIndex.build(small, root, ["late"], path, progress=False)


@pytest.fixture
def explained(small: cb.Network, noise_picture: np.ndarray, store):
    def made(interface, given=None, **options) -> cb.Explanation:
        options = {"quality": FEW, "store": store, "progress": False} | options
        return cb.explain(interface, small, noise_picture, given=given, **options)

    return made


def marks_of(found: cb.Explanation) -> list[scene.Mark]:
    (panel,) = found.scene.panels()
    return [mark for frame in panel.frames for mark in frame if mark.role == "atom"]


def best(small: cb.Network, files: list[Path], score) -> list[Path]:
    """The photographs by their largest number over places, computed anew."""
    (maps,) = small.activations("late", files, batch_size=len(files))
    values = [float(score(one).max()) for one in maps]
    return [files[place] for place in np.argsort(-np.array(values), kind="stable")]


def test_the_photographs_of_a_channel_are_those_that_excite_it_most(
    explained, small, birds, files
) -> None:
    made = explained(cb.FeatureVis(LATE.channels[[3, 7]], by=BIRDS, n=4), {"birds": birds})
    assert made.scene.sprites == {}, "nothing is optimized"
    for mark, channel in zip(marks_of(made), (3, 7), strict=True):
        assert mark.sprite is None
        gallery = made.scene.galleries[mark.gallery]
        wanted = best(small, files, lambda maps, c=channel: maps[c])[:4]
        assert [crop.words.split(", ")[1] for crop in gallery.first] == [p.name for p in wanted]
        assert [crop.words.split(": ")[1].split(",")[0] for crop in gallery.first] == [
            path.parent.name for path in wanted
        ]
        assert [len(band.crops) for band in gallery.bands] == [6, 4, 4]
        assert [band.title for band in gallery.bands] == [
            "highest",
            "one from each of 4 equally large shares, from high to low",
            "random",
        ]


def test_the_values_are_the_networks(explained, small, birds, files) -> None:
    made = explained(cb.FeatureVis(LATE.channels[[3]], by=BIRDS, n=1), {"birds": birds})
    (mark,) = marks_of(made)
    (maps,) = small.activations("late", [best(small, files, lambda each: each[3])[0]])
    told = made.scene.galleries[mark.gallery].first[0].words
    assert float(told.split(":")[0]) == pytest.approx(float(maps[0, 3].max()), abs=0.006)


def test_of_a_group_they_are_those_of_its_direction(explained, small, birds, files) -> None:
    groups = LATE.groups(2)
    effect = cb.Attribution(groups, cb.Out(1), method="LayerGradientXActivation")
    made = explained(cb.FeatureVis(effect, by=("optimized", BIRDS)), {"birds": birds})
    marks, directions = marks_of(made), made.groups[groups].directions
    assert len(marks) == 2
    for mark, direction in zip(marks, directions, strict=True):
        assert mark.sprite in made.scene.sprites, "beside what is optimized"
        wanted = best(
            small, files, lambda maps, d=direction: torch.einsum("c,cyx->yx", d.to(maps), maps)
        )
        first = made.scene.galleries[mark.gallery].first
        assert [crop.words.split(", ")[1] for crop in first] == [p.name for p in wanted[:3]]


def test_a_crop_is_a_part_of_its_photograph(explained, birds) -> None:
    made = explained(cb.FeatureVis(LATE.channels[[3]], by=BIRDS, rank="random"), {"birds": birds})
    (mark,) = marks_of(made)
    gallery = made.scene.galleries[mark.gallery]
    assert gallery.bands[0].title == "random"
    for crop in gallery.crops:
        whole = made.scene.photographs[crop.photograph]
        top, left, bottom, right = crop.box
        assert 0 <= top < bottom <= 1
        assert 0 <= left < right <= 1
        high, wide = whole.shape[:2]
        part = whole[
            round(top * high) : max(round(bottom * high), round(top * high) + 1),
            round(left * wide) : max(round(right * wide), round(left * wide) + 1),
        ]
        apart = part.reshape(-1, 3).mean(0) - crop.pixels.reshape(-1, 3).mean(0)
        assert np.abs(apart).max() < 30


def test_every_preset_has_them_and_says_of_what(explained, birds) -> None:
    made = explained(cb.semantic_dictionary("late"), examples=birds)
    drawn = [mark for mark in marks_of_all(made) if mark.sprite is not None]
    assert drawn
    assert all(mark.gallery in made.scene.galleries for mark in drawn)
    lent = [mark for mark in marks_of_all(made) if mark.lent is not None]
    assert all(mark.gallery is None for mark in lent)
    about = next(iter(made.scene.galleries.values())).about
    assert about.startswith(f"From “birds”, {COUNT} photographs. Values: the largest")
    assert "what goes together in this data set" in about
    told = dict(made.scene.footer)["photographs"]
    assert told.startswith(f"beside {len(made.scene.galleries)} of ")


def marks_of_all(made: cb.Explanation) -> list[scene.Mark]:
    icons = (each for each in made.scene.panels() if isinstance(each, scene.Bars))
    return [mark for panel in icons for mark in scene.marks_of(panel)]


def test_a_page_without_photographs_is_as_it_was(explained, small) -> None:
    made = explained(cb.FeatureVis(LATE.channels[[3, 7]]))
    assert made.scene.galleries == made.scene.photographs == {}
    assert '"galleries"' not in made.html()
    assert "photographs" not in dict(made.scene.footer)


def test_a_page_and_a_figure_show_them(explained, birds, tmp_path) -> None:
    both = cb.FeatureVis(LATE.channels[[3, 7]], by=("optimized", BIRDS))
    made = explained(both, {"birds": birds})
    page = made.html()
    assert page.count("data:image/webp") >= 2 + len(made.scene.photographs)
    for name in ("a.png", "a.npz"):
        assert made.save(tmp_path / name).stat().st_size > 1000
    with_them = made.figure().get_figheight()
    without = explained(cb.FeatureVis(LATE.channels[[3, 7]])).figure().get_figheight()
    assert with_them > without, "a line of crops below the icons"


def test_panels_that_have_none_say_so(explained, birds, noise_picture) -> None:
    beside = cb.FeatureVis(cb.Hidden("early").channels[[1]], by=("optimized", BIRDS))
    with pytest.warns(UserWarning, match="“birds” was not built at early; build the index with"):
        (panel,) = explained(beside, {"birds": birds}).scene.panels()
    assert "no photographs: “birds” was not built at early" in panel.left_out
    assert panel.frames[0][0].gallery is None
    answers = cb.FeatureVis(cb.Out(0, 1), by=("optimized", BIRDS))
    page = explained(answers & cb.FeatureVis(LATE.channels[[1]], by=BIRDS), {"birds": birds})
    first, _ = page.scene.panels()
    assert "no photographs: an index knows channels and groups of hidden layers" in first.left_out
    with pytest.raises(InvalidArgument, match="photographs are found for channels, neurons"):
        explained(replace(answers, by=BIRDS), {"birds": birds})


def test_what_cannot_be_is_said_before_anything_is_drawn(
    explained, small, birds, root, noise_picture, monkeypatch
) -> None:
    shown = cb.FeatureVis(LATE.channels[[1]], by=BIRDS)
    monkeypatch.setattr(small.module, "forward", None)  # it would fail with another error
    with pytest.raises(UnknownName, match="nothing is given for 'birds'"):
        explained(shown)
    with pytest.raises(UnknownName, match="did you mean 'bird'"):
        explained(shown, {"bird": birds})
    with pytest.raises(WrongType, match="is a data set, so it is an ExampleIndex"):
        explained(shown, {"birds": str(birds.folder)})
    with pytest.raises(WrongType, match="examples= takes an ExampleIndex"):
        explained(cb.FeatureVis(LATE.channels[[1]]), examples=str(birds.folder))
    with pytest.raises(InvalidArgument, match="this interface has none"):
        explained(cb.InfoVis(cb.Activation(LATE.channels)), examples=birds)


def test_an_index_of_another_network_or_without_photographs_is_refused(
    explained, small_module, birds, root, tmp_path
) -> None:
    shown = cb.FeatureVis(LATE.channels[[1]], by=BIRDS)
    alone = cb.ExampleIndex.load(birds.folder)
    with pytest.raises(InvalidArgument, match=r"give photos= to ExampleIndex\.load"):
        explained(shown, {"birds": alone})
    gone = cb.ExampleIndex.load(birds.folder, tmp_path)
    with pytest.raises(InvalidArgument, match="if they have moved"):
        explained(shown, {"birds": gone})
    other = cb.Network(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3)).eval(), cb.Preprocess(16))
    with pytest.raises(InvalidArgument, match="has other weights"):
        cb.explain(
            cb.FeatureVis(cb.Hidden("0").channels[[1]], by=BIRDS),
            other,
            np.zeros((16, 16, 3), np.uint8),
            given={"birds": birds},
            progress=False,
        )


def test_fewer_photographs_than_are_asked_for(explained, small, root, files) -> None:
    few = cb.ExampleIndex.build(small, [str(path) for path in files[:2]], ["late"], progress=False)
    shown = cb.FeatureVis(LATE.channels[[3]], by=BIRDS, n=4)
    (mark,) = marks_of(made := explained(shown, {"birds": few}))
    assert len(made.scene.galleries[mark.gallery].first) == 2


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"by": "birds"}, InvalidArgument, "by=Dataset.'birds'."),
        ({"by": 3}, WrongType, "by= takes 'optimized', Dataset"),
        ({"by": (BIRDS, cb.Dataset("cats"))}, InvalidArgument, "takes one data set"),
        ({"by": ()}, InvalidArgument, "makes no pictures"),
        ({"by": BIRDS, "n": 0}, InvalidArgument, "from 1 to 12 crops"),
        ({"by": BIRDS, "n": 2.0}, WrongType, "a whole number"),
        ({"by": BIRDS, "rank": "best"}, InvalidArgument, "none of top, bottom, quantiles"),
        ({"by": BIRDS, "recipe": "shared"}, InvalidArgument, "shows photographs in their place"),
    ],
)
def test_words_that_cannot_be(options, error, said: str) -> None:
    with pytest.raises(error, match=said):
        cb.FeatureVis(LATE.channels, **options)


def test_the_words_survive_json_and_older_texts_load() -> None:
    page = cb.Interface(
        (cb.FeatureVis(LATE.channels, by=["optimized", BIRDS], n=4, rank="random"),)
    )
    assert cb.Interface.from_json(page.to_json()) == page
    older = cb.Interface((cb.FeatureVis(LATE.channels),))
    assert "by" not in older.to_json()
    assert cb.Interface.from_json(older.to_json()) == older
    assert exampled(page, cb.Dataset("cats")) == page, "what says its own keeps it"
    grid = cb.activation_grid("late")
    assert exampled(grid, BIRDS) == grid, "mosaics of positions have none"


def test_the_orders_are_those_of_an_index() -> None:
    from captum_blocks.examples.asking import RANKS

    assert (*RANKS, "meanings") == datasets.RANKS, "which is asked of photographs and of layers"


@pytest.mark.parametrize("kind", ["NCHW", "NHWC", "tokens"])
@pytest.mark.parametrize("fit", ["stretch", "crop", "letterbox"])
def test_the_planted_patch_is_in_the_crop(kind: str, fit: str, tmp_path: Path, store) -> None:
    """However a layer is laid out and a photograph is fitted, oblong ones and the detector's."""
    rng, side = np.random.default_rng(2), 96
    # What the detector looks at, 24 pixels of what the network takes: a letterbox halves them.
    patch = 48 if fit == "letterbox" else 24
    photo, boxes = data.astronaut(), {}
    for number in range(8):
        top, left = 100 * (number // 2), 200 * (number % 2)
        piece = photo[top : top + side, left : left + (side if fit != "crop" else 2 * side)]
        inside = (0, (piece.shape[1] - side) // 2, side, (piece.shape[1] + side) // 2)
        made, box = planted.planted(piece, rng, inside, patch)
        if fit == "letterbox":
            made = np.concatenate([made, photo[:side, :side]], 1)
        Image.fromarray(made).save(tmp_path / f"{number}.png")
        sides = np.array(made.shape[:2] * 2)
        boxes[f"{number}.png"] = tuple(np.array(box) / sides)
    preprocess = cb.Preprocess(side, (0.0,) * 3, (1.0,) * 3, fit=fit)
    net = cb.Network(planted.made(kind), preprocess, [str(i) for i in range(4)])
    index = cb.ExampleIndex.build(net, tmp_path, ["out"], progress=False)
    shown = cb.FeatureVis(cb.Hidden("out").channels[[3]], by=BIRDS, n=4)
    options = {"given": {"birds": index}, "quality": FEW, "store": store, "progress": False}
    found = cb.explain(shown, net, tmp_path / "0.png", **options)
    gallery = found.scene.galleries[marks_of(found)[0].gallery]
    assert len(gallery.first) == 4
    scores = [
        overlap(crop.box, boxes[crop.words.split(": ")[-1].split(",")[0]]) for crop in gallery.first
    ]
    assert np.mean(scores) > 0.5, scores
    assert np.mean([overlap((0, 0, 1, 1), box) for box in boxes.values()]) < 0.2


def test_a_ceiling_that_many_reach_is_told(small_module, files, noise_picture, store) -> None:
    """Of equals the first come first, and the page says that they are equals."""
    pooled = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    module = torch.nn.Sequential(small_module.early, torch.nn.Hardtanh(0, 0.01), pooled).eval()
    net = cb.Network(module, cb.Preprocess(16, (0.5,) * 3, (0.5,) * 3))
    index = cb.ExampleIndex.build(net, [str(path) for path in files], ["1"], progress=False)
    (maps,) = net.activations("1", files, batch_size=len(files))
    full = (maps.amax((2, 3)) == maps.max()).sum(0)
    channel = int(full.argmax())
    assert full[channel] > 6
    shown = cb.FeatureVis(cb.Hidden("1").channels[[channel]], by=BIRDS)
    options = {"given": {"birds": index}, "quality": FEW, "store": store, "progress": False}
    made = cb.explain(shown, net, noise_picture, **options)
    (gallery,) = made.scene.galleries.values()
    assert f" {int(full[channel])} of them reach 0.01, the most" in gallery.about


def test_names_cannot_break_or_turn_a_line(explained, small, files, tmp_path) -> None:
    (folder := tmp_path / "la\u202ebel").mkdir()
    for place, path in enumerate(files[:6]):
        Image.open(path).save(folder / f"a\n{place}\x1b[31m.png")
    index = cb.ExampleIndex.build(small, tmp_path, ["late"], progress=False)
    made = explained(cb.FeatureVis(LATE.channels[[3]], by=BIRDS), {"birds": index})
    (gallery,) = made.scene.galleries.values()
    for crop in gallery.crops:
        assert not set(crop.words) & set("\n\x1b\u202e")


def test_a_band_is_called_after_how_many_were_asked_for(explained, small, noise_picture) -> None:
    """A quarter of equal photographs shows none, and is one all the same."""
    same = [photographs(1, seed=3)[0]] * 12
    index = cb.ExampleIndex.build(small, [*same, *photographs(4, seed=9)], ["late"], progress=False)
    made = explained(cb.FeatureVis(LATE.channels[[3]], by=BIRDS), {"birds": index})
    (gallery,) = made.scene.galleries.values()
    assert len(gallery.bands[1].crops) < 4
    assert gallery.bands[1].title == "one from each of 4 equally large shares, from high to low"

"""Photographs sorted by meaning on a page: pictures of each, and why there are none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import captum_blocks as cb
from captum_blocks.errors import InvalidArgument
from captum_blocks.grammar import from_json, to_json
from captum_blocks.scene import Gallery
from captum_blocks.store import Store
from tests.benchmarks.meanings import LAYER, QUALITY, asked
from tests.reference.scenes import scenes

SEED, PHOTOGRAPHS, HALF = 5, 400, (0.5,) * 3


def words(layer: str, channels: list[int]) -> cb.FeatureVis:
    by = ("optimized", cb.Dataset("scenes"))
    return cb.FeatureVis(cb.Hidden(layer).channels[channels], by=by, rank="meanings")


def page_of(
    element: cb.FeatureVis, net: cb.Network, index: cb.ExampleIndex, folder: Path
) -> cb.Explanation:
    picture = scenes(1, 3)[0] * 2 - 1
    how = {"quality": QUALITY, "store": Store(folder), "progress": False}
    return cb.explain(element, net, picture, given={"scenes": index}, **how)  # type: ignore[call-overload,no-any-return]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> cb.Explanation:
    """Unit 0 is two detectors, unit 1 is one."""
    _, net, sorting = asked(SEED, 20, PHOTOGRAPHS)
    return page_of(words(LAYER, [0, 1]), net, sorting.index, tmp_path_factory.mktemp("icons"))


def gallery_of(page: cb.Explanation, unit: int) -> Gallery:
    return page.scene.galleries[f"{LAYER}/channel/{unit} in scenes: 3 meanings"]


def test_a_unit_of_two_meanings_has_a_picture_and_photographs_of_each(page: cb.Explanation) -> None:
    two, one = (
        page.scene.galleries[f"{LAYER}/channel/{unit} in scenes: 3 meanings"] for unit in (0, 1)
    )
    assert [band.title.split(",")[0] for band in two.bands] == [
        "drawn from noise",
        "meaning 1",
        "meaning 2",
    ]
    assert [crop.kind for crop in two.bands[0].crops] == ["Picture", "Picture"]
    assert {crop.kind for band in two.bands[1:] for crop in band.crops} == {"Photograph"}
    first, second = ({crop.photograph for crop in band.crops} for band in two.bands[1:])
    assert first
    assert second
    assert not first & second
    assert "Meanings: 2, in " in two.about
    assert [band.title for band in one.bands] == ["meaning 1, 100% of its photographs"]
    assert "Meanings: 1, in " in one.about


def test_pictures_are_seen_before_the_reader_acts(page: cb.Explanation) -> None:
    gallery = gallery_of(page, 0)
    assert [crop.words.split(" as ")[0] for crop in gallery.first] == [
        "drawn from noise to excite it"
    ] * 2
    large = [page.scene.photographs[crop.photograph] for crop in gallery.first]
    assert all(picture.shape == (QUALITY.size, QUALITY.size, 3) for picture in large)
    assert (large[0] != large[1]).any()


def test_pictures_are_those_that_trust_gives(page: cb.Explanation, tmp_path: Path) -> None:
    _, net, sorting = asked(SEED, 20, PHOTOGRAPHS)
    units = cb.Hidden(LAYER).channels[[0]]
    how = {"quality": QUALITY, "store": Store(tmp_path)}
    (trusted,) = cb.trust(units, net, sorting.index, meanings=True, **how)  # type: ignore[arg-type]
    assert trusted.meant is not None
    gallery = gallery_of(page, 0)
    for meaning, crop in zip(trusted.meant.each, gallery.bands[0].crops, strict=True):
        assert (meaning.picture == page.scene.photographs[crop.photograph]).all()


def small() -> cb.Network:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 9, 3, 2), nn.ReLU(), nn.Conv2d(9, 12, 3, 2), nn.ReLU(), nn.Flatten()]
    module = nn.Sequential(*layers, nn.Linear(12 * 11 * 11, 10)).eval()
    return cb.Network(module, cb.Preprocess(size=48, mean=HALF, std=HALF))


@pytest.mark.parametrize(
    ("layer", "count", "why"),
    [
        ("3", 20, "Meanings: unknown, as the index is of 20 different photographs"),
        ("0", 60, "Meanings: unknown, as no layer before '0' can be looked at"),
    ],
)
def test_where_none_are_known_the_highest_stand_and_the_reason(
    layer: str, count: int, why: str, tmp_path: Path
) -> None:
    net = small()
    pictures = list(scenes(count, 3)[0] * 2 - 1)
    index = cb.ExampleIndex.build(net, pictures, [layer], progress=False)
    page = page_of(words(layer, [4]), net, index, tmp_path)
    (gallery,) = page.scene.galleries.values()
    assert [band.title for band in gallery.bands] == ["highest"]
    assert why in gallery.about


def test_groups_have_none_and_the_panel_says_so(tmp_path: Path) -> None:
    net = small()
    index = cb.ExampleIndex.build(net, list(scenes(60, 3)[0] * 2 - 1), ["3"], progress=False)
    groups = cb.FeatureVis(
        cb.Hidden("3").groups(2), by=("optimized", cb.Dataset("scenes")), rank="meanings"
    )
    page = page_of(groups, net, index, tmp_path)
    assert not page.scene.galleries
    (panel,) = page.scene.panels()
    assert "no meanings: photographs are sorted for channels" in panel.left_out
    alone = cb.FeatureVis(cb.Hidden("3").groups(2), by=cb.Dataset("scenes"), rank="meanings")
    with pytest.raises(InvalidArgument, match="meanings are found for channels of hidden"):
        page_of(alone, net, index, tmp_path)


def test_the_word_is_saved_and_read_again() -> None:
    element = words("layer3", [4])
    assert from_json(to_json(element)) == element

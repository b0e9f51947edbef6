"""The marks on icons: what a page says of each is what ``cb.trust`` says of it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import captum_blocks as cb
from captum_blocks.compose import Progress, Trusted, judging
from captum_blocks.compose.pictures.renderer import PictureRenderer
from captum_blocks.compose.pictures.requests import Subject, channel_subject
from captum_blocks.compose.seen import SeenPhotographs
from captum_blocks.compose.signing import NO_INDEX, NOT_YET, OTHERS
from captum_blocks.reliability import LEVELS
from captum_blocks.store import Store
from tests.reference.reliability import percentile
from tests.reference.scenes import scenes, trained

LAYER = "fourth"
QUALITY = cb.Quality(size=48, n_steps=24, budget=64)
HALF = (0.5,) * 3


@pytest.fixture(scope="module")
def net() -> cb.Network:
    return cb.Network(trained(), cb.Preprocess(size=48, mean=HALF, std=HALF), name="scenes")


@pytest.fixture(scope="module")
def pictures() -> Tensor:
    return scenes(120, 1)[0] * 2 - 1


@pytest.fixture(scope="module")
def index(net: cb.Network, pictures: Tensor) -> cb.ExampleIndex:
    return cb.ExampleIndex.build(net, list(pictures), [LAYER], progress=False)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("icons"))


@pytest.fixture(scope="module")
def how(store: Store) -> dict[str, Any]:
    return {"quality": QUALITY, "store": store, "progress": False}


@pytest.fixture(scope="module")
def units(net: cb.Network, pictures: Tensor) -> list[int]:
    """Those that fire most in the picture that is explained."""
    maps = next(iter(net.activations(LAYER, [pictures[:1]])))
    return sorted(maps[0].mean((1, 2)).argsort(descending=True)[:3].tolist())


@pytest.fixture(scope="module")
def channels(units: list[int]) -> cb.FeatureVis:
    return cb.FeatureVis(cb.Activation(cb.Hidden(LAYER).channels[units]))


@pytest.fixture(scope="module")
def page(
    net: cb.Network,
    index: cb.ExampleIndex,
    pictures: Tensor,
    channels: cb.FeatureVis,
    how: dict[str, Any],
) -> cb.Explanation:
    groups = cb.FeatureVis(cb.Activation(cb.Hidden(LAYER).groups(2)))
    return cb.explain(channels & groups, net, pictures[:1], examples=index, **how)


def _all_of(each: Trusted) -> str:
    return "; ".join(filter(None, (each.why, each.evidence)))


def test_marks_say_what_trust_says(
    page: cb.Explanation,
    net: cb.Network,
    index: cb.ExampleIndex,
    units: list[int],
    store: Store,
) -> None:
    words = cb.Hidden(LAYER).channels[units]
    told = cb.trust(words, net, index, quality=QUALITY, store=store)
    for each in told:
        sign = page.scene.signs[f"{LAYER}/channel/{each.unit}"]
        assert (sign.name, sign.words) == (each.level, _all_of(each))
    by_name = {each.name: each for each in page.trust}
    for each in told:
        again = by_name[each.name]
        assert again.path.agreement == pytest.approx(each.path.agreement, nan_ok=True)
        assert again.standing == each.standing
    assert any(each.level != "unknown" for each in told)


def test_groups_are_judged_like_channels(
    page: cb.Explanation, net: cb.Network, pictures: Tensor
) -> None:
    (groups,) = page.groups.values()
    names = [f"{LAYER} / group {number + 1}" for number in range(2)]
    found = {each.name: each for each in page.trust}
    with torch.no_grad():
        module = net.module
        maps = module.fourth(module.third(module.second(module.first(pictures))))  # type: ignore[operator, union-attr]
    for name, direction in zip(names, groups.directions, strict=True):
        each = found[name]
        assert each.level in LEVELS
        assert each.path.photographs == 16
        assert each.standing is not None
        unit = direction / direction.norm()
        values = torch.einsum("ncyx,c->nyx", maps, unit).amax((1, 2)).tolist()
        sprite = next(s for s in page.scene.sprites.values() if s.label == name)
        picture = torch.from_numpy(np.array(sprite.pixels)).permute(2, 0, 1)[None] / 127.5 - 1
        with torch.no_grad():
            icon = module.fourth(module.third(module.second(module.first(picture))))  # type: ignore[operator, union-attr]
        value = torch.einsum("ncyx,c->nyx", icon, unit).max().item()
        # Activations are kept in 8 bits.
        assert each.standing.clean == pytest.approx(percentile(value, values), abs=0.02)


def test_marks_come_last(
    net: cb.Network,
    index: cb.ExampleIndex,
    pictures: Tensor,
    channels: cb.FeatureVis,
    how: dict[str, Any],
) -> None:
    stream = cb.explain(channels, net, pictures[:1], examples=index, stream=True, **how)
    assert {sign.words for sign in stream.now.scene.signs.values()} == {NOT_YET}
    *_, drawn, whole = stream
    assert not drawn.scene.undrawn
    assert {sign.words for sign in drawn.scene.signs.values()} == {NOT_YET}
    assert NOT_YET not in {sign.words for sign in whole.scene.signs.values()}
    assert len(whole.trust) == 3


def test_without_photographs_the_mark_says_what_is_missing(
    net: cb.Network, pictures: Tensor, channels: cb.FeatureVis, how: dict[str, Any]
) -> None:
    page = cb.explain(channels, net, pictures[:1], **how)
    assert {sign.level for sign in page.scene.signs.values()} == {"unknown"}
    assert {sign.words for sign in page.scene.signs.values()} == {NO_INDEX}
    assert len(page.trust) == 0


def test_few_photographs_and_another_layer_are_unknown(
    net: cb.Network, pictures: Tensor, units: list[int], how: dict[str, Any]
) -> None:
    few = cb.ExampleIndex.build(net, list(pictures[:20]), [LAYER], progress=False)
    words = cb.FeatureVis(cb.Activation(cb.Hidden(LAYER).channels[units[:1]])) & cb.FeatureVis(
        cb.Activation(cb.Hidden("third").channels).filter(top=1)
    )
    with pytest.warns(UserWarning, match="not built"):
        page = cb.explain(words, net, pictures[:1], examples=few, **how)
    signs = page.scene.signs
    assert "fewer than 50" in signs[f"{LAYER}/channel/{units[0]}"].words
    (third,) = (sign for key, sign in signs.items() if key.startswith("third/"))
    assert third.words.endswith("has not looked at third")
    assert {each.level for each in page.trust} == {"unknown"}


def test_icons_of_classes_are_not_judged(
    net: cb.Network,
    index: cb.ExampleIndex,
    pictures: Tensor,
    units: list[int],
    how: dict[str, Any],
) -> None:
    words = cb.FeatureVis(cb.Activation(cb.Hidden(LAYER).channels[units[:1]])) & cb.FeatureVis(
        cb.Activation(cb.Out(top=1))
    )
    page = cb.explain(words, net, pictures[:1], examples=index, **how)
    others = {key: sign for key, sign in page.scene.signs.items() if LAYER not in key}
    assert [sign.words for sign in others.values()] == [OTHERS]


def test_marks_leave_with_the_numbers(page: cb.Explanation, tmp_path: Path) -> None:
    with np.load(page.save(tmp_path / "page.npz")) as held:
        names = held["trust.icons"].tolist()
        assert names == [each.name for each in page.trust]
        assert held["trust.levels"].tolist() == [each.level for each in page.trust]
        agreements = [each.path.agreement for each in page.trust]
        np.testing.assert_allclose(held["trust.agreement"][:, 0], agreements)
        assert held["trust.percentile"].shape == (len(names),)
    assert dict(page.scene.footer)["marks on icons"].startswith("○ no sign of forgery, ◐ doubtful")
    assert page.trust.to_frame().unit.tolist() == [each.unit for each in page.trust]


def test_units_of_which_nothing_can_be_said_stand_among_others(
    net: cb.Network,
    index: cb.ExampleIndex,
    units: list[int],
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    """Whatever fits into one pass, here the copies of one icon, and in two threads."""
    request.addfinalizer(partial(torch.set_num_threads, torch.get_num_threads()))
    torch.set_num_threads(2)
    monkeypatch.setattr(judging, "AT_ONCE", 1)
    width = index.tables(LAYER)["maximum"].shape[1]
    never = [
        Subject(f"never/{k}", f"never {k}", LAYER, "group", k, direction=-torch.ones(width))
        for k in range(4)
    ]
    fire = [channel_subject(LAYER, unit) for unit in units]
    subjects = [never[0], fire[0], never[1], never[2], *fire[1:], never[3]]
    icons = {each: np.full((48, 48, 3), 10 * k, np.uint8) for k, each in enumerate(subjects)}
    renderer = PictureRenderer(net, QUALITY, None, Progress(False))
    seen = SeenPhotographs(index.bound(net))
    found = list(judging.Judging(LAYER, subjects, seen, renderer).judged(icons))
    assert [each.name for each in found] == [each.label for each in subjects]
    dead = "no photograph excites it: the unit is dead as far as they tell"
    assert [each.why == dead for each in found] == [each in never for each in subjects]

"""One renderer draws what is planned: from the store, or anew, each picture by its source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import captum_blocks as cb
from captum_blocks.compose import Icon, PictureSource, Progress, Quality, Request
from captum_blocks.compose.pictures import icons, sources
from captum_blocks.compose.pictures.icons import OptimizedIcon
from captum_blocks.compose.pictures.kept import as_bytes
from captum_blocks.compose.pictures.plan import Plan, Wanted, plan_pictures
from captum_blocks.compose.pictures.renderer import PictureRenderer
from captum_blocks.compose.pictures.requests import (
    channel_subject,
    class_subject,
    group_subject,
    objective_of,
    place_subject,
)
from captum_blocks.errors import InvalidArgument
from captum_blocks.optim import (
    Channel,
    ClassLogit,
    Direction,
    FeatureVisualizer,
    Fourier,
    NAdam,
)
from captum_blocks.store import Store

FEW = Quality(size=24, n_steps=2, budget=9, seed=3, cell=16, cell_steps=1)
CHANNELS = Plan(tuple(OptimizedIcon().plan([channel_subject("late", i) for i in range(3)])))


def renderer(net: cb.Network, store: Store | None) -> PictureRenderer:
    return PictureRenderer(net, FEW, store, Progress(False))


def test_an_icon_is_what_the_visualizer_makes(small: cb.Network) -> None:
    drawn = renderer(small, None).draw(CHANNELS)
    assert small.preprocess is not None
    maker = FeatureVisualizer(small.module, "late", small.preprocess.normalise)
    alone = maker.visualize(
        [Channel(i) for i in range(3)],
        size=24,
        n_steps=2,
        seed=3,
        parameterization=Fourier(decay=1.25, deviation=0.02),
        optimizer=NAdam(0.9, 0.9),
        learning_rate=0.05,
    )
    for index, icon in enumerate(drawn.values()):
        picture = alone.images[index].permute(1, 2, 0) * 255
        assert np.abs(icon.pixels - picture.numpy()).max() <= 0.51
        assert icon.label == f"late : {index}"
        assert icon.details == (
            ("objective", f"channel {index}"),
            ("layer", "late"),
            ("score", f"{alone.scores[index]:.3g}"),
            ("steps", "2"),
            ("seed", "3"),
        )


def test_a_group_is_drawn_as_a_group_beside_a_channel_of_its_layer(small: cb.Network) -> None:
    vector = torch.rand(10, generator=torch.Generator().manual_seed(0))
    group = group_subject("late/groups/0", "late", 0, vector)
    both = OptimizedIcon().plan([channel_subject("late", 1), group])
    drawn = renderer(small, None).draw(Plan(tuple(both)))
    assert small.preprocess is not None
    maker = FeatureVisualizer(small.module, "late", small.preprocess.normalise)
    alone = maker.visualize(
        objective_of(group),
        size=24,
        n_steps=2,
        seed=3,
        parameterization=Fourier(decay=1.25, deviation=0.005),
        optimizer=NAdam(0.8, 0.95),
        learning_rate=0.035,
    )
    assert np.array_equal(drawn["late/groups/0"].pixels, as_bytes(alone.images)[0])
    assert drawn["late/channel/1"].label == "late : 1"


def test_the_second_time_all_come_from_the_store(
    small: cb.Network, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = renderer(small, store).draw(CHANNELS)
    monkeypatch.setattr(FeatureVisualizer, "visualize", None)
    again = renderer(small, store).draw(CHANNELS)
    assert list(again) == list(fresh)
    for key, icon in again.items():
        assert (icon.cached, fresh[key].cached) == (True, False)
        assert np.array_equal(icon.pixels, fresh[key].pixels)
        assert (icon.label, icon.details) == (fresh[key].label, fresh[key].details)


def test_an_interrupted_run_keeps_its_finished_batches(
    small: cb.Network, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(icons, "BATCH", 1)

    class Stopped(Progress):
        """Somebody presses Ctrl-C in the third batch."""

        def stage(self, *args, **options):
            return StoppedStage()

    class StoppedStage:
        steps = 0

        def __enter__(self):
            return self.advance

        def __exit__(self, *args):
            return None

        def advance(self, steps: int) -> None:
            self.steps += steps
            if self.steps > 2 * FEW.n_steps:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replace(renderer(small, store), progress=Stopped(False)).draw(CHANNELS)
    assert store.info().entries == 2
    resumed = renderer(small, store).draw(CHANNELS)
    assert [icon.cached for icon in resumed.values()] == [True, True, False]


def grid_of(side: int) -> Plan:
    """The pictures of all places of a square map."""
    firing = torch.rand(10, side, side, generator=torch.Generator().manual_seed(0))
    cells = tuple(
        replace(
            place_subject(f"late/spatial/{y},{x}", "late", (y, x), firing), shares=torch.ones(1)
        )
        for y in range(side)
        for x in range(side)
    )
    return plan_pictures([Wanted(cells, "shared")], budget=1)


def test_many_places_get_small_pictures_where_the_network_sees_them_as_they_are(
    small: cb.Network,
) -> None:
    class OneSize(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.late = nn.Conv2d(3, 10, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            assert x.shape[2:] == (24, 24)
            return self.late(x).mean((2, 3))

    fixed = cb.Network(OneSize().eval(), cb.Preprocess(24))
    quality = replace(FEW, cell=12, small_cell=8)
    for net, side, size in ((small, 2, 12), (small, 11, 8), (fixed, 11, 12)):
        made = replace(renderer(net, None), quality=quality)
        planned = grid_of(side)
        assert {icon.pixels.shape for icon in made.draw(planned).values()} == {(size, size, 3)}
        ((_, told),) = made.told(planned)
        assert told.startswith(f"{side * side}, drawn together at 12 pixels")
        assert (" (more than 100 of a layer at 8) in 1 steps" in told) == (net is small)


def test_an_interrupted_grid_keeps_nothing(small: cb.Network, store: Store) -> None:
    planned = grid_of(2)

    class Stopped(Progress):
        def stage(self, *args, **options):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replace(renderer(small, store), progress=Stopped(False)).draw(planned)
    assert store.info().entries == 0
    drawn = renderer(small, store).draw(planned)
    assert set(drawn) == planned.keys
    again = renderer(small, store).draw(planned)
    for key, icon in again.items():
        assert icon.cached
        assert icon.details == drawn[key].details
        assert np.array_equal(icon.pixels, drawn[key].pixels)


def test_what_a_picture_maximises_is_what_its_subject_is() -> None:
    vector = torch.tensor([0.0, -2.0, 1.0])
    along = Direction((0.0, -1.0, 0.5))
    maps = vector[:, None, None].expand(3, 2, 2)
    assert objective_of(channel_subject("late", 7)) == Channel(7)
    assert objective_of(class_subject("out/class/2", 2, "pig")) == ClassLogit(2)
    assert objective_of(group_subject("late/groups/0", "late", 0, vector)) == along
    place = place_subject("late/spatial/1,0", "late", (1, 0), maps)
    assert objective_of(place) == along
    assert (place.index, place.label) == (2, "late at row 2, column 1")
    both = objective_of(replace(place, extra=Channel(1)))
    assert both == along + Channel(1)


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_pictures_of_any_channels_are_shown_in_three(channels: int) -> None:
    images = torch.linspace(-0.2, 1.2, 2 * channels * 3 * 2).reshape(2, channels, 3, 2)
    shown = as_bytes(images)
    assert shown.shape == (2, 3, 2, 3)
    for colour in range(3):
        one = images[:, colour if channels >= 3 else 0].clamp(0, 1) * 255
        assert np.abs(shown[..., colour] - one.numpy()).max() <= 0.51


def test_a_source_that_does_not_draw_what_it_planned(
    small: cb.Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Forgetful(PictureSource):
        name = "forgetful"

        def draw(self, requests: Sequence[Request], renderer: PictureRenderer) -> dict[str, Icon]:
            grey = np.full((2, 2, 3), 127, np.uint8)
            return {each.keys[0]: Icon(grey, each.label) for each in requests[1:]}

    monkeypatch.setitem(sources.SOURCES, "forgetful", Forgetful())
    subjects = tuple(channel_subject("late", i) for i in range(2))
    planned = plan_pictures([Wanted(subjects, "forgetful")], budget=2)
    told = renderer(small, None).told(planned)
    assert told == (("pictures by 'forgetful'", "2 of 2 wanted"),)
    message = "source 'forgetful' planned a picture of 'late/channel/0' and has not drawn it"
    with pytest.raises(InvalidArgument, match=message):
        renderer(small, None).draw(planned)

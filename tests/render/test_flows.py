"""Stacked flows against their definition: no band covers another, nothing is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captum_blocks.render import flows
from captum_blocks.scene import Flow, Flows, Mark, Sankey

VALUES = st.floats(-10, 10).map(lambda value: round(value, 3))
FRAMES = st.lists(st.builds(Flow, st.integers(0, 3), st.integers(0, 2), VALUES), max_size=12)


def panel(*frames) -> Sankey:
    left, right = (tuple(Mark(str(k), str(k), (0.0,)) for k in range(count)) for count in (4, 3))
    return Sankey("flows", frames=tuple(Flows(left, right, tuple(frame)) for frame in frames))


@given(FRAMES)
def test_bands_stack_without_gap_or_overlap(frame) -> None:
    made = flows.bands(frame)
    assert sorted(band.flow.value for band in made) == sorted(flow.value for flow in frame)
    for end, edge in (("source", "start"), ("target", "end")):
        for mark in range(4):
            own = [band for band in made if getattr(band.flow, end) == mark]
            reached = 0.0
            for band in sorted(own, key=lambda band: (getattr(band, edge), band.width)):
                assert getattr(band, edge) == pytest.approx(reached)
                reached += band.width


@given(FRAMES)
def test_the_thin_are_drawn_over_the_wide(frame) -> None:
    widths = [band.width for band in flows.bands(frame)]
    assert widths == sorted(widths, reverse=True)


def test_a_mark_is_as_thick_as_its_fullest_frame() -> None:
    shown = panel([Flow(0, 0, 1.0), Flow(0, 1, -2.0)], [Flow(0, 1, 2.5), Flow(3, 1, 4.0)])
    left, right = flows.thickness(shown)
    assert left == {"0": 3.0, "1": 0.0, "2": 0.0, "3": 4.0}
    assert right == {"0": 1.0, "1": 6.5, "2": 0.0}
    assert flows.whole(shown) == 6.5


@pytest.mark.parametrize(
    ("whole", "step"), [(8.0, 0.5), (9.0, 1.0), (17.0, 2.0), (42.0, 5.0), (0.003, 2e-4), (0.0, 0.0)]
)
def test_the_scale_is_told_by_a_round_number(whole, step) -> None:
    shown = panel([Flow(0, 0, whole / 2), Flow(1, 0, -whole / 2)])
    assert flows.scale_step(shown) == step
    assert flows.scale_step(shown) <= flows.STEP_SHARE * whole

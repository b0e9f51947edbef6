"""Mosaics and flows on paper."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.patches import PathPatch

from captum_blocks.render import _print_cells, _print_sankey, inks, palette
from captum_blocks.render.mpl import figure
from captum_blocks.scene import Beside, Chapter, Flows, Mark, Scene
from tests.render.sample_grids import (
    COLUMNS,
    DEFAULT,
    EMPTY,
    ROWS,
    SHARES,
    flows,
    grids_scene,
    mosaic,
    size_of,
)


def words(made) -> list[str]:
    return [text.get_text() for text in made.axes[0].texts]


@pytest.fixture(scope="module")
def made():
    return figure(grids_scene())


@pytest.fixture(scope="module")
def ribbons(made):
    return [patch for patch in made.axes[0].patches if isinstance(patch, PathPatch)]


def height_of(ribbon) -> float:
    points = ribbon.get_path().vertices
    return points[-2][1] - points[0][1]


def test_a_picture_takes_its_share_of_the_cell() -> None:
    panel = mosaic()
    drawn = _print_cells.drawn(panel, panel.frames[0], grids_scene(), 1.25)
    high, wide = drawn.shape[0] // ROWS, drawn.shape[1] // COLUMNS
    for y in range(ROWS):
        for x in range(COLUMNS):
            cell = drawn[y * high : (y + 1) * high, x * wide : (x + 1) * wide]
            filled = (cell != np.array(_print_cells.EMPTY, np.uint8)).any(-1)
            assert filled.mean() == pytest.approx(size_of(y, x), abs=0.02)
            rows = np.flatnonzero(filled.any(1))
            assert rows[0] == pytest.approx(high - 1 - rows[-1], abs=1)


def test_a_cell_without_a_picture_is_quiet() -> None:
    panel = mosaic()
    drawn = _print_cells.drawn(panel, panel.frames[0], grids_scene(), 1.25)
    y, x = EMPTY
    cell = drawn[y : y + drawn.shape[0] // ROWS, x : x + drawn.shape[1] // COLUMNS]
    assert cell.min() >= 225


def test_the_default_cell_is_outlined_and_enlarged(made) -> None:
    assert "row 3, column 2: activation 1.0" in words(made)
    outlines = [patch for patch in made.axes[0].patches if not patch.get_fill()]
    photo = grids_scene().photo.pixels
    width = _print_cells.WIDEST
    height = width * photo.shape[0] / (0.8 * photo.shape[1])
    assert len(outlines) == 2
    assert outlines[0].get_width() == pytest.approx(width / COLUMNS)
    assert outlines[0].get_height() == pytest.approx(height / ROWS)
    (grid,) = (i for i in made.axes[0].images if i.get_array().shape[1] == 128 * COLUMNS)
    left, _, _, top = grid.get_extent()
    row, column = divmod(DEFAULT, COLUMNS)
    assert outlines[0].get_x() == pytest.approx(left + column * width / COLUMNS)
    assert outlines[0].get_y() == pytest.approx(top + row * height / ROWS)


def test_without_a_selection_the_largest_cell_is_told() -> None:
    panel = replace(mosaic(), sets=(), highlights=None)
    scene = replace(grids_scene(), chapters=(Chapter("h", "r", panel),), photo=None)
    assert "row 4, column 5: activation 1.0" in words(figure(scene))


def test_ribbons_are_as_wide_as_their_flows(ribbons) -> None:
    values = sorted((value for shares in SHARES for value in shares), key=lambda v: -abs(v))
    widths = [height_of(ribbon) for ribbon in ribbons]
    assert widths == pytest.approx([abs(value) * widths[0] / 1.8 for value in values])
    colours = [palette.OPPOSES if value < 0 else palette.SUPPORTS for value in values]
    assert [to_hex(ribbon.get_facecolor()) for ribbon in ribbons] == colours


def test_the_thinnest_ribbon_is_a_hairline(ribbons) -> None:
    assert [ribbon.get_linewidth() > 0 for ribbon in ribbons] == [False] * 7 + [True]


def test_sums_signs_and_scale_are_told(made) -> None:
    shown = words(made)
    assert {"supports", "opposes", "= 0.50 logit", "bn2", "answers"} <= set(shown)
    assert {"+1.40", "+2.30", "−0.60", "+0.10", "+2.50", "+0.70"} <= set(shown)


def test_icons_have_a_scale_bar(made) -> None:
    """The chosen cell's and those of the flows, at the size at which each is printed."""
    assert words(made).count("64 px") == 2
    bars = [line for line in made.axes[0].lines if len(set(line.get_ydata())) == 1]
    lengths = [np.ptp(line.get_xdata()) for line in bars]
    for printed in (_print_cells.LENS, _print_sankey.ICON):
        assert any(length == pytest.approx(printed * 64 / 128) for length in lengths)


def test_what_is_not_explained_is_hatched(made) -> None:
    hatched = [patch for patch in made.axes[0].patches if patch.get_hatch()]
    assert len(hatched) == 1


def test_narrow_panels_keep_to_their_sides() -> None:
    scene = replace(grids_scene(), chapters=(Chapter("h", "r", Beside((flows(), flows()))),))
    made = figure(scene)
    renderer = FigureCanvasAgg(made).get_renderer()
    boxes = [text.get_window_extent(renderer) for text in made.axes[0].texts]
    groups = [box for box, text in zip(boxes, words(made), strict=True) if text == "group 1"]
    assert len(groups) == 2
    assert min(box.x0 for box in boxes) >= 0
    assert groups[0].x1 < renderer.width / 2 < groups[1].x0


def test_nothing_flows_where_nothing_was_given() -> None:
    silent = replace(flows(), frames=(Flows((Mark("a", "a", (0.0,)),)),))
    made = figure(Scene("t", "a", None, (Chapter("h", "r", silent),)))
    assert "= 0.00 logit" in words(made)
    assert not any(isinstance(patch, PathPatch) for patch in made.axes[0].patches)


def test_colours_lie_over_the_cells_on_paper() -> None:
    names = tuple(f"bn2/group/{k}" for k in range(2))
    scene = grids_scene()
    plain, tinted = (
        figure(replace(scene, chapters=(Chapter("h", "r", panel),)))
        for panel in (mosaic(), replace(mosaic(), tints=(names,)))
    )
    assert not any("group 1" in text for text in words(plain))
    assert {"group 1", "group 2"} <= set(words(tinted))
    before, after = (len(made.axes[0].images) for made in (plain, tinted))
    assert after == before + 1
    fields = [scene.fields[name] for name in names]
    laid = next(
        image.get_array() for image in tinted.axes[0].images if image.get_array().shape[-1] == 4
    )
    assert np.asarray(laid)[..., 3].max() == pytest.approx(
        inks.mix(fields)[..., 3].max() * _print_cells.TINT, abs=0.01
    )

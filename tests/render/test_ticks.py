"""A second number on a bar: in the scene, in a page's data, on paper."""

from __future__ import annotations

from dataclasses import replace

import pytest
from matplotlib.colors import to_hex

from captum_blocks.errors import InvalidArgument
from captum_blocks.render.mpl import figure
from captum_blocks.render.paper import INK
from captum_blocks.render.payload import packed_alone
from captum_blocks.render.wording import number
from captum_blocks.scene import Bars, Chapter, Mark, Scene, marks_of
from tests.render.sample_ticks import CHANNELS, PLAIN, ROWS, STRENGTHS, TILES, WORDS, ticks_scene


def panel_named(title: str) -> Bars:
    return next(panel for panel in ticks_scene().panels() if panel.title == title)


def printed(panel: Bars):
    still = replace(panel, follows=(), frames=panel.frames[:1])
    scene = replace(ticks_scene(), chapters=(Chapter("h", "r", still),))
    return figure(scene).axes[0]


def alone(panel: Bars):
    return figure(Scene("t", "a", None, (Chapter("h", "r", panel),))).axes[0]


def lines_of(axes, colour: str) -> list[float]:
    """Where upright lines of a colour stand."""
    upright = [line for line in axes.lines if len(set(line.get_xdata())) == 1]
    return [line.get_xdata()[0] for line in upright if to_hex(line.get_color()) == colour]


def texts(axes) -> dict[str, tuple[float, float]]:
    return {text.get_text(): text.get_position() for text in axes.texts}


@pytest.mark.parametrize("ticks", [(), (None, None), (1.0, None), (0, -2.5)])
def test_a_mark_has_one_tick_a_value_or_none(ticks) -> None:
    assert Mark("a", "a", (1.0, 2.0), ticks=ticks).ticks == ticks


@pytest.mark.parametrize("ticks", [(1.0,), (1.0, 2.0, 3.0)])
def test_another_number_of_ticks_is_refused(ticks) -> None:
    with pytest.raises(InvalidArgument) as caught:
        Mark("a", "a", (1.0, 2.0), ticks=ticks)
    assert str(caught.value) == (
        f"mark 'a' has 2 values and {len(ticks)} ticks; "
        "give one a value, None where there is none, or () for none at all"
    )


@pytest.mark.parametrize("tick", [float("nan"), float("inf"), -float("inf")])
def test_a_tick_that_stands_nowhere_is_refused(tick) -> None:
    with pytest.raises(InvalidArgument) as caught:
        Mark("a", "a", (1.0,), ticks=(tick,))
    assert str(caught.value) == f"mark 'a' has a tick of {tick}; give None where there is none"


def test_the_data_of_a_page_has_ticks_only_where_there_are_some() -> None:
    with_tick, without = Mark("a", "a", (1.0,), ticks=(0.123456789,)), Mark("a", "a", (1.0,))
    packed = packed_alone(Bars("p", frames=((with_tick, without),), ticked="tick: other"))
    assert packed["marks"] == [[0, [1.0], "", [0.12346]], [0, [1.0], ""]]
    assert packed["frames"] == [[0, 1]]
    assert packed["ticked"] == "tick: other"
    assert "ticked" not in packed_alone(Bars("p", frames=((without,),)))


def test_ticks_without_words_are_drawn_all_the_same() -> None:
    panel = Bars("p", frames=((), (Mark("a", "a", (1.0,), ticks=(0.5,)),)))
    assert panel.is_ticked
    assert packed_alone(panel)["ticked"] == ""


def test_ticks_stand_on_the_scale_of_their_bars_in_print() -> None:
    axes = printed(panel_named(PLAIN))
    sample, *ticks = lines_of(axes, INK)
    (zero, *_) = lines_of(axes, "#5c626b")
    first = next(patch for patch in axes.patches if patch.get_x() == zero)
    inch = first.get_width() / STRENGTHS[0][0]
    assert sample < zero
    assert ticks == pytest.approx([zero + inch * tick for _, tick in STRENGTHS])


def test_ticks_stand_on_the_scale_of_their_tiles_in_print() -> None:
    panel = panel_named(TILES)
    axes = printed(panel)
    # The sample of the note is drawn last.
    *ticks, _ = lines_of(axes, INK)
    zeros = lines_of(axes, "#5c626b")[: len(CHANNELS)]
    bars = {patch.get_x(): patch.get_width() for patch in axes.patches}
    inch = bars[zeros[0]] / CHANNELS[0][0]
    wanted = [zero + inch * tick for zero, (_, tick) in zip(zeros, CHANNELS, strict=True) if tick]
    assert ticks == pytest.approx(wanted)


@pytest.mark.parametrize("title", [ROWS, TILES])
def test_the_words_of_ticks_are_printed_once(title) -> None:
    shown = [text.get_text() for text in printed(panel_named(title)).texts]
    assert shown.count(WORDS) == 1


def test_long_words_of_ticks_get_lines_of_their_own() -> None:
    words = "tick: " + "what the method said of it, " * 8
    panel = replace(panel_named(TILES), ticked=words)
    positions = texts(printed(panel))
    (range_,) = [place for text, place in positions.items() if text.startswith("bars from")]
    (first,) = [place for text, place in positions.items() if text.startswith("tick: what")]
    assert first[1] > range_[1]


def test_numbers_beside_ticks_stand_in_a_column() -> None:
    positions = texts(printed(panel_named(PLAIN)))
    places = {positions[number(value)][0] for value, _ in STRENGTHS}
    assert len(places) == 1
    assert places.pop() > max(lines_of(printed(panel_named(PLAIN)), INK)) + 0.05


def test_bars_without_ticks_are_printed_as_before() -> None:
    marks = tuple(replace(mark, ticks=()) for mark in marks_of(panel_named(PLAIN)))
    axes = alone(replace(panel_named(PLAIN), frames=(marks,), ticked=""))
    assert lines_of(axes, INK) == []
    assert len({texts(axes)[number(value)][0] for value, _ in STRENGTHS}) == len(STRENGTHS)

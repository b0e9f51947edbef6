"""Ranges of bars and marks of panels: in the scene, in a page's data, on paper."""

from __future__ import annotations

from dataclasses import replace

import pytest
from matplotlib.colors import to_hex

from captum_blocks.errors import InvalidArgument
from captum_blocks.render.html import page
from captum_blocks.render.mpl import figure
from captum_blocks.render.paper import INK, QUIET, SIGNS
from captum_blocks.render.payload import packed_alone
from captum_blocks.scene import Bars, Chapter, Mark
from tests.render import sample_spans
from tests.render.sample_spans import CHANNELS, PLAIN, ROWS, TILES, WORDS, spans_scene


def panel_named(title: str) -> Bars:
    return next(panel for panel in spans_scene().panels() if panel.title == title)  # type: ignore[return-value]


def printed(panel: Bars):
    still = replace(panel, follows=(), frames=panel.frames[:1])
    return figure(replace(spans_scene(), chapters=(Chapter("h", "r", still),))).axes[0]


def level_lines(axes) -> list[tuple[float, float]]:
    """From where to where lines in ink run along bars."""
    level = [line for line in axes.lines if len(set(line.get_ydata())) == 1]
    return [tuple(line.get_xdata()) for line in level if to_hex(line.get_color()) == INK]


@pytest.mark.parametrize("spans", [(), (None, None), ((1.0, 2.0), None), ((0, 0), (-2.5, 1))])
def test_a_mark_has_one_range_a_value_or_none(spans) -> None:
    assert Mark("a", "a", (1.0, 2.0), spans=spans).spans == spans


def test_another_number_of_ranges_is_refused() -> None:
    with pytest.raises(InvalidArgument) as caught:
        Mark("a", "a", (1.0, 2.0), spans=((0.0, 1.0),))
    assert str(caught.value) == (
        "mark 'a' has 2 values and 1 spans; give one a value, None where there is none, or () for "
        "none at all"
    )


@pytest.mark.parametrize("span", [(2.0, 1.0), (float("nan"), 1.0), (0.0, float("inf"))])
def test_a_range_that_is_none_is_refused(span) -> None:
    with pytest.raises(InvalidArgument) as caught:
        Mark("a", "a", (1.0,), spans=(span,))
    assert str(caught.value) == (
        f"mark 'a' has a span from {span[0]} to {span[1]}: the least comes first, and None stands "
        "where there is none"
    )


def test_the_data_of_a_page_has_ranges_only_where_there_are_some() -> None:
    with_range = Mark("a", "a", (1.0,), spans=((0.123456789, 2.0),))
    without = Mark("a", "a", (1.0,))
    packed = packed_alone(Bars("p", frames=((with_range, without),), spanned=WORDS))
    assert packed["marks"] == [[0, [1.0], "", [], [[0.12346, 2.0]]], [0, [1.0], ""]]
    assert packed["spanned"] == WORDS
    assert "spanned" not in packed_alone(Bars("p", frames=((without,),)))


def test_ranges_stand_on_the_scale_of_their_bars_in_print() -> None:
    axes = printed(panel_named(TILES))
    *drawn, _ = level_lines(axes)  # the sample of the note is drawn last
    upright = [line for line in axes.lines if len(set(line.get_xdata())) == 1]
    zeros = [line.get_xdata()[0] for line in upright if to_hex(line.get_color()) == QUIET]
    bars = {patch.get_x(): patch.get_width() for patch in axes.patches}
    inch = bars[zeros[0]] / CHANNELS[0][0]
    expected = [
        tuple(zero + inch * end for end in span)
        for zero, (_, span) in zip(zeros, CHANNELS, strict=False)
        if span and span[0] < span[1]
    ]
    # Where all methods say the same there is no line, and none where nothing is known.
    assert drawn == [pytest.approx(each) for each in expected]


@pytest.mark.parametrize("title", [ROWS, TILES])
def test_the_words_of_ranges_are_printed_once(title) -> None:
    shown = [text.get_text() for text in printed(panel_named(title)).texts]
    assert " ".join(shown).count("thin line: range over three methods") == 1


@pytest.mark.parametrize("title", [ROWS, TILES, PLAIN])
def test_a_panel_says_beside_its_title_how_far_it_is_to_be_believed(title) -> None:
    sign = sample_spans.SIGNS[title]
    positions = {text.get_text(): text.get_position() for text in printed(panel_named(title)).texts}
    told = positions[f"{SIGNS[sign.level]} {sign.name}"]
    assert told[0] > positions[title][0]
    assert told[1] == pytest.approx(positions[title][1], abs=0.05)


def test_the_mark_of_a_panel_is_in_the_text_of_the_page() -> None:
    text = page(spans_scene())
    for sign in sample_spans.SIGNS.values():
        assert (
            f'<p class="believed sign-told" data-sign="{sign.level}" title="{sign.told}">'
            f"{sign.name}</p>" in text
        )
    bare = page(
        replace(spans_scene(), chapters=(Chapter("h", "r", Bars("no mark", frames=((),))),))
    )
    assert 'class="believed' not in bare

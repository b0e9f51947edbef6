"""Tables, histograms, small multiples, heat maps and the chosen photograph on paper."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex

from captum_blocks.errors import InvalidArgument
from captum_blocks.render import _print_histogram, mpl, palette, printing, wording
from captum_blocks.render.mpl import figure
from captum_blocks.render.printing import moved, printed
from captum_blocks.scene import Bars, Cells, Chapter, Histogram, Matrix, Overlay
from tests.render.sample_grids import mosaic
from tests.render.sample_kinds import (
    BINS,
    CHANNELS,
    CLASSES,
    PICTURES,
    SEEN,
    counts,
    kinds_scene,
    links,
    marked_scene,
)


def words(made) -> list[str]:
    return [text.get_text() for text in made.axes[0].texts]


def only(title, scene=None):
    """The figure of one panel, for the photograph chosen by default."""
    scene = scene or kinds_scene()
    panel = next(panel for panel in scene.panels() if panel.title == title)
    alone = replace(scene, chapters=(Chapter("", "", panel),), footer=(), answer="")
    return figure(printed(alone))


def boxes(made, colour) -> list:
    return [
        patch
        for patch in made.axes[0].patches
        if patch.get_fill() and to_hex(patch.get_facecolor()) == colour
    ]


def test_numbers_stand_in_rows_under_their_columns() -> None:
    made = only("Groups and classes")
    shown = words(made)
    assert {"tiger cat", "espresso", "group 1", "not explained", "total", "in logit"} <= set(shown)
    assert {"+0.70", "+0.38", "−0.29", "+0.05", "–", "+0.68"} <= set(shown)
    column = [text for text in made.axes[0].texts if text.get_text() in ("+0.70", "−0.69", "+0.68")]
    assert len({round(text.get_position()[0], 3) for text in column}) == 1
    assert all(text.get_ha() == "right" for text in column)


def test_the_area_of_a_cell_is_its_magnitude() -> None:
    made = only("Channels and channels")
    values = [value for mark in links() for value in mark.values]
    for sign, colour in ((1, palette.SUPPORTS), (-1, palette.OPPOSES)):
        own = sorted(min(1.0, abs(v)) for v in values if np.sign(v) == sign)
        areas = sorted(patch.get_width() * patch.get_height() for patch in boxes(made, colour))
        legend = areas.pop(int(np.argmin([abs(a - 0.5 * 0.14**2) for a in areas])))
        assert legend == pytest.approx(0.5 * 0.14**2)
        assert np.array(areas) / areas[-1] == pytest.approx(np.array(own) / own[-1], abs=1e-6)
    assert "= 1.00 logit" in words(made)


def test_bars_of_counts_are_as_high_as_their_counts() -> None:
    made = only("How much neurons fire")
    bars = boxes(made, palette.NEUTRAL)
    expected = [n for row in counts(PICTURES[0]) for n in row]
    heights = [patch.get_height() for patch in bars]
    assert heights == pytest.approx([_print_histogram.TALL * n / max(expected) for n in expected])
    assert {"bn1", "bn2", "0.00", "3.00"} <= set(words(made))
    assert "along: activation; the full height is 90 neurons" in words(made)
    assert len(bars) == 2 * BINS


def test_a_line_marks_the_number_of_the_photograph() -> None:
    made = only("How much neurons fire", marked_scene())
    own = [line for line in made.axes[0].lines if line.get_color() == _print_histogram.MARKED]
    at = sorted({round(float(line.get_xdata()[0]), 4) for line in own})
    left = min(patch.get_x() for patch in boxes(made, palette.NEUTRAL))
    wide = _print_histogram.WIDEST
    assert at == pytest.approx([left + wide * 0.3 / 3, left + wide * 2.9 / 3], abs=1e-3)
    told = {text.get_text(): text for text in made.axes[0].texts}
    near, far = (told[f"this photograph: {number}"] for number in ("0.30", "2.90"))
    assert (near.get_ha(), far.get_ha()) == ("left", "right")
    assert near.get_position()[0] == pytest.approx(at[0] + _print_histogram.ASIDE, abs=1e-3)
    assert far.get_position()[0] == pytest.approx(at[1] - _print_histogram.ASIDE, abs=1e-3)
    assert "among the channel means of 90 photographs" in words(made)


@pytest.mark.parametrize(
    ("marked", "message"),
    [
        (((0.5,), (0.5,)), "in 1 frames of 1 columns"),
        (((0.5, 0.5),), "in 1 frames of 1 columns"),
        (((1.5,),), "marks 1.5, which is not between 0.0 and 1.0"),
        (((float("nan"),),), "marks nan, which is not between 0.0 and 1.0"),
    ],
)
def test_what_is_marked_lies_within_the_edges(marked, message) -> None:
    with pytest.raises(InvalidArgument, match=message):
        Histogram("h", frames=(((3,),),), marked=marked)
    assert Histogram("h", frames=(((3,),),), marked=((None,),)).marked == ((None,),)


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=20, unique=True).map(sorted))
def test_printed_edges_are_apart_and_hold_the_ends(edges) -> None:
    panel = Histogram("h", edges=tuple(edges), frames=(((1,) * (len(edges) - 1),),))
    shown = _print_histogram.ticks(panel)
    assert (shown[0], shown[-1]) == (edges[0], edges[-1])
    assert np.diff(shown).min() >= min(_print_histogram.APART, 1.0) * (edges[-1] - edges[0])


def test_small_photographs_say_their_scale_once() -> None:
    made = only("Where they fire")
    shown = words(made)
    assert shown.count("maps from 0.00 to 1.00 activation") == 1
    assert "no map" not in shown
    photo = kinds_scene().photo.pixels
    small = [
        image for image in made.axes[0].images if image.get_array().shape[:2] == photo.shape[:2]
    ]
    # The large one, and one a channel.
    assert len(small) == 1 + CHANNELS


def test_a_heat_map_has_no_photograph_and_is_white_at_zero() -> None:
    scene = kinds_scene()
    made = only("Effect at bn2", scene)
    cells = np.asarray(made.axes[0].images[-1].get_array())
    values = scene.fields[f"{PICTURES[0]}/effect"].values
    assert cells.shape == (*values.shape, 4)
    assert cells[..., 3] == pytest.approx(np.abs(values).clip(0, 1))
    assert {"effect", "below zero", "−1.00 to +1.00 activation"} <= set(words(made))
    size = only("Size at bn2", scene).axes[0].images[-1].get_array()
    assert to_hex(size[3, 3, :3]) == palette.NEUTRAL


def test_choices_are_told_once() -> None:
    scene = kinds_scene()
    told = [wording.choices(panel, scene) for panel in scene.panels()]
    assert [line for line in told if line] == [
        f"Photograph: {PICTURES[0]}",
        "number of groups: 3",
        f"class: {CLASSES[0]}",
    ]


def test_a_panel_says_which_atom_it_is_about() -> None:
    scene = kinds_scene()
    told = [wording.subject(panel, scene) for panel in scene.panels()]
    assert [line for line in told if line] == ["bn2 : 0"]
    assert words(only("Came from"))[1:3] == ["Came from", "bn2/channel/0"]


def test_paper_shows_the_photograph_chosen_by_default() -> None:
    scene = kinds_scene()
    other = tuple(
        replace(each, default=1) if each.name == scene.pictured else each
        for each in scene.selections
    )
    made = figure(replace(scene, selections=other))
    pixels = scene.others[0].pixels
    assert made.axes[0].images[0].get_array().shape == pixels.shape
    assert "Photograph: cup.jpg" in words(made)
    shown = printed(replace(scene, selections=other))
    assert shown.photo is scene.others[0]
    assert shown.selection("spot").extent == pytest.approx(SEEN[1])
    assert shown.photos == (scene.others[0],)


def test_paper_shows_every_photograph() -> None:
    scene = kinds_scene()
    shown = words(figure(scene))
    for told in (f"Photograph: {name}" for name in PICTURES):
        assert shown.count(told) == 1
    assert PICTURES[1] in shown
    shapes = [image.get_array().shape for image in figure(scene).axes[0].images]
    assert all(photo.pixels.shape in shapes for photo in scene.photos)
    # What is the same for both is drawn once.
    alike = Chapter("Alike?", "", Bars("bars", frames=((),)))
    assert words(figure(replace(scene, chapters=(*scene.chapters, alike)))).count("Alike?") == 1


def test_photographs_without_room_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mpl, "HIGHEST", 30.0)
    assert f"Not drawn for want of room: {PICTURES[1]}." in words(figure(kinds_scene()))


def test_paper_does_not_ask_to_be_pointed_at() -> None:
    scene = kinds_scene()
    asking = [panel.caption for panel in scene.panels() if panel.caption.startswith("Click")]
    assert asking == ["Click one to see what it came from."]
    assert not [text for text in words(figure(scene)) if "Click" in text or "Slide" in text]
    assert printing.on_paper("Point at the photograph. Blue is for.") == "Blue is for."


def test_grids_move_with_what_was_seen() -> None:
    assert moved((0.0, 0.25, 0.5, 0.5), (0.0, 0.25, 1.0, 0.75), (0.2, 0.0, 0.8, 1.0)) == (
        pytest.approx((0.2, 0.0, 0.5, 0.5))
    )
    scene = kinds_scene()
    cells = replace(mosaic(), extent=SEEN[0], sets=(), highlights=None)
    other = replace(scene.selection("photo"), default=1)
    sprites = {mark.mark.sprite: next(iter(scene.sprites.values())) for mark in cells.frames[0]}
    shown = printed(
        replace(
            scene,
            chapters=(Chapter("", "", cells),),
            selections=(other,),
            sprites={name: sprite for name, sprite in sprites.items() if name},
        )
    )
    (panel,) = shown.panels()
    assert isinstance(panel, Cells)
    assert panel.extent == pytest.approx(SEEN[1])


def test_a_scene_of_one_photograph_is_printed_as_it_is() -> None:
    scene = replace(kinds_scene(), others=(), pictured=None)
    assert printed(scene) is scene


def test_a_bare_overlay_is_no_view_of_the_photograph() -> None:
    assert not Overlay("o", stage=True, bare=True).on_stage
    assert Overlay("o", stage=True).on_stage


def test_a_table_of_one_sign_is_not_signed() -> None:
    assert not Matrix("m", domain=(0.0, 1.0)).is_signed
    assert Matrix("m", domain=(-0.1, 1.0)).is_signed
    assert Matrix("m", signed=True).is_signed
    unsigned = Matrix("m", frames=(links()[:1],), columns=tuple("abcdefghi"), style="colours")
    scene = replace(kinds_scene(), chapters=(Chapter("", "", unsigned),))
    assert not boxes(figure(scene), palette.SUPPORTS)


def test_unlabelled_states_are_told_by_the_atoms_they_are() -> None:
    scene = kinds_scene()
    near = scene.selection("near")
    assert wording.state(near, scene) == "bn2 : 1"
    chosen = replace(near, gesture="choose", title="channel")
    panel = Bars("b", follows=("near",), frames=((),) * CHANNELS)
    chapter = Chapter("", "", panel)
    shown = replace(scene, selections=(chosen,), pictured=None, others=(), chapters=(chapter,))
    assert wording.choices(panel, shown) == "channel: bn2/channel/1"

from __future__ import annotations

from dataclasses import replace
from io import BytesIO, StringIO
from xml.etree import ElementTree

import pytest
from matplotlib import rc_context, rcParams
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.font_manager import findfont, get_font

from captum_blocks.errors import WrongType
from captum_blocks.render.fonts import families
from captum_blocks.render.html import page
from captum_blocks.render.mpl import figure, save
from captum_blocks.scene import Bars, Beside, Chapter, Mark, Panel, Scene
from tests.render.sample import sample_scene


def words(made) -> str:
    return " ".join(text.get_text() for text in made.axes[0].texts)


@pytest.fixture(scope="module")
def sample_figure():
    return figure(sample_scene())


def test_seven_inches_wide_with_every_word(sample_figure):
    shown = words(sample_figure)
    assert sample_figure.get_figwidth() == 7
    for chapter in sample_scene().chapters:
        assert chapter.heading in shown
    for panel in sample_scene().panels():
        assert panel.title in shown
    assert "667 other channels" in shown
    assert "showing 12 of 672 channels, 61 % of the attribution; residual -0.31" in shown


def test_default_states_are_drawn(sample_figure):
    scene = sample_scene()
    dictionary = next(panel for panel in scene.panels() if panel.title == "Strongest channels here")
    frame = dictionary.frames[scene.default_frame(dictionary)]
    shown = words(sample_figure)
    assert all(f"{mark.values[0]:.2f}" in shown for mark in frame)


def test_nothing_leaves_the_sheet(sample_figure):
    renderer = FigureCanvasAgg(sample_figure).get_renderer()
    boxes = [text.get_window_extent(renderer) for text in sample_figure.axes[0].texts]
    assert min(min(box.x0, box.y0) for box in boxes) >= 0
    assert max(box.x1 for box in boxes) <= renderer.width


def test_text_is_vector(sample_figure):
    from matplotlib import rc_context

    target = StringIO()
    with rc_context({"svg.fonttype": "none"}):
        sample_figure.savefig(target, format="svg")
    assert "Which single channels mattered?" in target.getvalue()


def test_labels_are_never_read_as_formulas():
    mark = Mark("k", "costs $5 or $6_x$ \\frac", (1.0,))
    scene = Scene("$t$", "a", None, (Chapter("h", "r", Bars("p", frames=((mark,),))),))
    made = figure(scene)
    made.savefig(BytesIO(), format="png")
    assert "costs $5 or $6_x$ \\frac" in words(made)


def test_endless_labels_are_cut():
    mark = Mark("k", "x" * 10_000, (1.0,))
    scene = Scene("t", "a", None, (Chapter("h", "r", Bars("p", frames=((mark,),))),))
    made = figure(scene)
    assert made.get_figheight() < 4
    assert "…" in words(made)


def test_parts_stand_beside_each_other():
    one, two = (Bars(title, frames=((Mark(title, title, (1.0,)),),)) for title in ("one", "two"))
    made = figure(Scene("t", "a", None, (Chapter("h", "r", Beside((one, two))),)))
    first, second = (
        text
        for text in made.axes[0].texts
        if text.get_weight() == "bold" and text.get_text() in ("one", "two")
    )
    assert first.get_position()[1] == second.get_position()[1]
    assert first.get_position()[0] < second.get_position()[0]


def test_narrow_panels_put_their_bars_below_the_names():
    mark = Mark("m", "a name", (1.0, -1.0, 0.5))
    panel = Bars("p", columns=("net", "cat", "dog"), frames=((mark,),), domain=(-1.0, 1.0))
    made = figure(Scene("t", "a", None, (Chapter("h", "r", Beside((panel, panel))),)))
    shown = {text.get_text(): text.get_position()[1] for text in made.axes[0].texts}
    assert shown["+0.50"] > shown["a name"] + 0.05
    lengths = [abs(patch.get_width()) for patch in made.axes[0].patches]
    assert max(lengths) > 0.1


def test_words_beside_an_axis_never_lie_on_its_numbers() -> None:
    mark = Mark("m", "a", (1.0, -1.0))
    panel = Bars(
        "p",
        columns=("cat", "dog"),
        unit="logit",
        frames=((mark,),),
        domain=(-0.1, 9.0),
        signed=True,
    )
    made = figure(Scene("t", "a", None, (Chapter("h", "r", Beside((panel, panel))),)))
    renderer = FigureCanvasAgg(made).get_renderer()
    boxes = {t: t.get_window_extent(renderer) for t in made.axes[0].texts}
    words = [box for text, box in boxes.items() if text.get_text().startswith("bars from")]
    numbers = [box for text, box in boxes.items() if text.get_text() in ("0.00", "+9.00")]
    assert len(words) == 2
    assert numbers
    assert not any(word.overlaps(number) for word in words for number in numbers)


def test_attributions_name_their_signs_where_nothing_opposes():
    mark = Mark("m", "a", (1.0,))
    for signed in (True, False):
        panel = Bars("p", frames=((mark,),), signed=signed)
        made = figure(Scene("t", "a", None, (Chapter("h", "r", panel),)))
        assert ("supports" in words(made)) == signed


def test_what_the_network_saw_is_framed():
    photo = replace(sample_scene().photo, seen=(0.0, 0.25, 1.0, 0.75))
    frames = [
        list(figure(Scene("t", "a", shown, ())).axes[0].patches)
        for shown in (sample_scene().photo, photo)
    ]
    assert [len(patches) for patches in frames] == [0, 1]
    assert frames[1][0].get_width() == pytest.approx(1.9 / 2)


def test_an_unknown_kind_of_panel_is_refused():
    scene = Scene("t", "a", None, (Chapter("h", "r", Panel("odd")),))
    with pytest.raises(WrongType, match="no printed form for a panel of type Panel; add one with"):
        figure(scene)


ODD = "tiger\x1b[31m cat\x00 $x_1 \ud800 \\LaTeX \ufffe & <b> \u202egnp"
SHOWN = "tiger?[31m cat? $x_1 ? \\LaTeX ? & <b> ?gnp"


@pytest.mark.parametrize(
    "defaults",
    [{"text.usetex": True}, {"figure.autolayout": True}, {"savefig.bbox": "tight"}],
)
def test_a_figure_is_the_same_whatever_the_users_defaults(defaults, tmp_path):
    scene = Scene("Why?", "Because $x_1$ & 5 %.", None, ())
    save(scene, tmp_path / "usual.png")
    with rc_context(defaults):
        save(scene, tmp_path / "other.png")
        assert not any(text.get_usetex() for text in figure(scene).axes[0].texts)
    assert (tmp_path / "other.png").read_bytes() == (tmp_path / "usual.png").read_bytes()


@pytest.mark.parametrize("defaults", [{"svg.id": "a\x00b"}, {"svg.image_inline": False}])
def test_an_svg_is_one_valid_file_whatever_the_users_defaults(defaults, tmp_path):
    with rc_context({name: held for name, held in defaults.items() if name in rcParams}):
        save(sample_scene(), tmp_path / "page.svg")
    ElementTree.parse(tmp_path / "page.svg")
    assert [path.name for path in tmp_path.iterdir()] == ["page.svg"]


def test_any_text_makes_a_valid_file(tmp_path):
    scene = Scene(ODD, ODD, None, (), footer=((ODD, ODD),))
    assert SHOWN in words(figure(scene))
    for ending in ("svg", "pdf", "png", "SVG"):
        save(scene, tmp_path / f"page.{ending}")
    for ending in ("svg", "SVG"):
        assert ElementTree.parse(tmp_path / f"page.{ending}").getroot().tag.endswith("}svg")
    text = page(scene)
    assert "<h1" in text
    assert not set("\x00\x1b\ud800\u202e") & set(text)
    (tmp_path / "page.html").write_text(text, encoding="utf-8")


def test_a_script_that_the_usual_font_lacks_is_drawn_in_one_that_has_it():
    """The usual font is put aside for a narrow one: what that lacks is looked for elsewhere."""
    assert families("tiger cat ±−…") == ("sans-serif",)
    with rc_context({"font.sans-serif": ["cmr10"]}):
        usual, *others = families("кот")
        assert usual == "sans-serif"
        letters = get_font(findfont(others[0])).get_charmap()
        assert all(ord(letter) in letters for letter in "кот")
    nowhere = families("\U0010fff0")
    assert nowhere == ("sans-serif",)

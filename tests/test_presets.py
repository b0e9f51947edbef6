"""Every preset makes a page of a small network, and is words of the grammar."""

from __future__ import annotations

import re

import pytest

import captum_blocks as cb
from captum_blocks.errors import InvalidArgument, WrongType
from tests.conftest import FEW_STEPS

PRESETS = {
    "predictions": cb.predictions(),
    "neuron_groups": cb.neuron_groups("late", 2),
    "semantic_dictionary": cb.semantic_dictionary("late", 2),
    "activation_grid": cb.activation_grid("late"),
    "group_attribution": cb.group_attribution("early", "late", groups=2),
    "channel_attribution": cb.channel_attribution("early", "late", strongest=4),
    "spatial_attribution": cb.spatial_attribution("early", "late"),
    "compare_classes": cb.compare_classes("late", "cat", 2),
    "compare_groups": cb.compare_classes("late", "cat", 2, atom="groups"),
    "levels": cb.levels("late", "dog", groups=3),
    "aligned": cb.group_attribution("early", "late", groups=(3, 2), align=True),
    "overview": cb.overview("early", "late"),
    "report": cb.report("early", "late"),
}


@pytest.fixture
def explain(small, noise_picture, store):
    return lambda interface: cb.explain(
        interface, small, noise_picture, quality=FEW_STEPS, progress=False, store=store
    )


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_json_and_a_page(name: str, explain) -> None:
    interface = PRESETS[name]
    assert cb.Interface.from_json(interface.to_json()) == interface
    ex = explain(interface)
    assert all(chapter.heading and chapter.reading for chapter in ex.scene.chapters)
    assert len(ex.html()) > 10_000


def test_spatial_attribution_follows_the_place_in_every_layer(explain) -> None:
    ex = explain(cb.spatial_attribution("early", "late"))
    photo, bars, saw, factors, came, went = ex.scene.panels()
    assert photo.stage
    assert len(factors.frames[0]) == 2
    assert photo.sets[0] == bars.follows[0] == came.follows[0] == saw.sets[0]
    assert len(bars.frames) == len(came.frames) == 16
    assert bars.sets == photo.follows == (bars.highlights,)
    assert len(photo.frames) == len(bars.frames[0]) == 3
    assert saw.tints == (tuple(mark.field for mark in factors.frames[0]),)
    assert [mark.hue for mark in factors.frames[0]] == [0, 1]
    assert len(went.frames) == 64
    assert ex.scene.fields[went.frames[0][0]].values.shape == (4, 4)
    assert came.highlights == came.follows[0], "the place it came to, not one of the layer before"
    assert [mark.label.split(" (")[0] for mark in bars.frames[0]] != []
    early_grid = ex.scene.fields[came.frames[0][0]].values.shape
    assert early_grid == (8, 8)


def test_spatial_attribution_without_pictures(explain) -> None:
    ex = explain(cb.spatial_attribution("late", grid=False))
    assert [type(panel).__name__ for panel in ex.scene.panels()] == ["Overlay", "Bars", "Multiples"]
    assert not ex.scene.sprites


def test_levels_add_up_to_one_number(explain) -> None:
    ex = explain(cb.levels("late", "dog", groups=3))
    added = [value for value in ex.values.values() if value.additive]
    totals = [float(value.total.squeeze()) for value in added]
    assert totals == pytest.approx([totals[0]] * 4, abs=1e-5)


def test_comparison_names_both_classes(explain) -> None:
    panel, first, second = explain(PRESETS["compare_classes"]).scene.panels()
    assert panel.columns == ("cat − pig",)
    assert (first.columns, second.columns) == (("cat",), ("pig",))
    ticks = [mark.ticks[0] for mark in panel.frames[0] if mark.role == "atom"]
    assert ticks[:3] == sorted(ticks[:3], reverse=True)
    assert ticks[3:] == sorted(ticks[3:])
    assert len(ticks) == 6


def test_presets_need_layers_and_known_atoms() -> None:
    with pytest.raises(InvalidArgument, match=r"report needs at least one layer; Network.layers"):
        cb.report()
    with pytest.raises(InvalidArgument, match="two classes are compared by channels or groups"):
        cb.compare_classes("late", 0, 1, atom="pixels")


@pytest.mark.parametrize("preset", [cb.report, cb.neuron_groups, cb.spatial_attribution])
@pytest.mark.parametrize(
    ("classes", "meant"), [(281, "Out(281)"), ([281, "tabby"], "Out(281, 'tabby')")]
)
def test_bare_classes_are_told_how_classes_are_given(preset, classes, meant: str) -> None:
    with pytest.raises(WrongType, match=re.escape(f"classes takes {meant}")):
        preset("late", classes=classes)


def test_nothing_is_computed_twice(explain, monkeypatch) -> None:
    """However many places a panel can show, each attribution is computed once."""
    from captum_blocks.attr import LayerMethod, LayerToLayerAttribution

    calls = []
    for kind in (LayerMethod, LayerToLayerAttribution):
        original = kind.attribute

        def counted(self, *args, original=original, **options):
            calls.append(type(self).__name__)
            return original(self, *args, **options)

        monkeypatch.setattr(kind, "attribute", counted)
    explain(cb.spatial_attribution("early", "late"))
    # To the answers, to every class at once for their factors, and from layer to layer.
    expected = ["LayerMethod", "LayerMethod", "SteadyLayerToLayer"]
    assert sorted(calls) == expected

"""Selections are words: they print as their call, survive JSON, and refuse what means nothing."""

from __future__ import annotations

import pytest

import captum_blocks as cb
from captum_blocks.errors import BlocksError, InvalidArgument, WrongType

LAYER = cb.Hidden("late")


@pytest.mark.parametrize(
    "selection",
    [
        cb.hover("spatial"),
        cb.hover("channel", name="words"),
        cb.click("channel"),
        cb.choose(cb.Out(207, "tiger cat"), "answer", start=1),
        cb.choose(cb.Out(top=5)),
        cb.choose("image"),
        cb.choose(cb.Hidden("late").groups(4), "early groups"),
        cb.slider(2, 12, value=6),
        cb.slider(2, 8, value=4, step=2, name="groups"),
    ],
)
def test_a_selection_prints_as_its_call_and_survives_json(selection) -> None:
    words = ("hover", "click", "choose", "slider", "Out", "Hidden")
    names = {name: getattr(cb, name) for name in words}
    assert eval(repr(selection), names) == selection
    element = cb.InfoVis(cb.Activation(LAYER.channels), sets=selection)
    interface = cb.Interface((element,))
    assert cb.Interface.from_json(interface.to_json()) == interface


def test_an_element_sets_one_selection_or_several() -> None:
    content, near, kept = cb.Activation(LAYER.channels), cb.hover("channel"), cb.click("channel")
    both = cb.FeatureVis(content, sets=[near, kept, near])
    assert both.sets == both.changes == (near, kept)
    assert repr(both).endswith("sets=(hover('channel'), click('channel')))")
    interface = cb.Interface((both,))
    assert cb.Interface.from_json(interface.to_json()) == interface
    alone = cb.FeatureVis(content, sets=near)
    assert alone == cb.FeatureVis(content, sets=(near,))
    assert (alone.sets, alone.changes) == (near, (near,))
    assert cb.InfoVis(content, sets=()).sets is None
    assert cb.InfoVis(content).changes == ()


def test_pictures_of_places_are_coloured_by_a_content() -> None:
    effect = cb.Attribution(LAYER.spatial, cb.Out().groups(2))
    interface = cb.Interface((cb.FeatureVis(LAYER.spatial, colour_by=effect),))
    assert cb.Interface.from_json(interface.to_json()) == interface
    assert "colour_by=Attribution(" in repr(interface)


def test_selections_stand_where_constants_stand() -> None:
    k = cb.slider(2, 4)
    effect = cb.Attribution(LAYER.groups(k), cb.Out(1, 2)).filter(to=cb.choose(cb.Out(1, 2)))
    interface = cb.Interface((cb.InfoVis(effect.filter(strongest=cb.slider(1, 3))),))
    assert cb.Interface.from_json(interface.to_json()) == interface
    assert "groups(slider(2, 4, value=3))" in repr(interface)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: cb.hover("pixel"), InvalidArgument, "a selection is one of spatial, channel"),
        (lambda: cb.choose("classes"), WrongType, "choose takes classes, as in Out"),
        (lambda: cb.choose(cb.Out()), InvalidArgument, "choose: say which classes"),
        (lambda: cb.choose(cb.Out(1), start=-1), InvalidArgument, "counted from 0"),
        (lambda: cb.slider(5, 2), InvalidArgument, "no numbers from 1 upwards"),
        (lambda: cb.slider(0, 2), InvalidArgument, "no numbers from 1 upwards"),
        (lambda: cb.slider(1, 2.5), WrongType, "whole numbers, not 2.5"),
        (lambda: cb.slider(1, 100), InvalidArgument, "100 states, each computed beforehand"),
        (lambda: cb.slider(2, 8, value=5, step=2), InvalidArgument, "value=5: the slider holds"),
        (lambda: LAYER.groups(cb.hover("group")), WrongType, "the number of groups is a slider's"),
        (
            lambda: LAYER.groups(2, align_with=cb.choose(cb.Out(1))),
            WrongType,
            "align_with takes groups of a later layer, not choose",
        ),
        (
            lambda: cb.Activation(LAYER).filter(top=cb.hover("channel")),
            WrongType,
            "top= takes a number or a slider",
        ),
        (
            lambda: cb.Activation(LAYER).filter(within=(0.5, 0, 0.2, 1)),
            InvalidArgument,
            "a region is",
        ),
        (lambda: cb.Activation(LAYER).filter(by=cb.Activation(LAYER)), InvalidArgument, "one of"),
        (
            lambda: cb.FeatureVis(LAYER.spatial, recipe="fast"),
            InvalidArgument,
            "neither None nor 'shared'",
        ),
        (
            lambda: cb.FeatureVis(LAYER.channels, objective=lambda acts: acts),
            WrongType,
            "a spec holds names",
        ),
    ],
)
def test_what_means_nothing_is_refused(make, error: type[BlocksError], message: str) -> None:
    with pytest.raises(error, match=message):
        make()

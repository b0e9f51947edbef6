"""One atom picked by name, and words that several parts of a page share: shown once, and whole."""

from __future__ import annotations

import pytest

import captum_blocks as cb
from captum_blocks.compose import Quality
from captum_blocks.errors import InvalidArgument
from captum_blocks.scene import Overlay, Panel

LATE = cb.Hidden("late")
NO_ICONS = Quality(size=16, n_steps=1, budget=0)
ONE_ICON = Quality(size=16, n_steps=1, budget=12)


@pytest.fixture
def explain(small, noise_picture, store):
    def run(interface, quality=NO_ICONS):
        return cb.explain(
            interface, small, noise_picture, quality=quality, progress=False, store=store
        )

    return run


def maps_of(panel: Panel) -> list[str]:
    if isinstance(panel, Overlay):
        return list(panel.frames[0])
    return [mark.field for mark in panel.frames[0]]  # type: ignore[attr-defined]


@pytest.mark.parametrize("mark", ["overlay", "heatmap", "multiples"])
@pytest.mark.parametrize("atoms", [LATE.channels, LATE.groups(3)])
def test_the_map_of_one_atom(explain, small, noise_picture, mark: str, atoms) -> None:
    every = cb.evaluate(cb.Activation(atoms), small, small.read(noise_picture))
    assert every.maps is not None
    ex = explain(cb.InfoVis(cb.Activation(atoms).filter(at=1), mark))
    (name,) = maps_of(next(iter(ex.scene.panels())))
    assert ex.scene.fields[name].values == pytest.approx(every.maps[0, 1].numpy(), abs=1e-5)


@pytest.mark.parametrize("mark", ["overlay", "multiples"])
@pytest.mark.parametrize("atoms", [LATE.channels, LATE.groups(3)])
def test_what_one_atom_gave(explain, small, noise_picture, mark: str, atoms) -> None:
    content = cb.Attribution(atoms, cb.Out(2))
    every = cb.evaluate(content, small, small.read(noise_picture))
    ex = explain(cb.InfoVis(content.filter(at=1), mark))
    (name,) = maps_of(next(iter(ex.scene.panels())))
    assert float(ex.scene.fields[name].values.sum()) == pytest.approx(float(every.data[0, 0, 1]))


def test_the_answer_in_words_is_of_all_groups(explain) -> None:
    """A sentence that adds groups up is made where all of them are shown."""
    content = cb.Attribution(LATE.groups(3), cb.Out(2))
    whole = explain(cb.InfoVis(content)).scene.answer
    apart = content.difference(cb.Attribution(LATE.groups(3), cb.Out(0)))
    assert whole.startswith("Three groups of channels at late add ")
    for other in (content.filter(at=1), content.filter(strongest=2), apart, content.normalise()):
        assert " add " not in explain(cb.InfoVis(other)).scene.answer


def test_flows_of_single_neurons_are_refused(explain) -> None:
    content = cb.Attribution(LATE.neurons, cb.Out(0, 2)).filter(strongest=3)
    with pytest.raises(InvalidArgument, match="a sankey shows flows from the groups or channels"):
        explain(cb.InfoVis(content, "sankey"))


def test_a_method_is_told_once(explain) -> None:
    one, other = (cb.Attribution(LATE.channels, cb.Out(k)).filter(to=0) for k in (0, 2))
    page = cb.Interface(
        tuple(cb.InfoVis(one.difference(other), mark) for mark in ("bars", "table"))
    )
    told = dict(explain(page).scene.chapters[0].method)
    assert told["difference"] == "one content minus the other, atom by atom"


def test_pictures_that_share_nothing_are_drawn_once(explain) -> None:
    content = cb.Activation(LATE.channels).filter(top=2)
    page = cb.Interface(
        (cb.FeatureVis(content), cb.FeatureVis(content, recipe="shared", title="again"))
    )
    assert len(explain(page, ONE_ICON).scene.sprites) == 2

"""Every atom of every layer, as every content, shown in every way: a page, or a reason in words."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from captum.attr import LayerGradientXActivation

import captum_blocks as cb
from captum_blocks.compose import Quality
from captum_blocks.grammar import Content
from captum_blocks.grammar.presentation import MARK_NAMES
from captum_blocks.render.html import article, script_json
from captum_blocks.render.payload import payload
from captum_blocks.scene import Sankey

ATOMS = ("neurons", "spatial", "channels", "groups", "whole", "tokens", "out")
LAYERS = {"input": cb.Input(), "early": cb.Hidden("early"), "late": cb.Hidden("late")}
TARGETS = {
    "activation": None,
    "class": cb.Out(1),
    "classes": cb.Out(0, 2),
    "every class": cb.Out(),
    "late places": cb.Hidden("late").spatial,
    "late channels": cb.Hidden("late").channels[:3],
    "late groups": cb.Hidden("late").groups(2),
    "late whole": cb.Hidden("late").whole,
    "factors": cb.Out().groups(2),
}
WAYS = (*MARK_NAMES, "icons", "icons at a place", "bars of the strongest")
TINY = Quality(size=16, n_steps=1, budget=1, cell=16, cell_steps=1)
MEANT = {
    ("late", "groups", "class", "icons"),
    ("late", "groups", "classes", "sankey"),
    ("late", "channels", "classes", "bars of the strongest"),
    ("early", "spatial", "class", "overlay"),
    ("early", "spatial", "late whole", "overlay"),
    ("early", "groups", "late groups", "sankey"),
    ("early", "channels", "late channels", "bars"),
    ("early", "neurons", "activation", "icons at a place"),
    ("late", "out", "activation", "icons"),
    ("late", "spatial", "activation", "icons"),
    ("late", "whole", "every class", "bars"),
    ("input", "spatial", "activation", "overlay"),
    ("late", "spatial", "every class", "multiples"),
    ("late", "spatial", "factors", "multiples"),
    ("late", "spatial", "factors", "overlay"),
    ("late", "groups", "activation", "multiples"),
    ("late", "channels", "classes", "table"),
    ("early", "channels", "late groups", "matrix"),
    ("early", "neurons", "class", "histogram"),
    ("early", "neurons", "class", "bars of the strongest"),
    ("early", "spatial", "activation", "heatmap"),
}


def content_of(layer: object, atom: str, target: object) -> Content:
    if atom == "out":
        source = cb.Out(0, 1)
    elif atom == "groups":
        source = layer.groups(2)  # type: ignore[attr-defined]
    else:
        source = getattr(layer, atom)
    return cb.Activation(source) if target is None else cb.Attribution(source, target)


def element_of(content: Content, way: str) -> object:
    if way == "icons":
        return cb.FeatureVis(content)
    if way == "icons at a place":
        return cb.FeatureVis(content.filter(at=cb.hover("spatial"), top=2))
    if way == "bars of the strongest":
        return cb.InfoVis(content.filter(strongest=2))
    return cb.InfoVis(content, way)  # type: ignore[arg-type]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("atom", ATOMS)
def test_a_page_or_a_reason(small, noise_picture, store, atom, way) -> None:
    printed = set()  # the targets of which a page was drawn whole: layers differ in counts alone
    for layer, target in product(LAYERS, TARGETS):
        if layer == "input" and atom in ("groups", "tokens"):
            continue  # the grammar has no such word
        case = (layer, atom, target, way)
        try:
            element = element_of(content_of(LAYERS[layer], atom, TARGETS[target]), way)
        except cb.BlocksError as error:
            drawn, reason = False, str(error)
        else:
            whole = target not in printed
            drawn, reason = page_or_reason(element, small, noise_picture, store, whole=whole)
            printed |= {target} if drawn else set()
        assert drawn or len(reason.split()) >= 5, case
        assert drawn or case not in MEANT, reason


def page_or_reason(element, net, picture, store, given=None, whole=True) -> tuple[bool, str]:
    """Whether there is a page that shows something, and why not.

    The words and the data of a page are always made; ``whole``: and what is drawn of it for where
    no script runs, which takes ten times as long.
    """
    try:
        ex = cb.explain(
            element, net, picture, given=given, quality=TINY, progress=False, store=store
        )
    except cb.BlocksError as error:
        return False, str(error)
    assert "<h1" in (ex.html() if whole else article(ex.scene))
    assert script_json(payload(ex.scene))
    (panel,) = ex.scene.panels()
    assert panel.frames
    for frame in panel.frames:
        shown = frame.flows if isinstance(panel, Sankey) else frame
        assert shown, panel
    if isinstance(element, cb.FeatureVis):
        assert ex.scene.sprites
    return True, ""


def given_tensor(net, picture) -> torch.Tensor:
    """An attribution to one class computed by Captum alone."""
    method = LayerGradientXActivation(net.module, net.module.late)
    return method.attribute(net.read(picture), target=1).detach()


LATE = cb.Hidden("late")
EFFECT = cb.Attribution(LATE.channels, cb.Out(0, 2))
OPERATIONS = {
    "difference": EFFECT.filter(to=0).difference(EFFECT.filter(to="pig")),
    "mean over images": EFFECT.aggregate("image"),
    "sum over channels": EFFECT.aggregate("channel", "sum"),
    "normalised": EFFECT.normalise("sum"),
    "projected": cb.Attribution(LATE.channels, cb.Out(1)).project(LATE.groups(2)),
    "projected activation": cb.Activation(LATE.neurons).project(LATE.groups(2)),
    "within": EFFECT.filter(within=(0, 0, 0.5, 1)),
    "above": cb.Activation(LATE.channels).filter(above=0.0),
    "by another": EFFECT.filter(top=2, by=cb.Activation(LATE.channels)),
    "given": cb.Attribution(LATE.channels, cb.Out(1), method=cb.Given("mine")),
    "given, projected": cb.Attribution(LATE.channels, cb.Out(1), method=cb.Given("mine")).project(
        LATE.groups(2)
    ),
    "a place": cb.Activation(LATE.spatial).filter(at=(1, 2)),
}
# Those that must be a page.
PAGES = {
    ("difference", "bars"),
    ("difference", "icons"),
    ("difference", "table"),
    ("mean over images", "bars"),
    ("sum over channels", "bars"),
    ("normalised", "matrix"),
    ("projected", "icons"),
    ("projected", "sankey"),
    ("projected activation", "overlay"),
    ("within", "bars"),
    ("within", "table"),
    ("above", "histogram"),
    ("above", "icons"),
    ("by another", "icons"),
    ("given", "bars"),
    ("given, projected", "icons"),
    ("a place", "icons"),
    ("a place", "bars"),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_are_a_page_or_a_reason(small, noise_picture, store, name) -> None:
    content = OPERATIONS[name]
    given = {"mine": given_tensor(small, noise_picture)} if "given" in name else None
    for way in (*MARK_NAMES, "icons"):
        element = element_of(content, way)
        drawn, reason = page_or_reason(element, small, noise_picture, store, given)
        assert drawn or len(reason.split()) >= 5, (name, way)
        assert drawn or (name, way) not in PAGES, reason

"""Every atom of every layer, as every content, shown in every way: a page, or a reason in words."""

from __future__ import annotations

from itertools import product

import pytest

import captum_blocks as cb
from captum_blocks.compose import Quality
from captum_blocks.grammar import Content
from captum_blocks.grammar.presentation import MARK_NAMES

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
    ("late", "spatial", "activation", "icons"),
    ("late", "whole", "every class", "bars"),
    ("input", "spatial", "activation", "overlay"),
    ("late", "spatial", "every class", "multiples"),
    ("late", "spatial", "factors", "multiples"),
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
    for layer, target in product(LAYERS, TARGETS):
        if layer == "input" and atom in ("groups", "tokens"):
            continue  # the grammar has no such word
        page, reason = "", ""
        try:
            element = element_of(content_of(LAYERS[layer], atom, TARGETS[target]), way)
            ex = cb.explain(
                element, small, noise_picture, quality=TINY, progress=False, store=store
            )
            page = ex.html()
        except cb.BlocksError as error:
            reason = str(error)
        case = (layer, atom, target, way)
        assert len(page) > 10_000 or len(reason.split()) >= 5, case
        assert page or case not in MEANT, reason

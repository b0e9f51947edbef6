"""What the network saw: its answers, its words for places, its groups, its grid."""

from __future__ import annotations

from captum_blocks.grammar import (
    Activation,
    Attribution,
    FeatureVis,
    InfoVis,
    Interface,
    Out,
    Selection,
    hover,
    toggle,
)
from captum_blocks.presets.words import TOP_TWO, How, Layer, groups_of, hidden, of_groups, some


def predictions(top: int = 5) -> Interface:
    """What the network answered: its most probable classes.

    >>> predictions().title
    'What did it answer?'
    """
    answer = InfoVis(Activation(Out(top=top)), title="Most probable classes")
    return Interface((answer,)).titled(
        "What did it answer?",
        "A logit is the score a class has before scores are turned into probabilities.",
    )


def semantic_dictionary(layer: Layer, top: int = 6) -> Interface:
    """Point at the photograph and see which channels fire there, as icons.

    Args:
        layer: whose channels are the words.
        top: how many of them are shown at each position.

    >>> semantic_dictionary("layer3").arrangement
    'beside'
    """
    layer = hidden(layer)
    here = hover("spatial")
    photo = InfoVis(Activation(layer.spatial), "overlay", sets=here, title="Where it responds")
    words = FeatureVis(Activation(layer.neurons).filter(at=here, top=top), title="What fires here")
    return (photo | words).titled(
        "What did it see there?",
        "Point at the photograph. Each picture was made to excite one channel as much as possible; "
        "the bar says how strongly that channel fires at this place.",
    )


def neuron_groups(
    layer: Layer,
    n: int | Selection | None = None,
    classes: Out = TOP_TWO,
    method: How | None = None,
) -> Interface:
    """A layer's channels in a few groups: where each fires, what it looks for, what it did.

    Args:
        layer: whose channels are grouped.
        n: how many groups; a slider that the reader moves unless given.
        classes: whose logits the groups affect.
        method: a Captum attribution method; exact Shapley values of up to eight groups unless
            given, and gradient × activation where those cannot be.

    >>> neuron_groups("layer4", n=4).arrangement
    'beside'
    """
    groups, off = groups_of(hidden(layer), n), toggle("group")
    pointed = hover("group")
    # By a method of one's own the answers asked about are compared, else any two.
    compared = Out() if method is None else classes
    where = InfoVis(Activation(groups), "overlay", sets=pointed, title="Groups")
    effect = FeatureVis(
        Attribution(groups, compared, method=of_groups(method)),
        sets=(pointed, off),
        arrangement="versus",
        rivals=classes,
        title="What each group did",
    )
    answers = InfoVis(Activation(Out(top=5)).without(off, of=groups), title="The likeliest answers")
    return (where | effect & answers).titled(
        "Which parts of the picture made it say so?",
        "Channels that fire together are one group, and its bar says which answer it spoke for. "
        "Switch a group off to see what the network answers without it.",
    )


def activation_grid(
    *layers: Layer, scale_by: str | None = "magnitude", recipe: str | None = "shared"
) -> Interface:
    """What each position of a layer saw: a picture for every cell of its grid.

    Args:
        layers: one mosaic each.
        scale_by: "magnitude" draws what fires strongly larger; None fills every cell.
        recipe: "shared" draws all cells of a layer together, on common ground; None each alone.

    >>> activation_grid("layer4").title
    'What did it see everywhere?'
    """
    here = hover("spatial")
    mosaics: list[Interface] = []
    for layer in some(layers, "activation_grid"):
        cells = FeatureVis(
            Activation(layer.spatial),
            sets=here,
            highlights=here,
            scale_by=scale_by,  # type: ignore[arg-type]
            recipe=recipe,
            title=layer.layer,
        )
        mosaics.append(Interface((cells,)))
    shown = mosaics[0]
    for mosaic in mosaics[1:]:
        shown = shown | mosaic
    return shown.titled(
        "What did it see everywhere?",
        "Each cell is a picture made to excite the layer the way that place of the photograph did.",
    )

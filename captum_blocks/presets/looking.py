"""What the network saw: its answers, its words for places, its groups, its grid."""

from __future__ import annotations

from captum_blocks.grammar import (
    Ablation,
    Activation,
    Attribution,
    Edit,
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
    groups = groups_of(hidden(layer), n)
    off = toggle("group")
    where = InfoVis(Activation(groups), "overlay", sets=hover("group"), title="Groups")
    answers = InfoVis(Activation(Out(top=5)).without(off, of=groups), title="The answer")
    effect = FeatureVis(
        Attribution(groups, classes, method=of_groups(method)),
        sets=(hover("group"), off),
        title="Effect of each group",
        beside=Ablation(groups, classes, score="logit"),
    )
    blurred = InfoVis(
        Edit(groups, classes),
        sets=hover("group"),
        title="The same groups' regions blurred in the photograph",
        caption="What the answers' log-odds lose when the part of the picture under the places "
        "that hold half of a group's activity is blurred. The tick is another question: the group "
        "alone taken away in the layer.",
        beside=Ablation(groups, classes),
    )
    return (where | answers & effect & blurred).titled(
        "Which parts of the picture made it say so?",
        "Channels that fire together are one group. Each row is a group: what it looks for, where "
        "it found that, and how much it added to (blue) or took from (orange) each answer; the "
        "tick is what the answer loses when the group alone is taken away. Switch groups off to "
        "see what the network answers without them.",
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

"""The article's interfaces, each a few words of the grammar.

("The Building Blocks of Interpretability", Distill 2018.)
"""

from __future__ import annotations

from captum_blocks.errors import InvalidArgument
from captum_blocks.grammar import (
    Activation,
    Attribution,
    FeatureVis,
    Given,
    Hidden,
    InfoVis,
    Interface,
    Method,
    Out,
    hover,
)
from captum_blocks.grammar.content import DEFAULT_METHOD

TOP_TWO = Out(top=2)


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


def semantic_dictionary(layer: str | Hidden, top: int = 6) -> Interface:
    """Point at the photograph and see which channels fire there, as icons.

    Args:
        layer: whose channels are the words.
        top: how many of them are shown at each position.

    >>> semantic_dictionary("layer3").arrangement
    'beside'
    """
    layer = _hidden(layer)
    here = hover("spatial")
    photo = InfoVis(Activation(layer.spatial), "overlay", sets=here, title="Where it responds")
    words = FeatureVis(Activation(layer.neurons).filter(at=here, top=top), title="What fires here")
    return (photo | words).titled(
        "What did it see there?",
        "Point at the photograph. Each picture was made to excite one channel as much as possible; "
        "the bar says how strongly that channel fires at this place.",
    )


def neuron_groups(
    layer: str | Hidden,
    n: int = 6,
    classes: Out = TOP_TWO,
    method: str | type | Method | Given = DEFAULT_METHOD,
) -> Interface:
    """A layer's channels in a few groups: where each fires, what it looks for, what it did.

    Args:
        layer: whose channels are grouped.
        n: how many groups.
        classes: whose logits the groups affect.
        method: a Captum attribution method.

    >>> neuron_groups("layer4", n=4).arrangement
    'beside'
    """
    groups = _hidden(layer).groups(n)
    where = InfoVis(Activation(groups), "overlay", sets=hover("group"), title="Groups")
    effect = FeatureVis(
        Attribution(groups, classes, method=method),
        sets=hover("group"),
        title="Effect of each group",
    )
    return (where | effect).titled(
        "Which parts of the picture made it say so?",
        "Channels that fire together are one group. Each row is a group: what it looks for, where "
        "it found that, and how much it added to (blue) or took from (orange) each answer.",
    )


def channel_attribution(
    layer: str | Hidden,
    strongest: int = 6,
    classes: Out = TOP_TWO,
    method: str | type | Method | Given = DEFAULT_METHOD,
) -> Interface:
    """The single channels that mattered most to each class.

    Args:
        layer: whose channels.
        strongest: how many are shown, by the magnitude of their largest effect.
        classes: whose logits they affect.
        method: a Captum attribution method.

    >>> channel_attribution("layer3").title
    'Which single channels mattered most?'
    """
    effect = Attribution(_hidden(layer).channels, classes, method=method)
    shown = FeatureVis(effect.filter(strongest=strongest), title="Effect of single channels")
    return Interface((shown,)).titled(
        "Which single channels mattered most?",
        "Each row is one channel and what it added to or took from each answer, summed over the "
        "picture. Point at a row to see where it fired.",
    )


def report(
    *layers: str | Hidden,
    groups: int = 6,
    classes: Out = TOP_TWO,
    method: str | type | Method | Given = DEFAULT_METHOD,
) -> Interface:
    """One decision as chapters: answer, groups, dictionary, channels.

    Args:
        layers: from early to late. Groups are made at the last one; the dictionary and the single
            channels are shown at the first one.
        groups: how many groups.
        classes: the answers that are explained.
        method: a Captum attribution method.

    >>> len(report("layer3", "layer4").parts)
    4
    """
    if not layers:
        raise InvalidArgument("report needs at least one layer; Network.layers() lists them")
    return (
        predictions()
        & neuron_groups(layers[-1], groups, classes, method)
        & semantic_dictionary(layers[0])
        & channel_attribution(layers[0], classes=classes, method=method)
    )


def _hidden(layer: str | Hidden) -> Hidden:
    return layer if isinstance(layer, Hidden) else Hidden(layer)

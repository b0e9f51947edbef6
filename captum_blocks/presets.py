"""The article's interfaces, each a few words of the grammar.

("The Building Blocks of Interpretability", Distill 2018.)
"""

from __future__ import annotations

from itertools import pairwise

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


def spatial_attribution(
    *layers: str | Hidden,
    classes: Out = TOP_TWO,
    method: str | type | Method | Given = DEFAULT_METHOD,
) -> Interface:
    """Which places mattered: point at the photograph to see what each place did to each class.

    With two layers or more, pointing also shows which places of the layer before made the place
    pointed at what it is.

    Args:
        layers: from early to late.
        classes: whose logits the places affect.
        method: a Captum attribution method.

    >>> spatial_attribution("layer3", "layer4").title
    'Which places mattered?'
    """
    chain = [_hidden(layer) for layer in _some(layers, "spatial_attribution")]
    here = hover("spatial")
    effect = Attribution(chain[-1].spatial, classes, method=method)
    photo = InfoVis(
        effect.filter(to=0), "overlay", sets=here, title=f"Effect of places at {chain[-1].layer}"
    )
    bars = InfoVis(effect.filter(at=here), title="What this place did to each answer")
    shown: Interface = photo | bars
    for earlier, later in pairwise(chain):
        came = Attribution(earlier.spatial, later.spatial).filter(to=here)
        title = f"Where it came from: {earlier.layer} to {later.layer}"
        shown = shown | InfoVis(came, "overlay", highlights=here, title=title)
    return shown.titled(
        "Which places mattered?",
        "Blue places spoke for the first answer, orange ones against it. Point at a place to see "
        "what it did to each answer.",
    )


def activation_grid(*layers: str | Hidden, scale_by: str | None = "magnitude") -> Interface:
    """What each position of a layer saw: a picture for every cell of its grid.

    Args:
        layers: one mosaic each.
        scale_by: "magnitude" draws what fires strongly larger; None fills every cell.

    >>> activation_grid("layer4").title
    'What did it see everywhere?'
    """
    here = hover("spatial")
    mosaics: list[Interface] = []
    for layer in map(_hidden, _some(layers, "activation_grid")):
        cells = FeatureVis(
            Activation(layer.spatial),
            sets=here,
            highlights=here,
            scale_by=scale_by,  # type: ignore[arg-type]
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


def group_attribution(
    *layers: str | Hidden, groups: int | tuple[int, ...] = 6, classes: Out = TOP_TWO
) -> Interface:
    """How groups of one layer made the groups of the next, and those the answer.

    Args:
        layers: from early to late.
        groups: how many, for all layers or for each.
        classes: the answers at the right end.

    >>> group_attribution("layer3", "layer4", groups=(6, 4)).title
    'How did it put the answer together?'
    """
    chain = [_hidden(layer) for layer in _some(layers, "group_attribution")]
    counts = (groups,) * len(chain) if isinstance(groups, int) else groups
    if len(counts) != len(chain):
        raise InvalidArgument(f"groups={groups!r}: {len(chain)} layers need as many numbers")
    found = [layer.groups(count) for layer, count in zip(chain, counts, strict=True)]
    flows = [
        InfoVis(Attribution(earlier, later), "sankey", title=f"{below.layer} to {above.layer}")
        for (earlier, later), (below, above) in zip(pairwise(found), pairwise(chain), strict=True)
    ]
    last = InfoVis(
        Attribution(found[-1], classes), "sankey", title=f"{chain[-1].layer} to the answers"
    )
    shown: Interface = Interface((flows[0] if flows else last,))
    for flow in (*flows[1:], *((last,) if flows else ())):
        shown = shown | flow
    return shown.titled(
        "How did it put the answer together?",
        "A band is what one group did to another, or to an answer: the wider the more. Blue raised "
        "it, orange lowered it.",
    )


def compare_classes(
    layer: str | Hidden,
    a: int | str,
    b: int | str,
    atom: str = "channels",
    method: str | type | Method | Given = DEFAULT_METHOD,
    top: int = 3,
) -> Interface:
    """What tells two answers apart: the atoms that speak most for one and against the other.

    Args:
        layer: whose atoms.
        a, b: two classes, by index or name.
        atom: "channels" or "groups".
        method: a Captum attribution method.
        top: how many atoms on either side.

    >>> compare_classes("layer4", 207, 208).title
    'What tells the two answers apart?'
    """
    layer = _hidden(layer)
    if atom not in ("channels", "groups"):
        raise InvalidArgument(f"atom={atom!r}: two classes are compared by channels or groups")
    source = layer.channels if atom == "channels" else layer.groups(6)
    first, second = (Attribution(source, Out(wanted), method=method) for wanted in (a, b))
    net = first.difference(second)
    shown = FeatureVis(net.filter(top=top, bottom=top) if atom == "channels" else net, title="Net")
    return Interface((shown,)).titled(
        "What tells the two answers apart?",
        "Each row is what speaks for the first answer minus what speaks for the second: blue for "
        "the first, orange for the second.",
    )


def levels(
    layer: str | Hidden, class_: int | str | None = None, groups: int = 6, top: int = 6
) -> Interface:
    """One decision at group, channel and layer level, each with its remainder.

    Args:
        layer: which.
        class_: index or name; the most probable one unless given.
        groups: how many groups.
        top: how many channels.

    >>> len(levels("layer4", 207).parts)
    3
    """
    layer = _hidden(layer)
    out = Out(top=1) if class_ is None else Out(class_)
    whole = InfoVis(Attribution(layer.whole, out), title="The whole layer")
    by_group = FeatureVis(Attribution(layer.groups(groups), out), title="Its groups")
    by_channel = Attribution(layer.channels, out).filter(strongest=top)
    return (whole & by_group & FeatureVis(by_channel, title="Its channels")).titled(
        "The same decision, seen closer and closer",
        "All three add up to the same number: what the finer level leaves out is a row of its own.",
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
    layers = _some(layers, "report")
    return (
        predictions(top=3)
        & neuron_groups(layers[-1], groups, classes, method)
        & semantic_dictionary(layers[0])
        & channel_attribution(layers[0], classes=classes, method=method)
    )


def _some(layers: tuple[str | Hidden, ...], name: str) -> tuple[str | Hidden, ...]:
    if not layers:
        raise InvalidArgument(f"{name} needs at least one layer; Network.layers() lists them")
    return layers


def _hidden(layer: str | Hidden) -> Hidden:
    return layer if isinstance(layer, Hidden) else Hidden(layer)

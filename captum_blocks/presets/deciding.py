"""Why the network decided: places, channels and groups, from layer to layer to the answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

from captum_blocks.errors import InvalidArgument
from captum_blocks.grammar import (
    Ablation,
    Activation,
    Attribution,
    Content,
    FeatureVis,
    Hidden,
    InfoVis,
    Interface,
    Out,
    Selection,
    Substrate,
    choose,
    click,
    hover,
)
from captum_blocks.presets.words import (
    TOP_FIVE,
    TOP_TWO,
    How,
    Layer,
    groups_of,
    hidden,
    of_groups,
    of_others,
    some,
)

FACTORS = 2
# Of levels by one method, and of those by the usual ones.
TOTAL = "its total stands below it"
ADD_UP = "its total stands below it: groups, by exact Shapley values, have another"


def channel_attribution(
    *layers: Layer,
    strongest: int = 6,
    classes: Out = TOP_TWO,
    method: How | None = None,
) -> Interface:
    """The single channels whose removal changes the answers most, and what they are made of.

    Each channel's bar is what the method says of it, its tick what the answer loses without it.
    Point at a channel to see where it fired and what it did to the five most probable classes;
    click it to see which channels of the layer before made it what it is, and which of the layer
    behind it went into.

    Args:
        layers: from early to late.
        strongest: how many of the last layer are shown: those whose removal (zero in their place)
            changes the log-odds of an answer most; of the layers before half as many, by the
            method's own numbers.
        classes: whose logits they affect.
        method: a Captum attribution method, for what channels did to the answers; from layer to
            layer it is gradient × activation.

    >>> channel_attribution("layer3").title
    'Which single channels mattered most?'
    """
    chain = some(layers, "channel_attribution")
    last = chain[-1]
    pointed, chosen = hover("channel"), click("channel")
    both = (chosen, pointed)
    removal, method = Ablation(last.channels, classes), of_others(method)
    effect = Attribution(last.channels, classes, method=method)
    row = FeatureVis(
        effect.filter(strongest=strongest, by=removal),
        sets=both,
        highlights=chosen,
        arrangement="tiles",
        title=f"Single channels at {last.layer} whose removal changes the answers most",
        beside=removal,
    )
    shown = Interface((row,))
    # What the channels of a layer did stands beside what they are made of.
    did: Interface | InfoVis = _answers(last, pointed, method, Ablation(last.channels, TOP_FIVE))
    for earlier, later in reversed(list(pairwise(chain))):
        made_of = Attribution(earlier.channels, later.channels).filter(to=chosen)
        parts = FeatureVis(
            made_of.filter(strongest=max(strongest // 2, 1)),
            sets=both,
            highlights=chosen,
            arrangement="tiles",
            title=f"What it is made of, at {earlier.layer}",
        )
        went_into = Attribution(earlier.channels, later.channels).filter(at=chosen)
        uses = FeatureVis(
            went_into.filter(strongest=max(strongest // 2, 1)),
            title=f"What that channel of {earlier.layer} went into, at {later.layer}",
        )
        shown = shown & (did | parts)
        did = _answers(earlier, pointed, method) | uses
    shown = shown & did
    drilled = "; click it for what made it, and one of those for what that went into"
    return shown.titled(
        "Which single channels mattered most?",
        "Each picture is one channel, summed over the photograph. The bar is what the method says "
        "it did to each answer, the tick what the answer loses with it at zero. Point at one for "
        "where it fired and what it did to other answers"
        f"{drilled if len(chain) > 1 else ', and click it to keep it'}.",
    )


def _answers(
    layer: Hidden, pointed: Selection, method: How, removal: Ablation | None = None
) -> InfoVis:
    """What the channel pointed at did to the most probable classes."""
    effect = Attribution(layer.channels, TOP_FIVE, method=method).filter(at=pointed)
    beside = None if removal is None else removal.filter(at=pointed)
    title = f"What the channel of {layer.layer} did to the likeliest answers"
    return InfoVis(effect, title=title, beside=beside)


def spatial_attribution(
    *layers: Layer,
    classes: Out = TOP_TWO,
    grid: bool = True,
    method: How | None = None,
) -> Interface:
    """Which places mattered: point at the photograph to see what each place did to each class.

    With two layers or more, pointing also shows which places of the layer before made the place
    pointed at what it is, and which of the layer behind it went into.

    Args:
        layers: from early to late.
        classes: whose logits the places affect.
        grid: show what the last layer saw at each place, coloured by what it spoke for; False
            leaves out all that needs pictures.
        method: a Captum attribution method, for what places did to the answers; the factors, and
            what goes from layer to layer, are gradient × activation.

    >>> spatial_attribution("layer3", "layer4").title
    'Which places mattered?'
    """
    chain = some(layers, "spatial_attribution")
    # Where the reader named no classes, a place is told by more than two of them.
    named = TOP_FIVE if classes == TOP_TWO else classes
    effect = Attribution(chain[-1].spatial, named, method=of_others(method))
    here, answer = hover("spatial"), choose(named, "answer", start=0)
    photo = InfoVis(
        effect.filter(to=answer),
        "overlay",
        sets=here,
        title=f"Effect of places at {chain[-1].layer}",
    )
    bars = InfoVis(
        effect.filter(at=here),
        sets=answer,
        highlights=answer,
        title="What this place did to each answer",
    )
    kinds = Attribution(chain[-1].spatial, Out().groups(FACTORS))
    factors = InfoVis(kinds, "multiples", title="Places that speak for the same answers")
    saw = FeatureVis(
        Activation(chain[-1].spatial),
        sets=here,
        highlights=here,
        scale_by="magnitude",
        colour_by=kinds,
        recipe="shared",
        title=f"What {chain[-1].layer} saw, coloured by what that spoke for",
    )
    shown = (photo | bars) & (saw | factors) if grid else photo | bars | factors
    for earlier, later in pairwise(chain):
        between = Attribution(earlier.spatial, later.spatial)
        came, went = (
            InfoVis(content, "overlay", highlights=here, title=f"{what}: {place.layer}")
            for content, what, place in (
                (between.filter(to=here), "Where it came from", earlier),
                (between.filter(at=here), "What it went into", later),
            )
        )
        shown = shown & (came | went)
    return shown.titled(
        "Which places mattered?",
        "Blue places spoke for the answer, orange ones against it; where two colours tell answers "
        "apart, places of one colour spoke for the same. Point at a place to see what it did, and "
        "at an answer to see where it came from.",
    )


def group_attribution(
    *layers: Layer,
    groups: int | Selection | tuple[int, ...] | None = None,
    classes: Out = TOP_TWO,
    align: bool | None = None,
    method: How | None = None,
) -> Interface:
    """How groups of one layer made the groups of the next, and those the answer.

    Args:
        layers: from early to late.
        groups: how many, for all layers or for each; a slider for each layer unless given.
        classes: the answers of which one is at the right end: the first, and where there are
            several the reader chooses.
        align: make the groups of each layer such that they compose into those of the next; None
            leaves it to the reader.
        method: a Captum attribution method, for what the last layer did to the answers: exact
            Shapley values of up to eight groups unless given. From layer to layer it is
            gradient × activation.

    >>> group_attribution("layer3", "layer4", groups=(6, 4)).title
    'How did it put the answer together?'
    """
    chain = some(layers, "group_attribution")
    counts = groups if isinstance(groups, tuple) else (groups,) * len(chain)
    if len(counts) != len(chain):
        raise InvalidArgument(f"groups={groups!r}: {len(chain)} layers need as many numbers")
    found = [groups_of(layer, count) for layer, count in zip(chain, counts, strict=True)]
    if align is not False:
        for below in reversed(range(len(found) - 1)):
            found[below] = _aligned(found[below], found[below + 1], align is None)
    flows = [
        InfoVis(Attribution(earlier, later), "sankey", title=f"{below.layer} to {above.layer}")
        for (earlier, later), (below, above) in zip(pairwise(found), pairwise(chain), strict=True)
    ]
    title = f"{chain[-1].layer} to the answer"
    answers: Content = Attribution(found[-1], classes, method=of_groups(method))
    several = len(classes.classes) > 1 or (classes.top or 1) > 1
    answer = answers.filter(to=choose(classes, "the answer", 0)) if several else answers
    flows.append(InfoVis(answer, "sankey", title=title))
    shown = Interface((flows[0],))
    for flow in flows[1:]:
        shown = shown | flow
    return shown.titled(
        "How did it put the answer together?",
        "A band is what one group did to another, or to the answer: the wider the more. Blue "
        "raised it, orange lowered it. A group is made of those before it and of constants, the "
        "biases of the layers between, which are not drawn.",
    )


def _aligned(groups: Substrate, upper: Substrate, open: bool) -> Substrate:
    """Groups compatible with those of a later layer, or left open whether they are."""
    assert groups.grouping is not None
    assert isinstance(groups.layer, Hidden)
    name = f"groups at {groups.layer.layer} are"
    with_ = choose(upper, name=name) if open else upper
    return replace(groups, grouping=replace(groups.grouping, align_with=with_))


def compare_classes(
    layer: Layer,
    a: int | str | None = None,
    b: int | str | None = None,
    atom: str = "channels",
    method: How | None = None,
    top: int = 3,
    groups: int | Selection = 6,
) -> Interface:
    """What tells two answers apart: the atoms whose removal moves them apart most.

    The same atoms three times: the difference, the first answer, the second; bars are what the
    method says, ticks what the answer loses without the atom.

    Args:
        layer: whose atoms.
        a, b: two classes, by index or name. Without them the reader chooses two of the five most
            probable ones.
        atom: "channels" or "groups".
        method: a Captum attribution method: gradient × activation unless given, and exact Shapley
            values of up to eight groups.
        top: how many atoms on either side.
        groups: how many groups, where groups are compared.

    >>> compare_classes("layer4", 207, 208).title
    'What tells the two answers apart?'
    """
    layer = hidden(layer)
    if atom not in ("channels", "groups"):
        raise InvalidArgument(f"atom={atom!r}: two classes are compared by channels or groups")
    if (a is None) != (b is None):
        raise InvalidArgument("compare_classes takes two classes, or none to let the reader choose")
    of_channels = atom == "channels"
    if a is not None and a == b:
        raise InvalidArgument(f"compare_classes takes two classes, not {a!r} twice")
    source = layer.channels if of_channels else layer.groups(groups)
    method = of_others(method) if of_channels else of_groups(method)
    first, second = _two_answers(lambda out: Attribution(source, out, method=method), a, b)
    without, without_second = _two_answers(lambda out: Ablation(source, out), a, b)
    net, apart = first.difference(second), without.difference(without_second)

    def most(content: Content) -> Content:
        return content.filter(top=top, bottom=top, by=apart)

    both = FeatureVis(
        most(net),
        arrangement="tiles",
        title="First minus second",
        beside=apart,
    )
    # Their pictures stand above.
    each, other = (
        InfoVis(most(content), title=title, beside=beside)
        for content, beside, title in (
            (first, without, "The same for the first answer"),
            (second, without_second, "The same for the second answer"),
        )
    )
    return (both & (each | other)).titled(
        "What tells the two answers apart?",
        "Those whose removal moves the two apart most. Blue speaks for the first answer and orange "
        "for the second, a tick is what the answer loses without the atom.",
    )


def _two_answers(
    content: Callable[[Out], Content], a: int | str | None, b: int | str | None
) -> tuple[Content, Content]:
    """A content of two classes: fixed ones, or two that the reader chooses."""
    if a is not None and b is not None:
        return content(Out(a)), content(Out(b))
    every = content(TOP_FIVE)
    lists = (choose(TOP_FIVE, name, start) for start, name in enumerate(("first", "second")))
    return tuple(every.filter(to=each) for each in lists)  # type: ignore[return-value]


def levels(
    layer: Layer,
    class_: int | str | None = None,
    groups: int | Selection | None = None,
    top: int = 6,
    method: How | None = None,
) -> Interface:
    """One decision at group, channel and layer level, each with its remainder.

    Args:
        layer: which.
        class_: index or name; the most probable one unless given.
        groups: how many groups; a slider unless given.
        top: how many channels, and how many neurons.
        method: a Captum attribution method: gradient × activation unless given, and exact Shapley
            values of up to eight groups.

    >>> len(levels("layer4", 207).parts)
    3
    """
    layer = hidden(layer)
    out = Out(top=1) if class_ is None else Out(class_)
    by_group = Attribution(groups_of(layer, groups), out, method=of_groups(method))
    whole, by_channel, by_neuron = (
        Attribution(atoms, out, method=of_others(method))
        for atoms in (layer.whole, layer.channels, layer.neurons)
    )
    removal = Ablation(layer.channels, out)
    channels = by_channel.filter(strongest=top, by=removal)
    return (
        InfoVis(whole, title="The whole layer")
        & FeatureVis(by_group, arrangement="tiles", title="Its groups")
        & (
            FeatureVis(
                channels,
                arrangement="tiles",
                title="Its channels of largest removal",
                beside=removal,
            )
            | FeatureVis(
                by_neuron.filter(strongest=top),
                arrangement="tiles",
                title="Its neurons: a channel at a place",
            )
        )
    ).titled(
        "The same decision, seen closer and closer",
        f"What a level leaves out is a row of its own, and {ADD_UP if method is None else TOTAL}. "
        "The channels are those whose removal changes the answer most; a tick is what it loses "
        "without the channel.",
    )

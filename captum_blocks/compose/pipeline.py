"""The walk of one photograph: numbers, the plan of pictures, panels, pictures, a page.

The only file that knows all four rooms. Panels are laid out from the plan before the first picture
is drawn, so that whatever cannot be shown is said at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from torch import Tensor

from captum_blocks.compose import holds, weighed
from captum_blocks.compose.assembly import around, headline, method
from captum_blocks.compose.assembly.first_state import Selections
from captum_blocks.compose.assembly.layout import (
    chapter,
    chapters_of,
    elements_of,
    has_chapters,
    sized_once,
)
from captum_blocks.compose.evaluation.elements import Evaluation, Limits, evaluate_elements
from captum_blocks.compose.evaluation.facts import (
    Answered,
    Changes,
    Exchanged,
    Facts,
    Groups,
    Weighed,
)
from captum_blocks.compose.evaluation.numbers import settled
from captum_blocks.compose.evaluation.photographs import Picture
from captum_blocks.compose.evaluation.question import Question, check_given
from captum_blocks.compose.evaluation.trusted import Trusted
from captum_blocks.compose.evaluation.validation import validate
from captum_blocks.compose.evaluation.values import Value
from captum_blocks.compose.marks import View, mark_of
from captum_blocks.compose.marks.colours import coloured, coloured_fields
from captum_blocks.compose.marks.links import links
from captum_blocks.compose.pictures.gallery import Gallery
from captum_blocks.compose.pictures.plan import Plan
from captum_blocks.compose.pictures.renderer import PictureRenderer
from captum_blocks.compose.pictures.sources import Icon
from captum_blocks.compose.picturing import blank, galleries, indexes_of, planned, said, sprites
from captum_blocks.compose.signing import Signing
from captum_blocks.grammar import Attribution, Content, Hidden, Interface, Substrate, parts_of
from captum_blocks.network import Prediction
from captum_blocks.scene import (
    LARGEST_PAGE,
    Chapter,
    Field,
    Pairs,
    Panel,
    Photo,
    Scene,
)


@dataclass(frozen=True, eq=False)
class Composition:
    """A scene, the numbers behind it, keyed by content, and the most probable classes.

    ``exchanged`` holds, by layer, what happens to answers with that layer exchanged; ``groups``
    the directions and maps of groups, by their words; ``answered`` all answers; ``trusted`` what is
    said of icons; ``weighed`` what is said of attributions.

    >>> Composition(Scene("Why?", "Because.", None, ()), {}, ()).scene.title
    'Why?'
    """

    scene: Scene
    values: Mapping[Content, Value]
    predictions: Sequence[Prediction]
    exchanged: Mapping[Hidden, Exchanged] = field(default_factory=dict)
    groups: Mapping[Substrate, Groups] = field(default_factory=dict)
    answered: Answered | None = None
    trusted: tuple[Trusted, ...] = ()
    weighed: tuple[Weighed, ...] = ()


def compose(
    interface: Interface,
    question: Question,
    pictures: Sequence[Picture],
    renderer: PictureRenderer,
) -> Iterator[Composition]:
    """Evaluate an interface on some pictures and lay it out as a scene, while it is drawn.

    At first with all numbers and blank icons, then after each few that are finished; at last icons
    are judged.

    Args:
        interface: what is shown.
        question: the network and the pictures as it takes them.
        pictures: the same as they are shown. Several share one extent.
        renderer: draws icons, says what is being done, and hears what the reader waits for.

    Raises:
        BlocksError: before long work, whatever cannot be shown.

    >>> import torch
    >>> from PIL import Image
    >>> from captum_blocks.compose.evaluation.question import asked
    >>> from captum_blocks.compose.pictures.progress import Progress
    >>> from captum_blocks.compose.pictures.quality import Quality
    >>> from captum_blocks.grammar import Activation, InfoVis, Out
    >>> from captum_blocks.network import Network
    >>> net = Network(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 2)).eval())
    >>> answer, grey = Interface((InfoVis(Activation(Out())),)), Image.new("RGB", (4, 4))
    >>> few = Quality(size=16, n_steps=1, budget=1)
    >>> renderer = PictureRenderer(net, few, None, Progress(False))
    >>> question = asked(net, torch.zeros(1, 3, 4, 4))
    >>> stages = compose(answer, question, [Picture(grey, "grey")], renderer)
    >>> [len(made.scene.chapters) for made in stages]
    [1]
    """
    check_given([interface], question.given)
    validate([interface], question)
    question = replace(question, photographs=tuple(picture.name for picture in pictures))
    renderer = replace(renderer, indexes=indexes_of(interface, question))
    limits = Limits(pictures[0].extent, LARGEST_PAGE)
    elements = elements_of(interface)
    evaluation = evaluate_elements(elements, question, limits, renderer.progress.stage)
    facts, fields, selections = evaluation.facts, dict[str, Field](), Selections()
    views = _views(evaluation, fields)
    plan, views = planned(views, renderer)
    panels = coloured(_panels(views, plan, selections), facts)
    chapters = _chapters(interface, panels, evaluation)
    at_once, signing = renderer.at_once(plan), Signing(plan, renderer)
    with renderer.progress.stage("laying out the page"):
        values, photos = evaluation.numbers, [_photo(picture) for picture in pictures]
        title, answer = _headline(interface, facts, values)
        words = settled(
            interface, (held.numbers for each in evaluation.elements for held in each.all)
        )
        made = Scene(
            title=title,
            answer=answer,
            photo=photos[0],
            chapters=tuple(chapters),
            sprites=blank(plan, at_once, renderer) | sprites(at_once),
            fields=coloured_fields(fields, facts),
            selections=tuple(selections.made.values()),
            footer=_footer(words, facts, pictures, _asked(values, facts) + signing.told),
            signs=signing.at_first,
            others=tuple(photos[1:]) if selections.pictured else (),
            pictured=selections.pictured,
            **galleries(at_once),
        )
    yield from _filled(_composed(made, values, evaluation), signing, at_once)


def _filled(
    composed: Composition, signing: Signing, at_once: Mapping[str, Icon | Gallery]
) -> Iterator[Composition]:
    """The page with blank icons, with more and more of them, and with marks on them."""
    yield composed
    icons = dict(at_once)
    for drawn in signing.renderer.finished(signing.plan):
        icons |= drawn
        composed = replace(composed, scene=composed.scene.with_sprites(sprites(drawn)))
        yield composed
    for signs, trusted in signing.judged(icons):
        scene = composed.scene.with_signs(signs)
        composed = replace(composed, scene=scene, trusted=(*composed.trusted, *trusted))
        yield composed


def _composed(made: Scene, values: Mapping[Content, Value], evaluation: Evaluation) -> Composition:
    facts = evaluation.facts
    return Composition(
        made,
        values,
        evaluation.predictions,
        facts.exchanged,
        facts.groups,
        facts.answered,
        weighed=tuple(facts.weighed.values()),
    )


def _views(evaluation: Evaluation, fields: dict[str, Field]) -> list[View]:
    """What each mark is drawn from; they share their maps."""
    return [
        View(
            each.element,
            each.frames,
            evaluation.facts,
            each.colours,
            fields=fields,
            beside=each.beside,
            missing=each.missing,
            rivals=each.rivals,
        )
        for each in evaluation.elements
    ]


def _panels(views: Sequence[View], plan: Plan, selections: Selections) -> list[Panel]:
    """A panel an element, of the pictures that are planned."""
    panels, keys = [], plan.keys
    for view, coverage in zip(views, plan.coverage, strict=True):
        ready = replace(
            view,
            links=links(view, selections),
            pictured=keys,
            photographed=keys,
            coverage=coverage,
        )
        panels.append(said(mark_of(view.element, view.base).panel(ready), view.lacking))
    for panel in panels:
        selections.open_alike(panel.sets)
    selections.open_on_what_is_shown(panels)
    return sized_once(panels)


def _chapters(
    interface: Interface, panels: Sequence[Panel], evaluation: Evaluation
) -> list[Chapter]:
    chapters, start, told_of = [], 0, set[Hidden]()
    for inner in chapters_of(interface):
        end = start + len(elements_of(inner))
        held = [each for element in evaluation.elements[start:end] for each in element.all]
        values = [frames.values[0] for frames in held]
        atoms = {value.source.atom for value in values}
        notes = [note for value in values for note in value.notes]
        beside = {
            "how well it holds": holds.sentences(held, evaluation.facts),
            "how far to believe it": weighed.sentences(held, evaluation.facts.weighed),
        }
        words = settled(inner, (frames.numbers for frames in held))
        told = method.method_notes(words, atoms, notes, evaluation.facts.given, beside)
        said = _around(inner, evaluation.facts, told_of)
        chapters.append(chapter(inner, list(panels[start:end]), told, said))
        start = end
    return chapters


def _around(interface: Interface, facts: Facts, told: set[Hidden]) -> str:
    """Of layers that part of the answer goes around: in full where a page shows one first."""
    shown = {part for part in parts_of(interface) if isinstance(part, Hidden)}
    full = [place for place in facts.exchanged if place in shown - told]
    told |= set(full)
    numbers = [around.sentences(_exchange(place, facts.exchanged[place])) for place in full]
    short = {place.layer for place in facts.around if place not in full}
    return " ".join(filter(None, (*numbers, method.around(interface, short))))


def _exchange(place: Hidden, found: Exchanged) -> around.Exchange:
    """What is said of a layer exchanged."""
    free = None if found.before is None else ~found.before
    return around.Exchange(
        layer=place.layer,
        label=found.labels[0],
        photographs=len(found.labels),
        others=found.others,
        made_up=found.made_up,
        unit=found.unit,
        every=found.every,
        taken=_moves(found.taken),
        put=_moves(found.put, free),
    )


def _moves(changes: Changes, among: Tensor | None = None) -> around.Moves:
    """Of answers, where some could not change to the class because they were that: the others."""
    top = changes.top if among is None or changes.top is None else changes.top & among
    score = changes.score
    return around.Moves(
        mean=float(score.mean()),
        low=float(score.min()),
        high=float(score.max()),
        every=None if changes.every is None else float(changes.every.mean()),
        top=None if top is None else int(top.sum()),
        of=score.numel() if among is None else int(among.sum()),
    )


def _headline(
    interface: Interface, facts: Facts, values: Mapping[Content, Value]
) -> tuple[str, str]:
    """The question of the page and its answer, the interface's own where it has them."""
    own = interface if has_chapters(interface) else Interface(interface.parts)
    some = (held for held in values.values() if held.target_axes == ("class",))
    named = (held.coords["class"] for held in some)
    asked = next((each for each in named if len(each) < len(facts.classes)), ())
    top = facts.best[0].label
    named_classes = [facts.classes[index] for index in asked]
    title = own.title or headline.title(facts.network, facts.photographs, top, named_classes)
    return title, f"{own.reading} {_answer(facts, values)}".strip()


def _answer(facts: Facts, values: Mapping[Content, Value]) -> str:
    """One sentence made from the first attribution to groups, or from the prediction alone.

    What an operation made of one, a difference or a part, is no longer what groups add to a score.
    """
    sure = [headline.sure(one.label, one.number, facts.unit == "output") for one in facts.best]
    if facts.several:
        return "; ".join(map(": ".join, zip(facts.photographs, sure, strict=True))) + "."
    for content, value in values.items():
        to_classes = value.axes == ("image", "class", "group") and "residual" in value.remainder
        if isinstance(content, Attribution) and to_classes:
            return _of_groups(value, facts, sure[0])
    return f"{facts.network} is {sure[0]}."


def _of_groups(value: Value, facts: Facts, sure: str) -> str:
    """What groups add up to, of a few classes; of all, who is first and who is second."""
    if len(value.coords["class"]) < len(facts.classes) or len(facts.classes) < 3:
        return headline.added_up(_effects(value, facts))
    return f"{facts.network} is {sure}."


def _effects(value: Value, facts: Facts) -> headline.Effects:
    """On the most probable class, or the first one of others."""
    classes, top = value.coords["class"], facts.best[0].index
    place = classes.index(top) if top in classes else 0
    tokens = value.remainder.get("tokens")
    return headline.Effects(
        layer=value.source.layer.layer,  # type: ignore[union-attr]
        label=facts.classes[classes[place]],
        groups=tuple(value.data[0, place].tolist()),
        residual=float(value.remainder["residual"][0, place]),
        tokens=None if tokens is None else float(tokens[0, place]),
        total=float(value.total[0, place]),
    )


def _asked(values: Mapping[Content, Value], facts: Facts) -> Pairs:
    """How probable each class is that something is attributed to, the most probable or not."""
    if facts.several or not facts.scores:
        return ()
    to_classes = (held for held in values.values() if held.target_axes == ("class",))
    few = (held for held in to_classes if len(held.coords["class"]) < len(facts.classes))
    asked = dict.fromkeys(index for held in few for index in held.coords["class"])
    told = (f"{facts.classes[index]} {facts.scores[0][index]}" for index in asked)
    return (("probabilities", "; ".join(told)),) if asked else ()


def _footer(interface: Interface, facts: Facts, pictures: Iterable[Picture], drawn: Pairs) -> Pairs:
    """Where everything on the page comes from."""
    notes = [note for note in (*(each.note for each in pictures), facts.treated) if note]
    pairs = (
        ("network", facts.network),
        ("weights", facts.weights),
        ("scores", facts.reading),
        *method.layers_and_methods(interface, facts.given),
        *drawn,
        *weighed.told(facts.weighed),
        ("versions", method.versions()),
        ("approximations", facts.approximations or "none: gradients are the network's own"),
        ("photograph", "; ".join(dict.fromkeys(notes))),
    )
    return tuple((term, text) for term, text in pairs if text)


def _photo(picture: Picture) -> Photo:
    whole = None if picture.whole is None else np.asarray(picture.whole)
    return Photo(np.asarray(picture.image), picture.name, picture.extent, whole)

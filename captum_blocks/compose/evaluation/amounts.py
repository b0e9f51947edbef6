"""How much a page would hold, told from its words before anything is attributed.

Counts from below: what the words do not tell (how many atoms lie ``above`` a number) counts as one,
so that nothing is refused which would have fitted.
"""

from __future__ import annotations

from math import prod

from captum_blocks.compose.evaluation.frames import thinned
from captum_blocks.compose.evaluation.session import Session
from captum_blocks.errors import InvalidArgument
from captum_blocks.grammar import (
    Activation,
    Attribution,
    Content,
    Element,
    Filter,
    Grouping,
    Hidden,
    InfoVis,
    Out,
    Percentile,
    Selection,
    Substrate,
    parts_of,
)
from captum_blocks.grammar.interventions import Intervention
from captum_blocks.grammar.operations import COUNTS

# The marks that show each number, instead of how often it occurs or the strongest few.
ONE_BY_ONE = ("bars", "table", "matrix", "overlay", "heatmap", "multiples")
# Bytes of a page: of a number in a row with its name, and of one on a map.
IN_A_ROW, ON_A_MAP = 40, 1


def check_amount(element: Element, session: Session, largest: int) -> None:
    """Refuse what would make a page too large, as far as its words tell.

    Args:
        element: of the page.
        session: what it is evaluated in.
        largest: bytes that a page may have.

    Raises:
        InvalidArgument: with the states and the marks in each.
    """
    if isinstance(element, InfoVis) and element.mark not in ONE_BY_ONE:
        return
    content = element.content
    states = prod(_states(content, session)) * len(session.names)
    sources, targets, on_map = _shown(content, session)
    weight = states * sources * targets * (ON_A_MAP if on_map else IN_A_ROW)
    if weight > largest:
        raise InvalidArgument(
            f"{content!r} would show {sources * targets} numbers in each of {states} states, which "
            f"takes {weight / 1e6:.0f} MB of a page, {largest / 1e6:.0f} MB at most: follow "
            "fewer selections, or show fewer atoms with .filter(top=...) or Out(top=...); "
            "evaluate() gives the numbers alone"
        )


def _states(content: Content, session: Session) -> list[int]:
    """How many states each selection in a content has at least."""
    found: dict[Selection, int] = {}
    for part in parts_of(content):
        if isinstance(part, Filter):
            base = part.content
            for where, name in ((part.at, "source"), (part.to, "target")):
                owner = getattr(base, name, None)
                if isinstance(where, Selection) and isinstance(owner, Substrate):
                    found[where] = _picked(where, owner, session)
        if isinstance(part, Grouping) and isinstance(part.n, Selection):
            found[part.n] = 1
    return list(found.values())


def _picked(where: Selection, owner: Substrate, session: Session) -> int:
    if isinstance(where.options, Out):
        return len(session.of(where.options).classes(where.options))
    if where.atom == "spatial" and isinstance(owner.layer, Hidden):
        grid = session.of(owner).maps(owner.layer.layer).shape[2:]
        return prod(map(len, thinned(*grid)))
    return _size(owner, session) if where.atom == owner.atom == "class" else 1


def _shown(content: Content, session: Session) -> tuple[int, int, bool]:
    """Source atoms, target atoms, and whether they lie on a map."""
    if isinstance(content, Activation):
        return _size(content.source, session), 1, content.source.atom == "spatial"
    if isinstance(content, (Attribution, Intervention)):
        source, target = content.source, content.target
        sizes = _size(source, session), _size(target, session)
        return (*sizes, source.atom == "spatial")
    if isinstance(content, Percentile):
        return _shown(content.content, session)
    if not isinstance(content, Filter):
        return 1, 1, False
    sources, targets, on_map = _shown(content.content, session)
    if content.at is not None:
        owner = getattr(content.content, "source", None)
        left = isinstance(owner, Substrate) and owner.atom == "neuron"
        sources = _channels(owner, session) if left else 1  # type: ignore[arg-type]
        on_map = getattr(getattr(content.content, "target", None), "atom", "") == "spatial"
    counts = [getattr(content, name) for name in COUNTS]
    if content.ranks or content.within is not None:
        most = sum(count if isinstance(count, int) else 1 for count in counts if count is not None)
        sources = min(sources, max(most, 1))
    return sources, 1 if content.to is not None else targets, on_map


def _channels(source: Substrate, session: Session) -> int:
    if not isinstance(source.layer, Hidden):
        return 1
    return int(session.of(source).maps(source.layer.layer).shape[1])


def _size(substrate: Substrate, session: Session) -> int:
    """How many atoms there are at least."""
    if substrate.only is not None:
        return len(substrate.only)
    if isinstance(substrate.layer, Out):
        return (
            len(session.of(substrate).classes(substrate.layer)) if substrate.atom == "class" else 1
        )
    if not isinstance(substrate.layer, Hidden):
        return 1
    _, channels, height, width = session.of(substrate).maps(substrate.layer.layer).shape
    sizes = {"channel": channels, "spatial": height * width}
    return sizes.get(substrate.atom, 1)

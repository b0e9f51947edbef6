"""How far the attributions of a page are to be believed: a table, and what the page says of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from captum_blocks.compose.evaluation.facts import Weighed, place_name
from captum_blocks.compose.evaluation.frames import Frames, attributions
from captum_blocks.compose.evaluation.tables import needed
from captum_blocks.grammar import Attribution
from captum_blocks.numerals import count
from captum_blocks.scene import Pairs

NO_PROOF = (
    "○ agrees with removal, ◐ in part, by logit alone, or not with other methods, × removal says "
    "otherwise, ? not compared; agreement is no proof: of atoms that stand in for each other the "
    "removal of one alone takes nothing"
)


@dataclass(frozen=True, eq=False)
class AttributionTrust:
    """How far attributions are to be believed, one after the other.

    Attributes:
        attributions: in the order of the page; each has its ``content``, ``level``, ``phrase`` and
            ``why``, the numbers of all ``methods``, and the ``check`` with their range.

    >>> from captum_blocks.grammar import Hidden, Out
    >>> effect = Attribution(Hidden("layer3").neurons, Out(1))
    >>> no = Weighed(effect, "unknown", "not compared", "neurons are not taken away one by one")
    >>> AttributionTrust((no,)).to_frame()[["layer", "atom", "level"]].values.tolist()
    [['layer3', 'neuron', 'unknown']]
    """

    attributions: tuple[Weighed, ...]

    def __iter__(self) -> Iterator[Weighed]:
        return iter(self.attributions)

    def __len__(self) -> int:
        return len(self.attributions)

    def __getitem__(self, place: int) -> Weighed:
        return self.attributions[place]

    def to_frame(self) -> Any:
        """A ``pandas.DataFrame``, a row for each attribution, photograph and class.

        ``level`` and ``verdict`` are of the whole attribution; ``agreement`` is the rank
        correlation with removal, ``least_alike`` the least one with another method, ``shuffled``
        that with a network of shuffled weights; ``spread`` is how far methods lie apart, as a share
        of the bars. NaN where nothing is compared.

        Raises:
            MissingDependency: pandas is not installed.
        """
        pandas = needed("pandas", "to_frame")
        rows = [row for each in self.attributions for row in _rows(each)]
        return pandas.DataFrame(rows).astype({"image": "Int64", "class_index": "Int64"})

    def __str__(self) -> str:
        return "\n".join(map(sentence, self.attributions))


def _rows(each: Weighed) -> Iterator[dict[str, Any]]:
    method = each.content.method
    said = {
        "content": repr(each.content),
        "layer": place_name(each.content.source),
        "atom": each.content.source.atom,
        "method": each.by or method.name,
        "level": each.level,
        "verdict": each.phrase,
    }
    if each.check is None:
        yield {**said, "image": None, "class_index": None, **_numbers(each, None)}
        return
    for image, (place, index) in product(
        range(len(each.coords["image"])), enumerate(each.coords["class"])
    ):
        here = {"image": each.coords["image"][image], "class_index": index}
        yield {**said, **here, **_numbers(each, (image, place))}


def _numbers(each: Weighed, here: tuple[int, int] | None) -> dict[str, float]:
    if here is None or each.check is None:
        return dict.fromkeys(("agreement", "least_alike", "shuffled", "spread"), float("nan"))
    alike = each.check.alike[:, here[0], here[1]]
    return {
        "agreement": float(each.check.agreement[here]),
        "least_alike": float(alike.min()) if len(alike) else float("nan"),
        "shuffled": float(each.check.shuffled[here]),
        "spread": float(each.check.spread[here]),
    }


def sentence(each: Weighed) -> str:
    """What is said of one attribution: its atoms, the verdict and the evidence."""
    classes = each.coords.get("class", ())
    answers = f" to {count(len(classes), 'answer')}" if classes else ""
    return f"{each.named}{answers}: {each.phrase} ({each.why})"


def sentences(shown: Sequence[Frames], weighed: Mapping[Attribution, Weighed]) -> list[str]:
    """What is said of the attributions of a chapter."""
    found = (weighed.get(content) for content in attributions(shown))
    return [sentence(each) for each in found if each is not None and each.check is not None]


def told(weighed: Mapping[Attribution, Weighed]) -> Pairs:
    """What a page's footer says of marks on attributions, once."""
    return (("marks on attributions", NO_PROOF),) if weighed else ()

"""What a mark reads: an element's numbers in every state, and what is known of what they are of."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypedDict

import torch
from torch import Tensor

from captum_blocks.compose.evaluation.facts import Facts
from captum_blocks.compose.evaluation.frames import Frames
from captum_blocks.compose.marks import captions
from captum_blocks.compose.marks.believed import sign
from captum_blocks.compose.pictures.gallery import Order
from captum_blocks.compose.pictures.requests import USUAL
from captum_blocks.errors import InvalidArgument
from captum_blocks.grammar import Element, FeatureVis, Substrate
from captum_blocks.scene import Field, Sign

if TYPE_CHECKING:
    from captum_blocks.compose.evaluation.rivals import Rivals
    from captum_blocks.compose.evaluation.values import Value


class Words(TypedDict):
    """What every panel takes from its element."""

    title: str
    caption: str
    unit: str
    follows: tuple[str, ...]
    sets: tuple[str, ...]
    highlights: str | None
    sign: Sign | None


@dataclass(frozen=True)
class Links:
    """Names of the selections that a panel follows, sets, marks, and takes switches from."""

    follows: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    highlights: str | None = None
    switched: str = ""


@dataclass(frozen=True, eq=False)
class View:
    """What a mark is drawn from.

    Attributes:
        element: the element of the interface.
        frames: its content's values, one a state.
        facts: what is known of network, photographs and layers.
        colours: the values of its ``colour_by``, in the same states.
        beside: the values of its ``beside``.
        missing: why there are none of those.
        rivals: what rows of one answer rather than another need besides.
        links: the selections it follows, sets and marks.
        pictured: keys of the atoms whose pictures will be there.
        coverage: share of the pictures this element wanted that will be there.
        photographed: keys of the galleries that will be there.
        lacking: why some of its atoms have none.
        fields: maps on the photograph by name; a mark adds its own with ``keep``.

    >>> from captum_blocks.grammar import Activation, InfoVis, Out
    >>> seen = View(InfoVis(Activation(Out())), Frames(()), None, pictured=frozenset({"bn2/0"}))
    >>> seen.sprite("bn2/0"), seen.sprite("bn2/1")
    ('bn2/0', None)
    """

    element: Element
    frames: Frames
    facts: Facts
    colours: Frames | None = None
    links: Links = Links()
    pictured: frozenset[str] = frozenset()
    coverage: float = 1.0
    photographed: frozenset[str] = frozenset()
    lacking: str = ""
    fields: dict[str, Field] = field(default_factory=dict)
    beside: Frames | None = None
    missing: str = ""
    rivals: Rivals | None = None

    @property
    def base(self) -> Value:
        """The value of the first frame: its axes and units are those of all."""
        return self.frames.values[0]

    @property
    def on_photograph(self) -> bool:
        """Whether its numbers are of the photograph that the page shows."""
        chosen = any(each.selection.atom == "image" for each in self.frames.followed)
        return chosen or not self.facts.several

    @property
    def recipe(self) -> str:
        """The source that its pictures come from."""
        own = self.element.recipe if isinstance(self.element, FeatureVis) else None
        return own or USUAL

    @property
    def is_drawn(self) -> bool:
        """Whether it shows optimized pictures."""
        return isinstance(self.element, FeatureVis) and self.element.is_drawn

    @property
    def order(self) -> Order | None:
        """Which photographs it shows beside its atoms, or in place of pictures."""
        element = self.element
        if not isinstance(element, FeatureVis) or element.dataset is None:
            return None
        return Order(element.dataset.name, element.n, element.rank)

    def by_recipe(self, key: str) -> str:
        """The identity of a picture: another source makes another one."""
        return key if self.recipe == USUAL else f"{key} {self.recipe}"

    def words(self, default_title: str = "") -> Words:
        """The fields that every panel has."""
        place = captions.place(self.facts, self.base)
        caption = self.element.caption or "; ".join(
            words for words in (*self.base.labels.get("image", ()), place) if words
        )
        return Words(
            title=self.element.title or default_title or captions.named(self.base.source),
            caption=caption,
            unit=self.base.unit,
            follows=self.links.follows,
            sets=self.links.sets,
            highlights=self.links.highlights,
            sign=sign(self),
        )

    def sprite(self, key: str) -> str | None:
        """The name of an atom's picture, where there will be one."""
        return key if key in self.pictured else None

    def gallery(self, key: str) -> str | None:
        """The name of an atom's photographs, by the key of its picture; None where it has none."""
        name = None if self.order is None else self.order.key(key)
        return name if name in self.photographed else None

    def where(self, source: Substrate, index: int, image: int | None) -> str | None:
        """The name of the map of where an atom fires in a photograph; None where there is none."""
        fires = None if image is None else self.facts.fires(source)
        if fires is None:
            return None
        name = f"{self.facts.key(source, index)}{self.facts.of_photo(image)}"
        if name in self.fields:
            return name
        label = f"{self.facts.label(source, index)} at {source.layer.layer}"  # type: ignore[union-attr]
        group = source.grouping is not None
        # One scale for all groups and photographs: they are compared. A channel's starts where it
        # is weakest: what fires everywhere alike would hide where it fires more.
        compared = fires if group else fires[:, index]
        low, high = float(compared.min()), float(compared.max())
        domain = (min(0.0, low) if group or low == high else low, high)
        grid = fires[image, index]
        hue = index if group else None
        return self.keep(name, Field(grid.numpy(), domain, "activation", label, hue))

    def keep(self, name: str, made: Field) -> str:
        """Add a map under a name; without a hue, a map of both signs is symmetric about zero."""
        low, high = made.domain
        if low < 0 and made.hue is None:
            low, high = -max(-low, high), max(-low, high)
        span = (low, high if high > low else low + 1.0)
        self.fields[name] = replace(made, domain=span, extent=self.facts.extent)
        return name


def image_of(value: Value) -> int | None:
    """The photograph that a value's numbers are of; None where they are of several."""
    return None if "image" in value.labels else value.coords["image"][0]


def only_image(tensor: Tensor) -> Tensor:
    """The numbers of the one photograph."""
    if tensor.shape[0] != 1:
        raise InvalidArgument(
            f"a page shows one photograph, not {tensor.shape[0]}; explain them one by one"
        )
    return tensor[0]


def bounds(tensors: list[Tensor]) -> tuple[float, float]:
    """The range of some numbers, zero included."""
    flat = torch.cat([torch.zeros(1), *(tensor.flatten() for tensor in tensors)])
    return (min(0.0, float(flat.min())), max(0.0, float(flat.max())))

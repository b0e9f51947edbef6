"""What an index tells without looking at any photograph again."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from captum_blocks.errors import InvalidArgument, LayerNotFound
from captum_blocks.examples.asking import layer_in
from captum_blocks.examples.labels import Preferences, preferred_labels
from captum_blocks.examples.reading import Skipped
from captum_blocks.examples.statistics import (
    UnitStatistics,
    percentiles,
    quantiles,
    statistics_of,
)
from captum_blocks.examples.stored import Stored
from captum_blocks.network import Network

Array = np.ndarray[Any, np.dtype[Any]]
# With fewer photographs than this nothing is claimed of what is usual among them.
ENOUGH = 50
# How the folder of an index begins that is gone with it.
TEMPORARY = "captum-blocks-"


class Known:
    """What lies in the tables of an index; ``ExampleIndex`` is one."""

    _stored: Stored
    _net: Network | None = None

    def _order(self, layer: str) -> int:
        """The number of a layer: by its full name or, where the network is there, as that has it.

        Raises:
            LayerNotFound: it is not in the index.
        """
        name = layer
        if self._net is not None and isinstance(layer, str) and layer not in self.layers:
            with suppress(LayerNotFound):  # the nearest names are those of the index
                name = self._net.name_of(layer)
        return layer_in(name, self._stored.names)

    def knows(self, layer: str) -> bool:
        """Whether a layer is in the index."""
        try:
            return self._order(layer) >= 0
        except LayerNotFound:
            return False

    @property
    def folder(self) -> Path:
        """Where it is."""
        return self._stored.folder

    @property
    def name(self) -> str:
        """What its photographs are called: after its folder, "examples" where that is temporary."""
        folder = self.folder.name.removesuffix(".blocks")
        return "examples" if not folder or folder.startswith(TEMPORARY) else folder

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of its layers."""
        return tuple(self._stored.names)

    @property
    def count(self) -> int:
        """How many pictures are in it, tiles of one photograph each by itself."""
        return self._stored.rows

    def __len__(self) -> int:
        return self.count

    @property
    def sources(self) -> int:
        """How many photographs its pictures were cut from."""
        return self._stored.sources

    @property
    def said(self) -> str:
        """How many there are, in words: "261 pictures cut from 17 photographs"."""
        if self.sources == self.count:
            return f"{self.count} photographs"
        return f"{self.count} pictures cut from {self.sources} photographs"

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels there are, sorted; none where nearly every picture has one of its own."""
        return tuple(self._stored.content["labels"])

    @property
    def skipped(self) -> list[Skipped]:
        """The photographs that are not in it, with the reasons."""
        return self._stored.skipped

    @property
    def too_few(self) -> str:
        """Why nothing is claimed of what is usual among so few photographs; empty where it may be.

        Pictures cut from one photograph are no independent samples: photographs count.
        """
        if self.sources >= ENOUGH:
            return ""
        return (
            f"the index is of {self.sources} different photographs, and with fewer than {ENOUGH} "
            "no percentile, label or match is claimed"
        )

    @property
    def report(self) -> str:
        """What is in it and what is not, in words."""
        content = self._stored.content
        lines = [f"{self.said} at {', '.join(self.layers)}"]
        if content["skipped"]:
            first = self.skipped[0]
            lines.append(f"{content['skipped']} skipped, as {_called(first)}: {first.reason}")
        left = [layer["name"] for layer in content["layers"] if not layer["kept"]]
        if left:
            lines.append(f"activations are not kept at {', '.join(left)}: {_why(content)}")
        if left != list(self.layers) and self._stored.kept_rows < self.count:
            lines.append(_partly(self._stored))
        return "; ".join([*lines, *([self.too_few] if self.too_few else [])])

    def pictures(self) -> dict[str, Array]:
        """What is known of each photograph, row by row.

        Returns:
            ``image``: its number among the pictures the index was built of; ``label``: the place of
            its label in ``labels``, -1 where it has none; ``source``: a number that is the same for
            pictures cut from one photograph.
        """
        known = self._stored.pictures
        return {
            "image": known["images"],
            "label": known["labels"],
            "source": np.unique(known["sources"], return_inverse=True)[1],
        }

    def tables(self, layer: str) -> dict[str, Array]:
        """(photograph, channel) what each photograph is to each channel, mapped from disk.

        Returns:
            ``maximum`` and ``minimum`` over places, float16, rounded outward; ``mean``, float32;
            ``position``: the place of the maximum, row by row of the layer's grid.
        """
        table = self._stored.layer(self._order(layer))
        names = {"maximum": "high", "minimum": "low", "mean": "mean", "position": "at"}
        return {name: table[held] for name, held in names.items()}

    def percentiles(self, layer: str, values: Any, of: str = "mean") -> Array | None:
        """Where numbers stand among those of the photographs.

        Args:
            layer: its name.
            values: (channel,) one for each channel.
            of: "mean", "maximum" or "minimum" of each photograph.

        Returns:
            (channel,) the share of photographs with a smaller number, and half of those with an
            equal one; None where too few photographs are there to claim any, see ``too_few``.
        """
        if self.too_few:
            return None
        order = self._order(layer)
        return percentiles(self._stored, order, np.asarray(values, np.float32), of)

    def statistics(self, layer: str) -> UnitStatistics:
        """Count, moments and maximum of each channel, over all places of all photographs."""
        return statistics_of(self._stored, self._order(layer))

    def quantiles(self, layer: str, at: Sequence[float], of: str = "maximum") -> Array:
        """Exact quantiles over photographs.

        Args:
            layer: its name.
            at: from 0 to 1.
            of: "maximum" or "minimum" of each photograph, as kept in half precision, or its "mean".

        Returns:
            (quantile, channel) float32: the smallest kept number that such a share does not exceed.
        """
        return quantiles(self._stored, self._order(layer), at, of)

    def vectors(self, layer: str) -> tuple[Array, Array, Array]:
        """Activations of all channels at one place of each of some photographs.

        Returns:
            (photograph, channel) float32; (photograph,) their numbers; (photograph, 2) the places,
            down and across in [0, 1] of the network's input: the same in all layers.
        """
        known = self._stored.pictures
        found = np.array(self._stored.layer(self._order(layer))["vectors"])
        return found, known["images"][known["vector_rows"]], known["vector_places"]

    def preferred(
        self, layer: str, units: Sequence[int] | None = None, of: str = "maximum", **how: Any
    ) -> Preferences:
        """The labels that each unit prefers, as far as that can be told from chance.

        A preference is no detector, and says nothing of what matters to an answer.

        Args:
            layer: its name.
            units: channels; all unless given.
            of: "maximum", "minimum" or "mean" of each photograph.
            how: ``rate``, ``least``, ``permutations`` and ``seed`` of ``preferred_labels``, which
                says what chance is.

        Returns:
            Preferences by the channel's number; none, and why, of fewer than fifty photographs or
            without labels.

        Raises:
            LayerNotFound: the layer is not in the index.
            InvalidArgument: there is no such channel or number of photographs.
        """
        table, known = self.tables(layer), self.pictures()
        if of not in ("maximum", "minimum", "mean"):
            raise InvalidArgument(f"of={of!r} is none of maximum, minimum, mean")
        width = table[of].shape[1]
        wanted = list(range(width)) if units is None else [int(unit) for unit in units]
        if wrong := [unit for unit in wanted if not 0 <= unit < width]:
            raise InvalidArgument(f"{layer!r} has channels 0 to {width - 1}, no {wrong[0]}")
        names = [self.labels[place] if place >= 0 else None for place in known["label"]]
        values = np.asarray(table[of][:, wanted], np.float64)
        found = preferred_labels(values, names, known["source"], **how)
        return replace(found, found=tuple(replace(e, unit=wanted[e.unit]) for e in found.found))

    def label_means(self, layer: str, of: str = "mean") -> dict[str, Array]:
        """(channel,) the mean over the photographs of each label, of their mean or maximum."""
        if of not in ("mean", "maximum"):
            raise InvalidArgument(f"of={of!r} is none of mean, maximum")
        table = self._stored.layer(self._order(layer))[f"label_{of}"]
        return dict(zip(self.labels, np.array(table), strict=True))

    def keeps(self, layer: str) -> bool:
        """Whether the activations of all places are kept, of all photographs."""
        return self._stored.keeps(self._order(layer)) and self._stored.kept_rows >= self.count

    @property
    def missing(self) -> list[str]:
        """What a reader who asked for all of it has to know, in words."""
        content, said = self._stored.content, []
        left = [layer["name"] for layer in content["layers"] if not layer["kept"]]
        if content["skipped"]:
            first = self.skipped[0]
            said.append(
                f"{content['skipped']} of {content['met']} pictures are not in the index, as "
                f"{_called(first)}: {first.reason}; index.skipped names all"
            )
        if left != list(self.layers) and self._stored.kept_rows < self.count:
            said.append(_partly(self._stored))
        if left and content["options"]["keep"] == "activations":
            said.append(
                f"activations are not kept at {', '.join(left)}: {_why(content)}; directions there "
                "are found by looking at many photographs again"
            )
        return said


def _called(skipped: Skipped) -> str:
    return skipped.path or f"picture {skipped.image}"


def _why(content: dict[str, Any]) -> str:
    if content["options"]["keep"] != "activations":
        return "only extremes were asked for"
    return f"more than the budget of {content['options']['budget']:.3g} bytes"


def _partly(stored: Stored) -> str:
    return (
        f"activations are kept of the first {stored.kept_rows} of {stored.rows} photographs alone: "
        "nobody knew how many there would be, and more would not fit the budget"
    )

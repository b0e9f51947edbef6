"""What an index depends on, as plain values: how it is built, and of what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from shutil import rmtree
from typing import Any

from captum_blocks.errors import InvalidArgument, WrongType, did_you_mean
from captum_blocks.examples.disk import read_json, write_json
from captum_blocks.examples.identity import check_same
from captum_blocks.examples.items import Pictures
from captum_blocks.examples.looking import LayerPlan
from captum_blocks.examples.shards import KEPT, SHARDS
from captum_blocks.examples.sources import Sources, checked_sources
from captum_blocks.network import Network
from captum_blocks.store import unfinished

FORMAT = "captum_blocks index of photographs"
VERSION = 1
INDEX, BEGUN = "index.json", "begun.json"


@dataclass(frozen=True)
class Options:
    """How an index is built.

    Attributes:
        keep: "activations": of all places, in 8 bits, of as many layers as fit the budget;
            "extremes": none.
        budget: bytes that activations may take.
        batch_size: pictures looked at together.
        vectors: pictures of which a vector of each layer is kept.
        thumbnails: whether small pictures are kept.
        sources: which photographs pictures are of.
        seed: of what is drawn.
    """

    keep: str = "activations"
    budget: float = 2e9
    batch_size: int = 16
    vectors: int = 4096
    thumbnails: bool = False
    sources: Sources = "picture"
    seed: int = 0

    def checked(self) -> Options:
        """The same, with what cannot be done refused."""
        if self.keep not in ("activations", "extremes"):
            hint = did_you_mean(str(self.keep), ("activations", "extremes"))
            raise InvalidArgument(f"keep={self.keep!r} is none of activations, extremes{hint}")
        for name in ("batch_size", "vectors"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise WrongType(f"{name}={value!r}: give a whole number")
        if self.batch_size < 1 or self.vectors < 0 or not self.budget >= 0 or self.seed < 0:
            raise InvalidArgument(
                f"batch_size={self.batch_size}, vectors={self.vectors}, budget={self.budget}, "
                f"seed={self.seed}: none may be negative, and a batch holds a picture at least"
            )
        return replace(self, sources=checked_sources(self.sources))

    def told(self) -> dict[str, Any]:
        """As plain values."""
        sources = self.sources if isinstance(self.sources, str) else "a function"
        return {
            "keep": self.keep,
            "budget": float(self.budget),
            "batch_size": self.batch_size,
            "vectors": self.vectors,
            "thumbnails": self.thumbnails,
            "sources": sources,
            "seed": self.seed,
        }


def kept_of(plans: Sequence[LayerPlan], size: int | None, options: Options) -> list[LayerPlan]:
    """The layers, with those marked whose activations are kept: the small ones first."""
    left, kept = options.budget, set[str]()
    for plan in sorted(plans, key=lambda each: each.bytes_an_image):
        total = plan.bytes_an_image * (options.batch_size if size is None else size)
        if options.keep == "activations" and total <= left:
            left -= total
            kept.add(plan.name)
    return [replace(plan, kept=plan.name in kept) for plan in plans]


def batches_kept(plans: Sequence[LayerPlan], size: int | None, options: Options) -> float:
    """Of how many batches activations are kept: where nobody knows how many there will be, as many
    as fit the budget."""
    an_image = sum(plan.bytes_an_image for plan in plans if plan.kept)
    if size is not None or not an_image:
        return inf
    return options.budget // (an_image * options.batch_size)


def recipe_of(
    of: dict[str, Any],
    pictures: Pictures,
    plans: Sequence[LayerPlan],
    options: Options,
    shape: tuple[int, ...],
) -> dict[str, Any]:
    """All that the numbers depend on, as plain values."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "of": of,
        "pictures": {
            "kind": pictures.kind,
            "fingerprint": pictures.fingerprint(),
            "size": pictures.size,
            "shape": list(shape),
        },
        "layers": [
            {
                "name": plan.name,
                "channels": plan.channels,
                "grid": list(plan.grid),
                "layout": repr(plan.layout),
                "kept": plan.kept,
                "calls": plan.calls,
            }
            for plan in plans
        ],
        "options": options.told(),
    }


def is_there(folder: Path, recipe: dict[str, Any], net: Network) -> bool:
    """Whether the index is finished; a folder that is not of this index is refused."""
    if folder.exists() and not folder.is_dir():
        raise InvalidArgument(f"{folder} is a file; an index is a folder: give another path")
    folder.mkdir(parents=True, exist_ok=True)
    found = next((folder / name for name in (INDEX, BEGUN) if (folder / name).exists()), None)
    if found is None:
        strange = [each.name for each in folder.iterdir() if not unfinished(each)]
        if strange:
            raise InvalidArgument(
                f"{folder} holds {strange[0]!r} and no index of photographs: give another path"
            )
    else:
        there = read_json(found)
        _check_recipe(folder, there, recipe, net)
    for left in folder.rglob("*"):
        if unfinished(left):
            left.unlink(missing_ok=True)
    if found is None:
        write_json(folder / BEGUN, recipe)
    if found is None or found.name == BEGUN:
        for name in (SHARDS, KEPT):
            (folder / name).mkdir(exist_ok=True)
        return False
    clear(folder)
    return True


def _check_recipe(
    folder: Path, there: dict[str, Any], recipe: dict[str, Any], net: Network
) -> None:
    if there.get("format") != FORMAT:
        raise InvalidArgument(f"{folder} holds no index of photographs: give another path")
    if there.get("version") != VERSION:
        raise InvalidArgument(
            f"{folder} holds an index of version {there.get('version')}, and this is {VERSION}: "
            "give another path"
        )
    check_same(there["of"], net, f"what was begun in {folder}")
    for part, said in _PARTS.items():
        if there[part] != recipe[part]:
            raise InvalidArgument(
                f"{folder} holds an index of {said}; give another path, or what it was begun with"
            )


_PARTS = {
    "pictures": "other pictures (another list, or files of another size)",
    "layers": "other layers, or of which other activations are kept",
    "options": "other options",
}


def clear(folder: Path) -> None:
    """Remove what a finished index was put together from."""
    rmtree(folder / SHARDS, ignore_errors=True)
    (folder / BEGUN).unlink(missing_ok=True)

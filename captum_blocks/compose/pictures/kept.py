"""Pictures in the store: read back whole, and described for the person who browses the folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from io import BytesIO
from math import isfinite
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from captum_blocks import __version__
from captum_blocks.network import Network
from captum_blocks.optim import Objective
from captum_blocks.store import Store

MOST_DESCRIPTION = 2**22
# What a description has, besides its numbers.
SCHEMA: dict[str, type | tuple[type, ...]] = {
    "label": str,
    "network": str,
    "weights": (str, type(None)),
    "layer": str,
    "objective": str,
    "size": (list, int),
    "n_steps": int,
    "seed": int,
    "channels": int,
    "parameterization": dict,
    "transforms": list,
    "captum_blocks": str,
}


def png(pixels: np.ndarray) -> bytes:
    """(y, x, 3) bytes as a file."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def as_bytes(images: Tensor) -> np.ndarray:
    """(image, channel, y, x) in [0, 1] -> (image, y, x, 3) bytes.

    Grey three times; of more channels the first three.
    """
    if images.shape[1] < 3:
        images = images[:, :1].expand(-1, 3, -1, -1)
    pixels = (images[:, :3].detach().cpu().clamp(0, 1) * 255).round().byte()
    return np.ascontiguousarray(pixels.permute(0, 2, 3, 1).numpy())


@dataclass(frozen=True)
class Entry:
    """Where a picture is kept, and what it has to be like.

    Attributes:
        key: as ``FeatureVisualizer.key`` gives it.
        label: readable start of its file names.
        height: in pixels.
        width: in pixels.
        name: what its numbers are called in the file beside it.
        count: how many numbers there are; None: one, not in a list.

    >>> Entry("{}", "late-channel-3", 48, 48, "score").count is None
    True
    """

    key: str
    label: str
    height: int
    width: int
    name: str
    count: int | None = None

    def taken(self, store: Store) -> tuple[np.ndarray, list[float]] | None:
        """Its pixels (y, x, 3) and numbers, or None; what is odd in any way is discarded."""
        picture = store.read(self.key, ".png", self.label, self.most)
        about = store.read(self.key, ".json", self.label, MOST_DESCRIPTION)
        if picture is None and about is None:
            return None
        try:
            if picture is None or about is None:
                raise ValueError("half of an entry")
            return pixels_of(picture, self.height, self.width), self._numbers(about)
        except Exception:  # readers raise errors of every kind on what is damaged
            store.discard(self.key, self.label)
            return None

    def keep(self, store: Store, pixels: np.ndarray, about: bytes) -> None:
        """Write it, where the store can."""
        store.keep(self.key, {".png": png(pixels), ".json": about}, self.label)

    def is_in(self, store: Store) -> bool:
        """Whether its files are there, whatever is in them."""
        return all(store.path(self.key, end, self.label).is_file() for end in (".png", ".json"))

    def file_in(self, store: Store) -> str:
        """The name of its picture's file: no other network, layer or recipe has it."""
        return store.path(self.key, ".png", self.label).name

    @property
    def most(self) -> int:
        """What the file of such a picture can take, were it not compressed at all."""
        return self.height * (3 * self.width + 1) * 2 + 2**16

    def _numbers(self, about: bytes) -> list[float]:
        told = json.loads(about)
        if not isinstance(told, dict) or told.get("fingerprint") != json.loads(self.key)["network"]:
            raise ValueError("beside the picture lies what describes another one")
        for name, kind in SCHEMA.items():
            if not isinstance(told.get(name), kind):
                raise ValueError(f"no {name}")
        found = told[self.name]
        found = [found] if self.count is None else found
        if not isinstance(found, list) or len(found) != (self.count or 1):
            raise ValueError(f"no {self.count} numbers")
        if not all(type(one) in (int, float) and isfinite(one) for one in found):
            raise ValueError("numbers that are none")
        return [float(one) for one in found]


def pixels_of(file: bytes, height: int, width: int) -> np.ndarray:
    """A file as (y, x, 3) bytes.

    Raises:
        ValueError: it is no PNG, or says that it has another size. (Pillow raises what it finds
            wrong with a damaged one.)
    """
    with Image.open(BytesIO(file), formats=["PNG"]) as image:
        if (image.size, image.mode) != ((width, height), "RGB"):  # known before any pixel is
            raise ValueError(f"a picture of {image.size}, {image.mode}, not {(width, height)}")
        return np.array(image)


def description(net: Network, key: str, label: str, objective: str, **own: Any) -> bytes:
    """JSON that says whose picture it is and how it was made.

    Args:
        net: the network it is of.
        key: what it is stored under, as ``FeatureVisualizer.key`` gives it.
        label: its name as printed.
        objective: the label of what it maximises.
        own: further numbers, by name.
    """
    made = json.loads(key)
    recipe = made["recipe"]
    told = {
        "label": label,
        "network": net.name,
        "weights": net.source,
        "fingerprint": made["network"],
        "layer": made["layer"],
        "objective": objective,
        **{name: recipe[name] for name in ("size", "n_steps", "seed", "channels")},
        "parameterization": _in_short(recipe["parameterization"]),
        "transforms": [_in_short(transform) for transform in recipe["transforms"]],
        "captum_blocks": __version__,
        **own,
    }
    return json.dumps(told, indent=1).encode()


def details(
    objective: Objective, layer: str, score: float, n_steps: int, seed: int
) -> tuple[tuple[str, str], ...]:
    """How an optimized picture was made, as terms and texts for the page.

    Args:
        objective: what it maximises.
        layer: of its subject.
        score: the objective on the final picture.
        n_steps, seed: of the optimization.
    """
    return (
        ("objective", objective.label),
        ("layer", layer or "the network's answer"),
        ("score", f"{score:.3g}"),
        ("steps", str(n_steps)),
        ("seed", str(seed)),
    )


def _in_short(config: dict[str, Any]) -> dict[str, Any]:
    """Without tables, such as the shares of a mosaic's groups: the key holds them."""
    return {name: value for name, value in config.items() if not isinstance(value, list)}

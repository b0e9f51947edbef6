"""Pictures in the store: read back whole, and described for the person who browses the folder."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from captum_blocks import __version__
from captum_blocks.network import Network


def png(pixels: np.ndarray) -> bytes:
    """(y, x, 3) bytes as a file."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


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


def _in_short(config: dict[str, Any]) -> dict[str, Any]:
    """Without tables, such as the shares of a mosaic's groups: the key holds them."""
    return {name: value for name, value in config.items() if not isinstance(value, list)}

"""A scene like the ones that real explanations make, without a network."""

from __future__ import annotations

from functools import cache

import numpy as np
from skimage.data import chelsea

from captum_blocks.scene import (
    Bars,
    Below,
    Chapter,
    Field,
    Mark,
    Overlay,
    Photo,
    Scene,
    Selection,
    Sprite,
)

CLASSES = ("tiger cat", "Egyptian cat")
GROUPS, CHANNELS, TILES, GRID = 6, 12, 6, 14
GROUP_SHARES = ((1.8, 0.4), (1.4, 0.9), (1.0, -0.2), (2.2, 1.1), (-0.3, 0.7), (0.1, -0.6))


def icon(seed: int, side: int = 128) -> np.ndarray:
    """A colourful texture that tells one seed from another."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:side, 0:side] / side
    waves = []
    for _ in range(3):
        angle, rate, phase = random.uniform(0, np.pi), random.uniform(2, 9), random.uniform(0, 6)
        bend = 0.15 * np.sin(9 * (x - y) + phase)
        waves.append(np.sin(2 * np.pi * rate * (x * np.cos(angle) + y * np.sin(angle) + bend)))
    mixed = np.stack(waves, -1) @ random.normal(size=(3, 3)) * 0.6
    return (255 / (1 + np.exp(-2 * mixed))).astype(np.uint8)


def blob(rows: int, columns: int, y: float, x: float, width: float = 0.22) -> np.ndarray:
    """A soft spot around (y, x) in fractions of the grid."""
    down, right = _centres(rows, columns)
    return np.exp(-((down - y) ** 2 + (right - x) ** 2) / (2 * width**2))


def _centres(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    down, right = np.mgrid[0:rows, 0:columns]
    return (down + 0.5) / rows, (right + 0.5) / columns


def _group_fields() -> dict[str, Field]:
    places = ((0.35, 0.3), (0.3, 0.6), (0.6, 0.45), (0.75, 0.7), (0.15, 0.85), (0.85, 0.15))
    return {
        f"bn2/group/{k}": Field(
            4.2 * blob(7, 7, y, x), (0.0, 4.2), "activation", f"group {k + 1} at bn2", hue=k
        )
        for k, (y, x) in enumerate(places)
    }


def _cell_tiles() -> tuple[tuple[Mark, ...], ...]:
    random = np.random.default_rng(3)
    places = random.uniform(0, 1, size=(24, 2))
    maps = np.stack([blob(GRID, GRID, y, x, 0.2) for y, x in places]) * random.uniform(
        2, 6, size=(24, 1, 1)
    )
    frames = []
    for cell in range(GRID * GRID):
        values = maps.reshape(24, -1)[:, cell]
        strongest = np.argsort(-values)[:TILES]
        frames.append(tuple(_tile(int(channel), float(values[channel])) for channel in strongest))
    return tuple(frames)


def _tile(channel: int, value: float) -> Mark:
    name = f"blocks.4.2.bn1/channel/{channel}"
    return Mark(
        key=name,
        label=f"blocks.4.2.bn1 : {channel}",
        values=(value,),
        sprite=name,
        detail=f"channel {channel} fires with {value:.2f} here",
    )


def _rows(shares, prefix: str, label: str, left: tuple[float, float], rest: str) -> list[Mark]:
    marks = [
        Mark(
            key=f"{prefix}/{k}",
            label=label.format(k + 1),
            values=values,
            sprite=f"{prefix}/{k}",
            field=f"{prefix}/{k}",
            hue=k if "group" in prefix else None,
            detail=f"{label.format(k + 1)}: {values[0]:+.2f} and {values[1]:+.2f} logit",
        )
        for k, values in enumerate(shares)
    ]
    total = tuple(float(sum(v[i] for v in shares) + left[i]) for i in range(2))
    marks.append(Mark(f"{prefix}/rest", rest, left, role="remainder"))
    marks.append(Mark(f"{prefix}/total", "total", total, role="total"))
    return marks


def _channel_shares() -> tuple[tuple[float, float], ...]:
    random = np.random.default_rng(5)
    first = np.sort(random.normal(0.25, 0.4, CHANNELS))[::-1]
    second = random.normal(0, 0.3, CHANNELS)
    return tuple((float(a), float(b)) for a, b in zip(first, second, strict=True))


def _sprites() -> dict[str, Sprite]:
    sprites = {}
    for k in range(GROUPS):
        sprites[f"bn2/group/{k}"] = Sprite(icon(100 + k), f"group {k + 1}", (("seed", "0"),))
    for k in range(CHANNELS):
        name = f"blocks.4.2.bn1/top/{k}"
        sprites[name] = Sprite(icon(200 + k), f"blocks.4.2.bn1 : {40 * k + 7}")
    for k in range(24):
        name = f"blocks.4.2.bn1/channel/{k}"
        details = (("objective", f"channel {k}"), ("score", "7.21"), ("seed", "0"))
        sprites[name] = Sprite(icon(300 + k), f"blocks.4.2.bn1 : {k}", details)
    return sprites


@cache
def sample_scene() -> Scene:
    """Four chapters: predictions, groups, a semantic dictionary, single channels."""
    random = np.random.default_rng(9)
    fields = _group_fields()
    for k in range(CHANNELS):
        signed = 0.4 * (
            blob(GRID, GRID, *random.uniform(0, 1, 2))
            - 0.3 * blob(GRID, GRID, *random.uniform(0, 1, 2))
        )
        fields[f"blocks.4.2.bn1/top/{k}"] = Field(
            signed, (-0.4, 0.4), "logit of tiger cat", f"channel {40 * k + 7}"
        )
    strength = sum(f.values.repeat(2, 0).repeat(2, 1) for f in list(fields.values())[:6])
    top = float(strength.max())
    fields["strength"] = Field(strength, (0.0, top), "activation", "how strongly the layer fires")
    probabilities = (("tiger cat", 0.52), ("Egyptian cat", 0.21), ("tabby", 0.17), ("lynx", 0.02))
    predictions = Bars(
        "Most likely classes",
        "The five classes the network finds most likely.",
        unit="probability",
        columns=("",),
        frames=(tuple(Mark(f"class/{n}", n, (p,)) for n, p in probabilities),),
        domain=(0.0, 1.0),
    )
    groups = Bars(
        "Six groups of neurons",
        "Each row is a group of neurons that fire together: what it looks for, where it fires in "
        "the photograph, and how much it adds to each class.",
        unit="logit",
        columns=CLASSES,
        frames=(
            tuple(
                _rows(
                    GROUP_SHARES, "bn2/group", "group {}", (0.01, 0.04), "not explained by groups"
                )
            ),
        ),
        domain=(-0.7, 6.3),
        maps=True,
        left_out="6 groups of 1280 channels explain 99 % of the logit; residual +0.01.",
    )
    dictionary = Bars(
        "Strongest channels here",
        "What the channels that fire most at the chosen place look for.",
        unit="activation",
        follows=("here",),
        frames=_cell_tiles(),
        domain=(0.0, 6.0),
        arrangement="tiles",
        left_out="showing 6 of 672 channels; icons cover 87 % of what would be shown",
    )
    channels = Bars(
        "Twelve channels",
        unit="logit",
        columns=CLASSES,
        frames=(
            tuple(
                _rows(
                    _channel_shares(),
                    "blocks.4.2.bn1/top",
                    "blocks.4.2.bn1 : {}",
                    (-0.31, 0.12),
                    "667 other channels",
                )
            ),
        ),
        domain=(-1.0, 4.0),
        left_out="showing 12 of 672 channels, 61 % of the attribution; residual -0.31",
    )
    here = Selection(
        "here",
        "hover",
        "spatial",
        tuple(f"{y},{x}" for y in range(GRID) for x in range(GRID)),
        default=5 * GRID + 6,
        grid=(GRID, GRID),
    )
    views = (
        Overlay(
            "Groups at bn2",
            "All six groups at once; a cell is as strong as the group fires there.",
            "activation",
            frames=(tuple(f"bn2/group/{k}" for k in range(GROUPS)),),
            stage=True,
        ),
        Overlay(
            "Strength at blocks.4.2.bn1",
            "Point at the photograph to ask what was seen there.",
            "activation",
            sets=("here",),
            highlights="here",
            frames=(("strength",),),
            stage=True,
        ),
    )
    return Scene(
        title="Why tiger cat? What EfficientNet-Lite0 saw in chelsea.png",
        answer="Four groups around the cat's face carry +6.2 of the +6.3 logit; nothing in the "
        "background speaks for another class.",
        photo=Photo(chelsea(), "chelsea.png"),
        chapters=(
            Chapter("What did it answer?", "Longer bars are more likely.", predictions),
            Chapter(
                "Which parts of the picture made it say so?",
                "Point at a row to see its place in the photograph.",
                Below((views[0], groups)),
                (("method", "LayerGradientXActivation"), ("formula", "sum over c of W * z_k D_k")),
            ),
            Chapter(
                "What did it see there?",
                "Point anywhere on the photograph.",
                Below((views[1], dictionary)),
            ),
            Chapter("Which single channels mattered?", "Bars add up to the total.", channels),
        ),
        sprites=_sprites(),
        fields=fields,
        selections=(here,),
        footer=(("network", "EfficientNet-Lite0"), ("seed", "0"), ("versions", "torch 2.15")),
    )

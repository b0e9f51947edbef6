"""Small pictures of whole pages, to be compared; ``python -m tests.browser.snapshots`` takes anew.

Look at what has changed before committing: ``git diff --stat tests/browser/snapshots``.
"""

from __future__ import annotations

import os
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page

FOLDER = Path(__file__).with_name("snapshots")
TAKE = "CAPTUM_BLOCKS_TAKE_SNAPSHOTS"
WIDTH, TILE = 320, 32
# In 255ths, of the whole page and of its most changed part; fonts differ from machine to machine.
MOST_IN_ALL, MOST_IN_A_TILE = 2.5, 70.0
MOST_HEIGHT = 0.04


def taken(tab: Page) -> np.ndarray:
    """The whole page at a quarter of its size, as (y, x, rgb)."""
    tab.wait_for_timeout(200)
    shot = Image.open(BytesIO(tab.screenshot(full_page=True))).convert("RGB")
    small = shot.resize((WIDTH, round(shot.height * WIDTH / shot.width)), Image.Resampling.BOX)
    return np.asarray(small)


def stored(name: str) -> np.ndarray:
    """The picture that was reviewed."""
    return np.asarray(Image.open(FOLDER / f"{name}.webp").convert("RGB"))


def store(name: str, picture: np.ndarray) -> None:
    """Keep a picture for review."""
    FOLDER.mkdir(exist_ok=True)
    Image.fromarray(picture).save(FOLDER / f"{name}.webp", quality=70, method=6)


def changes(before: np.ndarray, after: np.ndarray) -> dict[str, float]:
    """How much taller, and how different in all and in the most changed tile."""
    height = abs(len(after) - len(before)) / len(before)
    shape = (before.shape[1], before.shape[0])
    resized = np.asarray(Image.fromarray(after).resize(shape, Image.Resampling.BOX))
    difference = np.abs(resized.astype(float) - before).mean(-1)
    rows = len(difference) // TILE * TILE
    tiles = difference[:rows].reshape(-1, TILE, WIDTH // TILE, TILE).mean((1, 3))
    return {"height": height, "all": difference.mean(), "tile": tiles.max(initial=0.0)}


def alike(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether a reader would call them the same page."""
    found = changes(before, after)
    close = found["all"] <= MOST_IN_ALL and found["tile"] <= MOST_IN_A_TILE
    return close and found["height"] <= MOST_HEIGHT


if __name__ == "__main__":
    os.environ[TAKE] = "1"
    sys.exit(pytest.main([str(Path(__file__).with_name("test_preset_snapshots.py")), "-q"]))

"""Small pictures, and an index of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import captum_blocks as cb

COUNT = 70


def photographs(count: int, seed: int = 0, side: int = 24) -> list[Image.Image]:
    """Unlike pictures: each a coarse pattern of its own colours."""
    made = []
    for number in range(count):
        coarse = np.random.default_rng((seed, number)).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        made.append(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))
    return made


@pytest.fixture(scope="session")
def pictures() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(3, 16, 16, generator=generator) for _ in range(COUNT)]


@pytest.fixture(scope="session")
def index(small: cb.Network, pictures: list[torch.Tensor]) -> cb.ExampleIndex:
    return cb.ExampleIndex.build(small, pictures, ["early", "late"], batch_size=8, progress=False)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty photographs of three labels."""
    root = tmp_path_factory.mktemp("animals")
    for number, picture in enumerate(photographs(30)):
        label = ("bird", "cat", "dog")[number % 3]
        (root / label).mkdir(exist_ok=True)
        picture.save(root / label / f"{number:03d}.png")
    return root


@pytest.fixture
def directions() -> torch.Tensor:
    return torch.randn(5, 10, generator=torch.Generator().manual_seed(8))

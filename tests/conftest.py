"""Networks that many tests look at, made once a session."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image
from torch import nn

import captum_blocks as cb
from captum_blocks.compose import Quality
from captum_blocks.store import Store

# Two test processes on two cores: more threads would only wait for each other.
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))

# The machine may be busy: no deadline. The same examples every run: a failure can be repeated.
settings.register_profile("steady", deadline=None, max_examples=30, derandomize=True)
settings.load_profile("steady")

# What the longest tests are called. They begin first: one that began last would leave the other
# process idle.
LONGEST = (
    "test_tutorials.py::test_a_tutorial_runs[04",
    "test_tutorials.py::test_every_figure",
    "test_tutorials.py::test_a_tutorial_runs",
    "test_cli.py::test_explain_says",
    "test_cli.py::test_demo_writes",
    "test_cli.py::test_ctrl_c",
    "test_hostile.py::test_whatever_comes_ends_in_a_result_or_in_words[specs]",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Readers of the real page first and the longest tests in the middle.

    With two processes each begins with one of them: the page is made once, not in both.
    """
    page = [item for item in items if "real_explanation" in getattr(item, "fixturenames", ())]
    long = [item for name in LONGEST for item in items if name in item.nodeid]
    long = list(dict.fromkeys(long))
    apart = {*page, *long}
    rest = [item for item in items if item not in apart]
    middle = max(0, len(items) // 2 - len(page))
    items[:] = [*page, *rest[:middle], *long, *rest[middle:]]


def pytest_collection_finish() -> None:
    """What is imported stays: the garbage collector need not look through it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def gradients_stay_on() -> Iterator[None]:
    """Nothing switches the caller's gradients off for good."""
    yield
    left, _ = torch.is_grad_enabled(), torch.set_grad_enabled(True)
    assert left
    assert not torch.is_inference_mode_enabled()


FEW_STEPS = Quality(size=48, n_steps=4, budget=3, cell=16, cell_steps=1)


class SmallNet(nn.Module):
    """Two convolutions with ReLU on 16 pixels: non-negative layers on an 8x8 and a 4x4 grid."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.early = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU())
        self.late = nn.Sequential(nn.Conv2d(6, 10, 3, 2, 1), nn.ReLU())
        self.head = nn.Linear(10, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.late(self.early(x)).mean((2, 3)))


@pytest.fixture(scope="session")
def small_module() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(4)
        return SmallNet().eval()


@pytest.fixture(scope="session")
def small(small_module: nn.Module) -> cb.Network:
    preprocess = cb.Preprocess(size=16, mean=(0.5,) * 3, std=(0.5,) * 3)
    return cb.Network(small_module, preprocess, ["cat", "dog", "pig"], name="SmallNet")


@pytest.fixture(scope="session")
def small_x() -> torch.Tensor:
    return torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="session")
def demo() -> cb.Network:
    return cb.load_network("demo")


@pytest.fixture(scope="session")
def photo_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real photograph of a cat."""
    from skimage import data

    path = tmp_path_factory.mktemp("photos") / "cat.jpg"
    Image.fromarray(data.chelsea()).save(path, quality=90)
    return path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "icons")


@pytest.fixture(scope="session")
def real_explanation(
    demo: cb.Network, photo_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> cb.Explanation:
    """A page of a real network on a real photograph, with few and rough icons."""
    return cb.explain(
        cb.overview("blocks.5.0.bn1", "bn2"),
        demo,
        photo_file,
        quality=Quality(size=64, n_steps=6, budget=8, cell=16, cell_steps=2),
        progress=False,
        store=Store(tmp_path_factory.mktemp("icons")),
    )


@pytest.fixture(scope="session")
def real_page(real_explanation: cb.Explanation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return real_explanation.save(tmp_path_factory.mktemp("page") / "page.html")


@pytest.fixture
def noise_picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)

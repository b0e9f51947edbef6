"""What would be too much is refused from the words, before anything is attributed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import captum_blocks as cb
from captum_blocks.compose.evaluation.looking import AT_ONCE, Looking
from captum_blocks.compose.evaluation.photographs import LARGEST, read_pictures
from captum_blocks.errors import InvalidArgument
from captum_blocks.store import Store
from tests.conftest import FEW_STEPS

LATE = cb.Hidden("late")
HERE = cb.hover("spatial")
CLASSES = 20_000


class Wide(nn.Module):
    """A layer of 4 channels on an 8x8 grid, and very many classes."""

    def __init__(self) -> None:
        super().__init__()
        self.late = nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.ReLU())
        self.head = nn.Linear(4, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.late(x).mean((2, 3)))


@pytest.fixture(scope="module")
def wide() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Wide().eval()


def explained(element: object, module: nn.Module, x: torch.Tensor, store: Store) -> cb.Explanation:
    return cb.explain(element, module, x, quality=FEW_STEPS, progress=False, store=store)


def test_states_times_marks_come_before_the_work(wide, store, monkeypatch) -> None:
    """20,000 bars in each of 64 places: nothing is attributed to find that out."""

    def never(*args: object, **options: object) -> None:
        raise AssertionError("work was begun")

    monkeypatch.setattr(Looking, "between", never)
    monkeypatch.setattr(Looking, "attributed", never)
    every = cb.Attribution(LATE.spatial, cb.Out()).filter(at=HERE)
    message = "would show 20000 numbers in each of 64 states, which takes 51 MB of a page, 32 MB at"
    with pytest.raises(InvalidArgument, match=message):
        explained(cb.InfoVis(every, mark="bars"), wide, torch.zeros(1, 3, 32, 32), store)
    matrix = cb.InfoVis(cb.Attribution(LATE.channels, cb.Out()), mark="matrix")
    with pytest.raises(InvalidArgument, match="would show 80000 numbers in each of 16 states"):
        explained(matrix, wide, torch.zeros(16, 3, 32, 32), store)


def test_what_a_filter_leaves_is_counted(wide, store) -> None:
    few = cb.Attribution(LATE.spatial, cb.Out(top=5)).filter(at=HERE)
    x = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert len(explained(cb.InfoVis(few, mark="bars"), wide, x, store).html()) < 1_000_000


def test_states_that_pick_from_a_large_value_keep_only_what_they_show(wide) -> None:
    """In one piece, so that no state copies all of it in passing."""
    x = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    value = cb.evaluate(cb.Attribution(LATE.spatial, cb.Out()), cb.Network(wide), x)
    assert value.data.is_contiguous()
    assert value.maps.is_contiguous()


def test_many_photographs_go_through_in_parts(small) -> None:
    n = AT_ONCE + 3
    x = torch.randn(n, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    found = cb.evaluate(cb.Activation(LATE.channels), small, x)
    with torch.no_grad():
        expected = small.module.late(small.module.early(x)).mean((2, 3))
    torch.testing.assert_close(found.data, expected)


def test_photographs_are_kept_as_small_as_they_are_shown(small, tmp_path) -> None:
    large = Image.fromarray(np.zeros((1000, 3 * LARGEST, 3), np.uint8))
    large.save(tmp_path / "large.png")
    path = tmp_path / "large.png"
    _, (alone,) = read_pictures(small, path)
    assert max(alone.image.size) == LARGEST
    _, several = read_pictures(small, [path, large, np.asarray(large)])
    assert [max(picture.image.size) for picture in several] == [LARGEST] * 3
    assert [picture.name for picture in several][1:] == [f"the picture given ({i})" for i in (1, 2)]

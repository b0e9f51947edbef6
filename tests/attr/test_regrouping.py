from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from captum_blocks.attr import regroup
from captum_blocks.errors import InvalidArgument
from tests.reference import attr_loops

sizes = st.integers(1, 3)


@given(sizes, sizes, sizes, sizes, sizes, st.booleans(), st.integers(0, 99))
def test_equals_the_loops_and_adds_up(
    images: int, classes: int, channels: int, groups: int, width: int, linear: bool, seed: int
) -> None:
    random = torch.Generator().manual_seed(seed)
    a = torch.rand(images, channels, 2, width, generator=random, dtype=torch.float64)
    a = a * (a > 0.3)  # zeros, as a ReLU leaves them
    r = torch.randn(images, classes, channels, 2, width, generator=random, dtype=torch.float64)
    w = torch.randn(r.shape, generator=random, dtype=torch.float64) if linear else None
    z = torch.rand(images, groups, 2, width, generator=random, dtype=torch.float64)
    d = torch.rand(groups, channels, generator=random, dtype=torch.float64)
    found, rest = regroup(a, r, w, z, d)
    expected, left = attr_loops.regrouped(a, r, w, z, d)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(rest, left)
    torch.testing.assert_close(found.sum(2) + rest, r.sum(2))


@given(st.integers(0, 99))
def test_no_share_exceeds_the_whole_whatever_the_signs(seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    a = torch.randn(1, 4, 2, 2, generator=random)
    r = torch.randn(1, 1, 4, 2, 2, generator=random)
    z = torch.randn(1, 2, 2, 2, generator=random)
    d = torch.randn(2, 4, generator=random)
    found, _ = regroup(a, r, None, z, d)
    assert bool((found.abs().sum(2) <= r.abs().sum(2) * (1 + 1e-5)).all())


def test_nearly_silent_channel_is_not_blown_up() -> None:
    a = torch.full((1, 1, 1, 1), 1e-12)
    found, rest = regroup(a, torch.ones(1, 1, 1, 1, 1), None, torch.ones(1, 1, 1, 1), torch.eye(1))
    assert found.item() == pytest.approx(1)
    assert rest.item() == pytest.approx(0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"components": torch.ones(2, 5)}, r"fitted on another width: this layer has 3 channels"),
        ({"scores": torch.ones(1, 1, 2, 2)}, r"expected \(1, 2, 2, 2\) \(image, group, y, x\)"),
        ({"attribution_maps": torch.ones(1, 3, 2, 2)}, r"expected \(image, class, channel, y, x\)"),
        ({"weight_maps": torch.ones(1, 2, 3, 2, 2)}, "weights of shape .* do not belong"),
    ],
)
def test_shapes_that_do_not_fit(change: dict[str, torch.Tensor], message: str) -> None:
    arguments = {
        "activation_maps": torch.ones(1, 3, 2, 2),
        "attribution_maps": torch.ones(1, 1, 3, 2, 2),
        "weight_maps": None,
        "scores": torch.ones(1, 2, 2, 2),
        "components": torch.ones(2, 3),
    }
    with pytest.raises(InvalidArgument, match=message):
        regroup(**{**arguments, **change})

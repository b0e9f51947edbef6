from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from captum_blocks.errors import InvalidArgument
from captum_blocks.layouts import Layout, detect, picture_size, resolve

SIZES = st.integers(1, 5)


@given(SIZES, SIZES, SIZES, SIZES, st.integers(0, 3))
def test_maps_and_back(n: int, c: int, h: int, w: int, prefix: int) -> None:
    maps = torch.randn(n, c, h, w)
    tokens = torch.randn(n, prefix, c)
    for layout in (Layout("NCHW"), Layout("NHWC"), Layout("tokens", prefix, (h, w))):
        output = layout.from_maps(maps, tokens)
        assert torch.equal(layout.to_maps(output), maps)
        if layout.kind == "tokens":
            assert torch.equal(layout.tokens(output), tokens)
        else:
            assert layout.tokens(output).shape == (n, 0, c)


def test_a_token_layout_reads_rows_first() -> None:
    output = torch.arange(7.0).reshape(1, 7, 1)
    assert Layout("tokens", 1, (2, 3)).to_maps(output).tolist() == [[[[1, 2, 3], [4, 5, 6]]]]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((2, 64, 7, 7), Layout("NCHW")),
        ((2, 7, 7, 96), Layout("NHWC")),
        ((2, 14, 14, 14), Layout("NCHW")),
        ((2, 32, 20, 30), Layout("NCHW")),
        ((2, 197, 192), Layout("tokens", 1, (14, 14))),
        ((2, 198, 192), Layout("tokens", 2, (14, 14))),
        ((2, 196, 192), Layout("tokens", 0, (14, 14))),
        ((2, 10), Layout("NCHW")),
    ],
)
def test_detect(shape: tuple[int, ...], expected: Layout) -> None:
    assert detect(shape) == expected


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((2, 6, 6, 10), Layout("NCHW")),
        ((2, 6, 10, 6), Layout("NHWC")),
        ((2, 7, 6, 10), Layout("NCHW")),
        ((2, 61, 8), Layout("tokens", 1, (6, 10))),
    ],
)
def test_a_picture_that_is_not_square_is_told(shape: tuple[int, ...], expected: Layout) -> None:
    assert resolve(None, shape, (12, 20)) == expected


def test_tokens_that_make_no_grid_of_the_picture_are_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"no layout fits an output of shape \(1, 26, 8\)"):
        resolve("tokens", (1, 26, 8), (12, 20))


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (torch.zeros(2, 3, 4, 5), (4, 5)),
        ((torch.zeros(2, 3, 4, 5), 1), (4, 5)),
        (torch.zeros(2, 7), None),
        ((), None),
        ("words", None),
    ],
)
def test_the_size_of_pictures(inputs: object, expected: tuple[int, int] | None) -> None:
    assert picture_size(inputs) == expected


def test_what_cannot_be_guessed_is_said() -> None:
    with pytest.raises(
        InvalidArgument, match=r"no layout fits an output of shape \(1, 2, 3, 4, 5\)"
    ):
        detect((1, 2, 3, 4, 5))
    with pytest.raises(InvalidArgument, match="does not have the layout"):
        Layout("tokens", 1, (3, 3)).to_maps(torch.zeros(1, 9, 4))
    with pytest.raises(InvalidArgument, match="layout 'NWHC' is none of NCHW, tokens, NHWC"):
        resolve("NWHC", (1, 2, 3, 4))  # type: ignore[arg-type]

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from captum_blocks.errors import InvalidArgument, UnusableLayer
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


@st.composite
def placed(draw: st.DrawFn) -> Layout:
    """Tokens in any order, with some that have no place anywhere among them."""
    grid, prefix = (draw(SIZES), draw(SIZES)), draw(st.integers(0, 2))
    places = grid[0] * grid[1]
    more = draw(st.integers(0, 2))
    apart = st.permutations(range(prefix, prefix + more + places))
    unplaced = tuple(draw(apart)[:more])
    order = draw(st.none() | st.permutations(range(places)).map(tuple))
    return Layout("tokens", prefix, grid, order, unplaced)


@given(placed(), SIZES, SIZES)
def test_tokens_anywhere_and_in_any_order(layout: Layout, n: int, c: int) -> None:
    rows, columns = layout.grid  # type: ignore[misc]
    total = rows * columns + layout.n_unplaced
    output = torch.randn(n, total, c)
    assert layout.fits(output.shape)
    apart = [*range(layout.prefix), *layout.unplaced]
    placed = [token for token in range(total) if token not in apart]
    maps = layout.to_maps(output)
    for place in range(rows * columns):
        token = placed[place if layout.order is None else layout.order[place]]
        assert torch.equal(maps[:, :, place // columns, place % columns], output[:, token])
    assert torch.equal(layout.tokens(output), output[:, apart])
    assert torch.equal(layout.from_maps(maps, layout.tokens(output)), output)
    assert layout.without_tokens().fits((n, rows * columns, c))


@given(SIZES, SIZES, SIZES, SIZES, SIZES, SIZES)
def test_windows(n: int, c: int, h: int, w: int, tall: int, wide: int) -> None:
    """Cut by hand, padded at the right and bottom, windows of a picture one after another."""
    maps = torch.randn(n, c, h, w)
    down, across = -(-h // tall), -(-w // wide)
    full = torch.nn.functional.pad(maps, (0, across * wide - w, 0, down * tall - h))
    cut = torch.stack(
        [
            full[image, :, y * tall : (y + 1) * tall, x * wide : (x + 1) * wide]
            for image in range(n)
            for y in range(down)
            for x in range(across)
        ]
    )
    by_kind = {
        "NCHW": cut,
        "NHWC": cut.permute(0, 2, 3, 1),
        "tokens": cut.flatten(2).transpose(1, 2),
    }
    for kind, output in by_kind.items():
        layout = Layout(kind, grid=(h, w), window=(tall, wide))  # type: ignore[arg-type]
        assert layout.windows == down * across
        assert torch.equal(layout.to_maps(output), maps)
        assert torch.equal(layout.from_maps(maps), output)
        assert layout.tokens(output).shape == (n, 0, c)
        assert not layout.fits((*output.shape, 1))


def test_windows_in_an_order_of_their_own() -> None:
    """Two windows of two tokens, dealt out like cards."""
    layout = Layout("tokens", grid=(1, 4), window=(1, 2), order=(0, 2, 1, 3))
    output = torch.tensor([[[0.0], [2.0]], [[1.0], [3.0]]])
    assert layout.to_maps(output).tolist() == [[[[0, 1, 2, 3]]]]
    assert torch.equal(layout.from_maps(layout.to_maps(output)), output)


def test_gradients_reach_every_token_once() -> None:
    layout = Layout("tokens", grid=(2, 2), order=(3, 1, 0, 2), unplaced=(-1,))
    output = torch.randn(1, 5, 3, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(layout.to_maps, output)
    back = layout.from_maps(layout.to_maps(output), layout.tokens(output))
    assert torch.equal(torch.autograd.grad(back.sum(), output)[0], torch.ones_like(output))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"grid": (2, 2), "order": (0, 1, 2)}, "for each of 4 places, one of the 4 tokens"),
        ({"grid": (2, 2), "order": (0, 1, 2, 2)}, "the one given names 3"),
        ({"grid": (2, 2), "order": (0, 1, 2, 4)}, "for each of 4 places"),
        ({"grid": (2, 2), "unplaced": (7,)}, "other places among 5 tokens"),
        ({"grid": (2, 2), "prefix": 1, "unplaced": (0,)}, "behind the 1 of the prefix"),
        ({"grid": (2, 2), "prefix": 1, "window": (1, 1)}, "has no tokens without a place"),
        ({"kind": "NCHW", "order": (0,)}, "no tokens to be put in an order"),
        ({"kind": "NHWC", "window": (2, 2)}, "needs its patch grid"),
    ],
)
def test_a_layout_that_cannot_be(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        Layout(**{"kind": "tokens", **wrong})  # type: ignore[arg-type]


def test_numbers_without_places_are_no_maps() -> None:
    layout = Layout("none")
    assert layout.fits((1, 2, 3, 4, 5))
    with pytest.raises(UnusableLayer, match=r"\(1, 4, 9, 9\) has no places in the picture"):
        layout.to_maps(torch.zeros(1, 4, 9, 9))


def test_a_layout_is_short_in_words_and_a_key() -> None:
    layout = Layout("tokens", grid=(8, 8), order=tuple(reversed(range(64))), unplaced=(-1,))
    assert repr(layout) == (
        "Layout(kind='tokens', prefix=0, grid=(8, 8), order=<of 64 tokens>, unplaced=(-1,))"
    )
    assert {layout: 1}[replace(layout)] == 1


@pytest.mark.parametrize(
    ("module", "shape", "kind"),
    [
        (nn.Conv2d(1, 5, 3, (2, 1)), (2, 64, 64, 128), "NCHW"),
        (nn.ConvTranspose2d(1, 5, 3), (2, 7, 7, 96), "NCHW"),
        (nn.MaxPool2d(2), (2, 7, 7, 96), "NCHW"),
        (nn.BatchNorm2d(7), (2, 7, 7, 96), "NCHW"),
        (nn.Linear(3, 7), (2, 7, 7, 7), "NHWC"),
        (nn.GELU(), (2, 7, 7, 96), "NHWC"),
        (nn.GELU(), (2, 96, 7, 7), "NCHW"),
    ],
)
def test_a_module_that_says_where_its_channels_are(
    module: nn.Module, shape: tuple[int, ...], kind: str
) -> None:
    assert resolve(None, shape, module=module).kind == kind


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
    with pytest.raises(InvalidArgument, match="layout 'NWHC' is none of NCHW, tokens, NHWC, none"):
        resolve("NWHC", (1, 2, 3, 4))  # type: ignore[arg-type]

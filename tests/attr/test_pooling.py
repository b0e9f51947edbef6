from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from captum_blocks import attr
from captum_blocks.errors import InvalidArgument, UnsupportedMethod, UnusableLayer
from tests.reference import attr_loops


def test_forward_is_unchanged_and_backward_is_the_formula() -> None:
    pool = nn.MaxPool2d(3, 2, 1, ceil_mode=True)
    x = torch.randn(2, 3, 7, 7, requires_grad=True)
    seed = torch.randn_like(pool(x))
    with attr.relaxed_pooling(pool):
        relaxed = pool(x)
        (found,) = torch.autograd.grad(relaxed, x, seed)
    assert torch.equal(relaxed, pool(x))

    def average(values: Tensor) -> Tensor:
        return functional.avg_pool2d(values, 3, 2, 1, True, count_include_pad=False)

    smooth = average(x**2) / (1e-2 + average(x.abs()))
    (expected,) = torch.autograd.grad(smooth, x, seed)
    torch.testing.assert_close(found, expected)


def test_blurred_is_the_blur_of_the_relaxed_gradient() -> None:
    pool = nn.MaxPool2d(3, 2, 1)
    x = torch.randn(2, 3, 7, 6, requires_grad=True)
    seed = torch.randn_like(pool(x))
    with attr.relaxed_pooling(pool):
        (relaxed,) = torch.autograd.grad(pool(x), x, seed)
    with attr.relaxed_pooling(pool, blurred=True):
        passed = pool(x)
        (found,) = torch.autograd.grad(passed, x, seed)
    assert torch.equal(passed, pool(x))
    torch.testing.assert_close(found, attr.blur(relaxed))
    expected = torch.tensor(attr_loops.blurred(relaxed[0, 0].tolist()))
    torch.testing.assert_close(found[0, 0], expected)


def test_blurred_results_say_so_and_are_blurred_from_both_sides(
    convnet: nn.Module, x: Tensor
) -> None:
    l2l = attr.LayerToLayerAttribution(convnet, "conv1")
    with attr.relaxed_pooling(convnet):
        relaxed = attr.LayerMethod(convnet, "conv1").attribute(x, [0])
    with attr.relaxed_pooling(convnet, blurred=True):
        found = attr.LayerMethod(convnet, "conv1").attribute(x, [0])
        note = attr.relaxation_note(convnet)
        backwards, forwards = l2l.attribute(x), l2l.attribute(x, source_atom="whole")
    assert found.notes == ("gradients went through relaxed max-pooling and were blurred there",)
    assert found.notes == (note,)
    assert attr.relaxation_note(convnet) is None
    assert not torch.allclose(found.maps, relaxed.maps)
    torch.testing.assert_close(backwards[:, 0], found.maps[:, 0].sum(1))
    torch.testing.assert_close(forwards, backwards.sum((2, 3)))


def test_contexts_of_both_kinds_do_not_mix(convnet: nn.Module) -> None:
    with (
        attr.relaxed_pooling(convnet),
        pytest.raises(InvalidArgument, match="blurred=True, and a relaxed_pooling context with bl"),
    ):
        attr.relaxed_pooling(convnet, blurred=True).__enter__()
    assert "forward" not in vars(convnet.pool)


def test_results_made_inside_say_so_and_the_network_is_itself_again(
    convnet: nn.Module, x: Tensor
) -> None:
    method = attr.LayerMethod(convnet, "conv1")
    plain = method.attribute(x, [0])
    with attr.relaxed_pooling(convnet):
        relaxed = method.attribute(x, [0])
    assert relaxed.notes == ("gradients went through relaxed max-pooling",)
    assert not torch.allclose(relaxed.maps, plain.maps)
    assert torch.equal(method.attribute(x, [0]).maps, plain.maps)
    assert "forward" not in vars(convnet.pool)


def test_layer_to_layer_inside_is_relaxed_from_both_sides(convnet: nn.Module, x: Tensor) -> None:
    l2l = attr.LayerToLayerAttribution(convnet, "conv1")
    with attr.relaxed_pooling(convnet):
        maps = attr.LayerMethod(convnet, "conv1").attribute(x, [0, 1, 2, 3]).maps
        backwards, forwards = l2l.attribute(x), l2l.attribute(x, source_atom="whole")
    torch.testing.assert_close(backwards, maps.sum(2))
    torch.testing.assert_close(forwards, maps.sum((2, 3, 4)))
    assert not torch.allclose(l2l.attribute(x), backwards)


def test_undone_after_an_error(convnet: nn.Module) -> None:
    with pytest.raises(KeyboardInterrupt), attr.relaxed_pooling(convnet):
        raise KeyboardInterrupt
    assert "forward" not in vars(convnet.pool)


def test_inner_context_leaves_the_outer_one_open(convnet: nn.Module, x: Tensor) -> None:
    with attr.relaxed_pooling(convnet):
        with attr.relaxed_pooling(convnet):
            pass
        assert attr.LayerMethod(convnet, "conv1").attribute(x, [0]).notes


def test_nothing_to_relax(vit: nn.Module) -> None:
    with pytest.raises(UnusableLayer, match=r"this Vit has no nn\.MaxPool2d"):
        attr.relaxed_pooling(vit).__enter__()


def test_dilated_pooling_is_refused() -> None:
    with pytest.raises(UnsupportedMethod, match="cannot be relaxed: it is dilated"):
        attr.relaxed_pooling(nn.MaxPool2d(2, dilation=2)).__enter__()


def test_blur_equals_the_loops() -> None:
    grid = torch.randn(4, 5)
    expected = torch.tensor(attr_loops.blurred(grid.tolist()))
    torch.testing.assert_close(attr.blur(grid[None, None])[0, 0], expected)

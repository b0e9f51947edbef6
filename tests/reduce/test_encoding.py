"""Non-negative least squares against every possible support."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from captum_blocks.errors import InvalidArgument
from captum_blocks.reduce import encode
from tests.reference.reduce_formulas import non_negative_least_squares


def problem(seed, rows=12, groups=4, channels=7, shift=0.3):
    generator = torch.Generator().manual_seed(seed)
    kind = torch.float64
    data = torch.rand(rows, channels, generator=generator, dtype=kind) - shift
    return data, torch.rand(groups, channels, generator=generator, dtype=kind) - shift


@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.0), (0.2, 0.0), (0.1, 0.5)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_is_the_best_of_all_supports(seed, l1, l2):
    data, components = problem(seed)
    found = encode(data, components, l1, l2).numpy()
    for row, scores in zip(data.numpy(), found, strict=True):
        expected = non_negative_least_squares(row, components.numpy(), l1, l2)
        np.testing.assert_allclose(scores, expected, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10_000),
    st.integers(1, 30),
    st.integers(1, 24),
    st.integers(1, 12),
    st.booleans(),
)
def test_the_optimality_conditions_hold(seed, rows, groups, channels, repeated):
    data, components = problem(seed, rows, groups, channels, shift=0.2)
    if repeated:
        components[-1] = components[0]
        components[groups // 2] = 0.0
    scores = encode(data, components)
    slope = scores @ components @ components.T - data @ components.T
    assert (scores >= 0).all()
    assert (slope > -1e-6).all()
    assert (slope.abs() * scores < 1e-5).all()


def test_single_precision_is_as_good_as_its_products():
    data, components = problem(3, rows=300, groups=16, channels=64)
    single = encode(data.float(), components.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), encode(data, components), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("groups", [8, 32])
def test_a_photograph_is_encoded_as_scipy_does(groups):
    generator = torch.Generator().manual_seed(groups)
    components = torch.rand(groups, 96, generator=generator) ** 4
    held = torch.rand(196, groups, generator=generator) - 0.4
    data = held.clamp_min(0.0) @ components + 0.2 * torch.rand(196, 96, generator=generator)
    scores = encode(data, components).double().numpy()
    wide = components.T.double().numpy()
    expected = np.stack([nnls(wide, row)[0] for row in data.double().numpy()])
    assert 0 < (expected == 0).mean() < 1
    np.testing.assert_allclose(scores, expected, atol=1e-5 * expected.max(), rtol=0)


def test_rows_do_not_depend_on_their_company():
    data, components = problem(4, rows=50, groups=12, channels=20)
    alone = torch.cat([encode(row[None], components) for row in data])
    torch.testing.assert_close(encode(data, components), alone, atol=1e-10, rtol=0)


def test_many_rows_are_encoded_in_parts(monkeypatch):
    data, components = problem(5, rows=50)
    whole = encode(data, components)
    monkeypatch.setattr("captum_blocks.reduce.encoding.ROWS_AT_ONCE", 7)
    torch.testing.assert_close(encode(data, components), whole)


def test_the_gradient_is_that_of_the_active_groups():
    data, components = problem(6, rows=3)
    assert torch.autograd.gradcheck(
        lambda x: encode(x, components, 0.05, 0.1), data.requires_grad_()
    )


def test_silent_components_and_no_rows():
    scores = encode(torch.ones(2, 3), torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]))
    assert scores.tolist() == [[0.0, 1.0], [0.0, 1.0]]
    assert encode(torch.ones(2, 3), torch.zeros(2, 3)).tolist() == [[0.0, 0.0]] * 2
    assert encode(torch.ones(0, 3), torch.eye(3)).shape == (0, 3)


def test_many_groups_of_which_rows_hold_few_and_different_numbers():
    generator = torch.Generator().manual_seed(7)
    components = torch.rand(32, 80, generator=generator, dtype=torch.float64)
    held = torch.rand(300, 32, generator=generator, dtype=torch.float64)
    held = held * (torch.rand(300, 32, generator=generator) < torch.linspace(0, 1, 300)[:, None])
    torch.testing.assert_close(encode(held @ components, components), held, atol=1e-9, rtol=0)


def test_components_that_are_sums_of_others_are_no_obstacle():
    data, components = problem(8, rows=80, groups=6, channels=20, shift=0.0)
    repeated = torch.cat([components, components, components[:3] + components[3:]])
    scores = encode(data, repeated)
    torch.testing.assert_close(
        scores @ repeated, encode(data, components) @ components, atol=1e-5, rtol=0
    )
    assert (scores >= 0).all()


def test_widths_that_differ_are_refused():
    with pytest.raises(
        InvalidArgument, match=r"rows of shape \(3, 4\) and components of shape \(2, 5\): give"
    ):
        encode(torch.rand(3, 4), torch.rand(2, 5))

"""The torch solver against scikit-learn's and against what is known."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import NMF, non_negative_factorization
from sklearn.decomposition._nmf import _initialize_nmf

from captum_blocks.errors import InvalidArgument, UnknownName, WrongType
from captum_blocks.reduce import ChannelReducer, Penalty, factorize
from captum_blocks.reduce.nmf import _columns, _Run, factor_signed, initial_factors
from captum_blocks.reduce.quality import relative_error, svd_floor


def mixture(seed=0, rows=150, groups=4, channels=20, dtype=torch.float64, noise=0.05):
    """Sparse non-negative factors plus a little noise."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape):
        return torch.rand(shape, generator=generator, dtype=torch.float64)

    scores = drawn(rows, groups) * (drawn(rows, groups) > 0.5)
    components = drawn(groups, channels) * (drawn(groups, channels) > 0.5)
    return (scores @ components + noise * drawn(rows, channels)).to(dtype)


@pytest.mark.parametrize("inner", ["columns", "gradient"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_error_is_no_worse_than_that_of_scikit_learn(inner, dtype):
    table = mixture(dtype=dtype)
    found = factorize(table, 4, inner=inner, max_iter=400, tol=1e-6)
    model = NMF(4, init="nndsvd", max_iter=400, tol=1e-6)
    theirs = table - torch.from_numpy(model.fit_transform(table.numpy()) @ model.components_)
    ours = relative_error(table, found.scores @ found.components)
    assert ours <= 1.005 * float(theirs.norm() / table.norm())
    assert ours >= svd_floor(table, 4) - 1e-6
    assert (found.scores >= 0).all()
    assert (found.components >= 0).all()


def test_the_reported_error_is_the_error():
    table = mixture()
    found = factorize(table, 4, tol=1e-9, max_iter=500)
    direct = relative_error(table, found.scores @ found.components)
    assert found.errors[-1] == pytest.approx(direct, rel=1e-5)
    assert all(
        later <= earlier * 1.001
        for earlier, later in zip(found.errors, found.errors[1:], strict=False)
    )


def test_exact_factors_are_recovered_in_single_precision():
    table = mixture(noise=0.0, dtype=torch.float32)
    found = factorize(table, 4, max_iter=2000, tol=1e-7)
    assert relative_error(table, found.scores @ found.components) < 2e-3


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_the_unit_of_the_activations_does_not_matter(scale):
    table = mixture(dtype=torch.float32)
    plain, scaled = factorize(table, 3), factorize(table * scale, 3)
    assert scaled.errors[-1] == pytest.approx(plain.errors[-1], rel=1e-3)
    made = scaled.scores @ scaled.components / scale
    torch.testing.assert_close(made, plain.scores @ plain.components, rtol=1e-2, atol=1e-2)


def test_the_same_seed_gives_the_same_bits_and_leaves_the_global_generator_alone():
    table = mixture()
    before = torch.get_rng_state()
    first, second = (factorize(table, 3, init="random", seed=5) for _ in range(2))
    assert torch.equal(first.scores, second.scores)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(factorize(table, 3, init="random", seed=6).scores, first.scores)


def test_a_warm_start_needs_fewer_iterations():
    table = mixture()
    found = factorize(table, 4, tol=1e-5, max_iter=1000)
    again = factorize(table, 4, start=found.components, tol=1e-5, max_iter=5)
    cold = factorize(table, 4, tol=1e-5, max_iter=5)
    assert again.errors[0] < cold.errors[-1]
    assert again.errors[0] == pytest.approx(found.errors[-1], rel=1e-3)


def test_nndsvd_starts_where_scikit_learn_starts():
    table = mixture()
    scores, components = initial_factors(table, 4, "nndsvd")
    w, h = _initialize_nmf(table.numpy(), 4, init="nndsvd", random_state=0)
    np.testing.assert_allclose(scores.T.numpy(), w, atol=1e-6)
    np.testing.assert_allclose(components.numpy(), h, atol=1e-6)
    filled = initial_factors(table, 4, "nndsvda")[1]
    np.testing.assert_allclose(
        filled.numpy(),
        _initialize_nmf(table.numpy(), 4, init="nndsvda", random_state=0)[1],
        atol=1e-6,
    )
    assert (initial_factors(table, 4, "nndsvdar")[1] > 0).all()


@pytest.mark.parametrize("inner", ["columns", "gradient"])
@pytest.mark.parametrize("init", ["nndsvd", "nndsvda", "nndsvdar", "random"])
def test_no_group_is_lost_on_the_way(init, inner):
    # From nndsvda the first groups explain all at first, and leave nothing to others for a while.
    table = mixture(rows=300, groups=12, channels=40)
    found = factorize(table, 12, init=init, inner=inner)
    assert (found.components.sum(1) > 0).all()
    assert (found.scores.sum(0) > 0).all()
    assert found.errors[-1] <= 1.3 * svd_floor(table, 12)


def penalised(table, w, h, on_w, on_h):
    loss = 0.5 * np.sum((table - w @ h) ** 2)
    for factor, penalty in ((w, on_w), (h, on_h)):
        loss += penalty.l1 * factor.sum() + 0.5 * penalty.l2 * np.sum(factor**2)
    return loss


def test_penalties_mean_what_they_mean_in_scikit_learn():
    table = mixture()
    rows, channels = table.shape
    w, h, _ = non_negative_factorization(
        table.numpy(),
        n_components=3,
        init="nndsvd",
        alpha_W=0.01,
        alpha_H=0.02,
        l1_ratio=0.5,
        max_iter=2000,
        tol=1e-8,
    )
    on_w, on_h = Penalty(0.005 * channels, 0.005 * channels), Penalty(0.01 * rows, 0.01 * rows)
    found = factorize(table, 3, on_scores=on_w, on_components=on_h, max_iter=2000, tol=1e-8)
    ours = penalised(table.numpy(), found.scores.numpy(), found.components.numpy(), on_w, on_h)
    assert ours == pytest.approx(penalised(table.numpy(), w, h, on_w, on_h), rel=1e-3)
    reducer = ChannelReducer(
        3,
        solver="hals",
        alpha_W=0.01,
        alpha_H=0.02,
        l1_ratio=0.5,
        max_iter=2000,
        tol=1e-8,
        order="none",
    ).fit(table)
    torch.testing.assert_close(reducer.components_, found.components)


def test_more_sparsity_makes_more_zeros():
    table = mixture()
    dense = ChannelReducer(4).fit_transform(table)
    sparse = ChannelReducer(4, alpha_W=0.02, alpha_H=0.0, l1_ratio=1.0).fit_transform(table)
    assert (sparse == 0).double().mean() > (dense == 0).double().mean() + 0.1


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 20), st.integers(2, 12), st.integers(1, 3), st.data())
def test_odd_tables_give_finite_factors(seed, rows, channels, groups, data):
    table = mixture(seed, rows, 3, channels, dtype=torch.float32)
    silent = data.draw(st.integers(0, channels - 1))
    table[:, silent] = 0.0
    if data.draw(st.booleans()):
        table[:, 0] = table[:, -1]
    if data.draw(st.booleans()):
        table[:] = table[:1]
    found = factorize(table, min(groups, rows, channels), max_iter=20)
    assert found.scores.isfinite().all()
    assert found.components.isfinite().all()
    assert relative_error(table + 1e-9, found.scores @ found.components) <= 1.0


def test_auto_takes_the_published_iterate_for_small_and_the_fast_solver_for_large(monkeypatch):
    table = mixture()
    auto = ChannelReducer(3).fit(table).components_
    assert torch.equal(auto, ChannelReducer(3, solver="cd").fit(table).components_)
    monkeypatch.setattr("captum_blocks.reduce.algorithms.SMALL_TABLE", 10)
    auto = ChannelReducer(3).fit(table).components_
    assert torch.equal(auto, ChannelReducer(3, solver="hals").fit(table).components_)


def test_a_tall_table_begins_with_a_share_and_ends_where_scikit_learn_ends():
    table = mixture(rows=9000, groups=6, dtype=torch.float32, noise=0.3)
    found, again = (factorize(table, 5, seed=3) for _ in range(2))
    model = NMF(5, init="nndsvd", tol=1e-4, max_iter=200)
    theirs = torch.from_numpy(model.fit_transform(table.numpy()) @ model.components_)
    ours = relative_error(table, found.scores @ found.components)
    assert ours <= 1.001 * relative_error(table, theirs)
    assert found.errors[-1] == pytest.approx(ours, rel=1e-4)
    # The first turn over all positions is nearly the last: the share has settled the components.
    assert found.errors[0] < 1.005 * ours < factorize(table, 5, max_iter=1).errors[0]
    assert torch.equal(found.scores, again.scores)
    assert not torch.equal(found.scores, factorize(table, 5, seed=4).scores)


def test_a_share_of_the_positions_weighs_its_share_of_the_penalties():
    table, h = mixture(), mixture(1, rows=3)
    w = torch.rand(3, len(table), generator=torch.Generator().manual_seed(0)).double()
    twice = _Run(table.repeat(2, 1), Penalty(0.1, 0.2), Penalty(8.0, 40.0), _columns)
    once = twice.of(torch.arange(len(table)))

    def loss(run, scores):
        return run._loss(h, scores @ scores.T, scores @ run.table, scores)

    assert loss(twice, w.repeat(1, 2)) == pytest.approx(2 * loss(once, w), rel=1e-12)


def test_no_progress_ends_the_descent_long_before_the_last_turn():
    table = mixture(dtype=torch.float32)
    found = factorize(table, 4, max_iter=5000)
    best = factorize(table, 4, max_iter=5000, tol=1e-8)
    assert len(found.errors) < len(best.errors) <= 5000
    assert found.errors[-6] - found.errors[-1] < 1e-4 * found.errors[-1]
    assert found.errors[-1] <= 1.005 * best.errors[-1]


def test_semi_nmf_comes_close_to_the_svd_floor():
    table = mixture() - 0.3
    start = torch.rand(len(table), 4, generator=torch.Generator().manual_seed(0)).double()
    found = factor_signed(table, start, tol=1e-4, max_iter=300)
    error = relative_error(table, found.scores @ found.components)
    assert svd_floor(table, 4) <= error < 1.1 * svd_floor(table, 4)
    assert (found.scores >= 0).all()
    assert (found.components < 0).any()


def test_an_unknown_start_is_refused():
    with pytest.raises(
        UnknownName, match="init='svd' is none of nndsvd, nndsvda, nndsvdar, random"
    ):
        factorize(mixture(), 2, init="svd")


def test_tables_that_cannot_be_factorized_are_refused():
    table = mixture()
    with pytest.raises(InvalidArgument, match="Negative values in data: algorithm='nmf' needs"):
        factorize(table - 1, 2)
    with pytest.raises(
        InvalidArgument, match="the table's rows contain NaN or inf in 3000 of 3000"
    ):
        factorize(table * torch.nan, 2)
    with pytest.raises(InvalidArgument, match="n_components=21 is more than the 20 channels"):
        factorize(table, 21)
    with pytest.raises(InvalidArgument, match=r"table has shape \(1, 150, 20\), expected \(positi"):
        factorize(table[None], 2)
    with pytest.raises(
        WrongType, match="table must be a tensor of float32 or float64, not torch.i"
    ):
        factorize(table.int(), 2)
    with pytest.raises(
        WrongType, match="table must be a tensor of float32 or float64, not ndarray"
    ):
        factorize(table.numpy(), 2)
    with pytest.raises(InvalidArgument, match=r"start has shape \(3, 20\), expected \(2, 20\)"):
        factorize(table, 2, start=torch.rand(3, 20))
    with pytest.raises(UnknownName, match="inner='rows' is none of columns, gradient"):
        factorize(table, 2, inner="rows")

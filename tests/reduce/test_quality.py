"""Quality measures against loops and closed forms."""

import numpy as np
import pytest
import torch

from captum_blocks.errors import InvalidArgument
from captum_blocks.reduce import ChannelReducer, quality
from tests.reference.reduce_formulas import (
    best_matching,
    uniform_total_indices,
    without_groups,
)


def fitted(seed=0, groups=3, shape=(2, 8, 4, 4)):
    acts = torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return ChannelReducer(groups).fit(acts), acts


def linear_head(channels=8, classes=5, seed=1):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(classes, channels, generator=generator, dtype=torch.float64)
    return lambda acts: acts.mean((2, 3)) @ weight.T


def test_relative_error_is_a_ratio_of_norms():
    _, acts = fitted()
    made = acts * 0.75
    expected = np.sqrt(np.sum((acts - made).numpy() ** 2) / np.sum(acts.numpy() ** 2))
    assert quality.relative_error(acts, made) == pytest.approx(expected)
    with pytest.raises(InvalidArgument, match="zero everywhere: no relative error is defined"):
        quality.relative_error(torch.zeros(2), torch.zeros(2))


@pytest.mark.parametrize("shape", [(30, 7), (7, 30)])
def test_the_floor_is_the_truncated_svd(shape):
    table = np.random.default_rng(0).random(shape)
    left, values, right = np.linalg.svd(table, full_matrices=False)
    made = left[:, :3] * values[:3] @ right[:3]
    expected = np.linalg.norm(table - made) / np.linalg.norm(table)
    assert quality.svd_floor(torch.from_numpy(table), 3) == pytest.approx(expected)
    assert quality.svd_floor(torch.from_numpy(table), 7) == pytest.approx(0.0, abs=1e-6)


def test_sparsity_counts_zeros():
    scores = torch.tensor([[0.0, 1e-9, 3.0], [0.0, 0.0, 1.0]])
    assert quality.sparsity(scores) == 3 / 6
    assert quality.sparsity(scores, tolerance=1e-6) == pytest.approx(4 / 6)


def test_groups_are_matched_as_well_as_any_pairing_can():
    rng = np.random.default_rng(0)
    first, second = rng.random((5, 9)), rng.random((5, 9))
    partners, cosines = quality.match_groups(torch.from_numpy(first), second)
    assert sorted(partners) == list(range(5))
    assert cosines.mean() == pytest.approx(best_matching(first, second))
    third = rng.random((5, 9))
    pairs = [(first, second), (first, third), (second, third)]
    expected = np.mean([best_matching(a, b) for a, b in pairs])
    assert quality.stability([first, second, third]) == pytest.approx(expected)


def test_matching_needs_equal_shapes_and_two_fits():
    with pytest.raises(InvalidArgument, match=r"shape \(2, 3\) and \(3, 3\) cannot be matched"):
        quality.match_groups(np.ones((2, 3)), np.ones((3, 3)))
    with pytest.raises(InvalidArgument, match="give the components of at least two"):
        quality.stability([np.eye(2)])


def test_faithfulness_is_agreement_and_determination():
    _, acts = fitted(shape=(6, 8, 4, 4))
    head, made = linear_head(), acts.flip(0)
    found = quality.head_faithfulness(head, acts, made)
    true, other = head(acts).numpy(), head(made).numpy()
    agree = np.mean([a.argmax() == b.argmax() for a, b in zip(true, other, strict=True)])
    r2 = 1 - ((true - other) ** 2).sum() / ((true - true.mean(0)) ** 2).sum()
    assert found.top1_agreement == pytest.approx(agree)
    assert found.logit_r2 == pytest.approx(r2)
    assert quality.head_faithfulness(head, acts, acts) == quality.Faithfulness(1.0, 1.0)
    one = quality.head_faithfulness(head, acts[:1], acts[:1] * 0.99)
    assert 0.9 < one.logit_r2 < 1


@pytest.mark.parametrize("keep", [True, False])
def test_curves_are_the_loop_over_removed_groups(keep):
    reducer, acts = fitted()
    head, target, order = linear_head(), 2, [1, 2, 0]
    importance = [1.0, 3.0, 2.0]
    scores = reducer.transform(acts)
    whole = acts if keep else reducer.inverse_transform(scores)
    down = quality.deletion_curve(head, reducer, acts, target, importance, keep)
    up = quality.insertion_curve(head, reducer, acts, target, importance, keep)
    assert down.order == up.order == tuple(order)

    def one(x):
        return head(torch.from_numpy(x)[None])[0].numpy()

    for image in range(2):
        arguments = (one, whole[image].numpy(), scores[image].numpy(), reducer.components_.numpy())
        for step in range(4):
            expected = without_groups(*arguments, target, order, step)
            assert float(down.scores[image, step]) == pytest.approx(expected)
            expected = without_groups(*arguments, target, order[::-1], 3 - step)
            assert float(up.scores[image, step]) == pytest.approx(expected)


def test_the_area_is_that_of_the_trapezoids():
    curve = quality.Curve((0, 1), torch.tensor([[0.0, 1.0, 1.0], [0.0, 0.0, 1.0]]))
    assert curve.area == pytest.approx((0.75 + 0.25) / 2)


def test_total_indices_of_a_linear_head_are_known():
    reducer, acts = fitted(shape=(1, 8, 4, 4))
    head, target = linear_head(), 3
    scores = reducer.transform(acts)
    parts = [
        float(
            head(torch.einsum("yx,c->cyx", scores[0, k], reducer.components_[k])[None])[0, target]
        )
        for k in range(3)
    ]
    found = quality.sobol_total_indices(head, reducer, acts, target, n_designs=1024)
    np.testing.assert_allclose(found[0], uniform_total_indices(parts), atol=0.02)
    again = quality.sobol_total_indices(head, reducer, acts, target, n_designs=1024)
    assert torch.equal(found, again)


def test_interactions_count_for_every_partner():
    reducer, acts = fitted(shape=(1, 8, 4, 4), groups=2)
    scores = reducer.transform(acts)
    whole = [float(scores[0, k].sum()) for k in range(2)]

    def product(maps):
        made = reducer.transform(maps.clamp_min(0))
        both = made[:, 0].sum((1, 2)) / whole[0] * made[:, 1].sum((1, 2)) / whole[1]
        return both[:, None]

    found = quality.sobol_total_indices(
        product, reducer, acts, 0, n_designs=1024, keep_residual=False
    )
    # m1 * m2, both uniform: the variance is 7/144, and (1/48 + 1/144) of it belongs to either.
    np.testing.assert_allclose(found[0], [4 / 7, 4 / 7], atol=0.03)


def test_importance_defaults_to_total_indices_and_must_fit():
    reducer, acts = fitted()
    curve = quality.deletion_curve(linear_head(), reducer, acts, 1)
    total = quality.sobol_total_indices(linear_head(), reducer, acts, 1).mean(0)
    assert curve.order == tuple(total.argsort(descending=True).tolist())
    with pytest.raises(InvalidArgument, match=r"importance has shape \(2,\), there are 3 groups"):
        quality.deletion_curve(linear_head(), reducer, acts, 1, [1.0, 2.0])


def test_token_layers_keep_their_class_token():
    tokens = torch.rand(1, 17, 8, generator=torch.Generator().manual_seed(0))
    reducer = ChannelReducer(3, layout="tokens").fit(tokens)
    curve = quality.deletion_curve(lambda x: x[:, 0], reducer, tokens, 4, [1.0, 1.0, 1.0])
    torch.testing.assert_close(curve.scores, tokens[:, :1, 4].expand(1, 4))


def test_what_cannot_be_measured_is_refused():
    reducer, acts = fitted()
    head = linear_head()
    with pytest.raises(InvalidArgument, match=r"reconstruction of shape \(2, 8, 4, 1\) cannot be"):
        quality.relative_error(acts, acts[..., :1])
    with pytest.raises(InvalidArgument, match=r"reconstruction of shape \(1, 8, 4, 4\) cannot be"):
        quality.head_faithfulness(head, acts, acts[:1])
    with pytest.raises(InvalidArgument, match="all 3 x 2 activations are zero"):
        quality.svd_floor(torch.zeros(3, 2), 1)
    with pytest.raises(InvalidArgument, match=r"table has shape \(2, 8, 4, 4\), expected \(posit"):
        quality.svd_floor(acts, 1)
    with pytest.raises(InvalidArgument, match="n_components=3 of 2 directions: give 1 to 2"):
        quality.svd_floor(torch.ones(3, 2), 3)
    with pytest.raises(InvalidArgument, match="components with NaN or inf cannot be matched"):
        quality.stability([torch.eye(2), torch.eye(2) * torch.nan])
    for measure in (quality.sobol_total_indices, quality.deletion_curve, quality.insertion_curve):
        with pytest.raises(InvalidArgument, match="target=5 is none of the head's 5 classes"):
            measure(head, reducer, acts, 5)
    with pytest.raises(InvalidArgument, match="n_designs=0 is not a whole number of at least 1"):
        quality.sobol_total_indices(head, reducer, acts, 0, n_designs=0)


def test_arrays_are_measured_like_tensors():
    reducer, acts = fitted()
    made = acts * 0.9
    arrays = acts.numpy(), made.numpy()
    assert quality.relative_error(*arrays) == quality.relative_error(acts, made)
    assert quality.sparsity(arrays[0]) == quality.sparsity(acts)
    assert quality.svd_floor(arrays[0][0, :, 0], 2) == quality.svd_floor(acts[0, :, 0], 2)
    found = quality.sobol_total_indices(linear_head(), reducer, arrays[0], 1)
    assert torch.equal(found, quality.sobol_total_indices(linear_head(), reducer, acts, 1))

"""ChannelReducer as a reducer of activation tensors."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from captum_blocks.errors import BlocksError, InvalidArgument, UnknownName, WrongType
from captum_blocks.layouts import Layout
from captum_blocks.reduce import ChannelReducer, NotFitted


def some_activations(shape=(2, 10, 5, 6), seed=0, dtype=torch.float32):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_maps_keep_layout_kind_and_dtype():
    acts = some_activations(dtype=torch.float64)
    reducer = ChannelReducer(3)
    scores = reducer.fit_transform(acts)
    assert scores.shape == (2, 3, 5, 6)
    assert scores.dtype == torch.float64
    assert reducer.components_.shape == (3, 10)
    assert reducer.inverse_transform(scores).shape == acts.shape


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtype_is_kept(dtype):
    acts = some_activations().to(dtype)
    reducer = ChannelReducer(2).fit(acts)
    assert reducer.transform(acts).dtype == dtype
    assert reducer.components_.dtype == dtype
    assert reducer.inverse_transform(reducer.transform(acts)).dtype == dtype


def test_all_layouts_agree():
    acts = some_activations((1, 10, 5, 5))
    tokens = torch.cat([torch.full((1, 1, 10), 9.0), acts.flatten(2).transpose(1, 2)], 1)
    maps = ChannelReducer(3).fit_transform(acts)
    last = ChannelReducer(3, layout="NHWC").fit_transform(acts.permute(0, 2, 3, 1))
    words = ChannelReducer(3, layout="tokens").fit_transform(tokens)
    array = ChannelReducer(3).fit_transform(acts.numpy())
    assert torch.equal(last.permute(0, 3, 1, 2), maps)
    assert words.shape == (1, 26, 3)
    assert torch.equal(words[:, 1:].transpose(1, 2).reshape(maps.shape), maps)
    assert (words[:, 0] == 0).all()
    assert isinstance(array, np.ndarray)
    np.testing.assert_array_equal(array, maps.numpy())


def test_a_detected_layout_holds_for_scores_and_other_grids():
    acts = some_activations((1, 5, 5, 9))
    reducer = ChannelReducer(5, layout=None)
    scores = reducer.fit_transform(acts)
    assert reducer.layout_ == Layout("NHWC")
    assert scores.shape == (1, 5, 5, 5)
    assert reducer.inverse_transform(scores).shape == acts.shape
    assert reducer.transform(some_activations((1, 5, 9, 9))).shape == (1, 5, 9, 5)


def test_tables_stay_tables():
    table = some_activations((40, 7)).numpy()
    scores = ChannelReducer(3).fit_transform(table)
    assert isinstance(scores, np.ndarray)
    assert scores.shape == (40, 3)


def test_transform_repeats_the_fitted_scores():
    acts = some_activations((1, 12, 8, 8))
    reducer = ChannelReducer(4, max_iter=2000, tol=1e-7)
    scores = reducer.fit_transform(acts)
    torch.testing.assert_close(reducer.transform(acts), scores, rtol=1e-2, atol=2e-3)


def test_known_groups_are_found():
    generator = torch.Generator().manual_seed(1)
    scores = torch.rand(64, 3, generator=generator) * (torch.rand(64, 3, generator=generator) > 0.6)
    components = torch.eye(3).repeat_interleave(4, 1)
    reducer = ChannelReducer(3, max_iter=2000, tol=1e-8).fit(scores @ components)
    found = reducer.components_ / reducer.components_.norm(dim=1, keepdim=True)
    cosines = (found @ components.T / 2).amax(0)
    assert (cosines > 0.999).all()
    assert reducer.explained_share_ == pytest.approx(1.0, abs=1e-5)


def test_the_same_seed_gives_the_same_bits():
    acts = some_activations((1, 12, 8, 8))
    first, second = ChannelReducer(4).fit_transform(acts), ChannelReducer(4).fit_transform(acts)
    assert torch.equal(first, second)


def test_one_image_is_ordered_by_mean_x():
    acts = torch.zeros(1, 6, 4, 9)
    for group, column in enumerate((7, 1, 4)):
        acts[0, 2 * group : 2 * group + 2, :, column - 1 : column + 2] = float(3 - group)
    reducer = ChannelReducer(3)
    scores = reducer.fit_transform(acts)[0]
    columns = torch.arange(9.0)
    centres = (scores.square() * columns).sum((1, 2)) / scores.square().sum((1, 2))
    torch.testing.assert_close(centres, torch.tensor([1.0, 4.0, 7.0]), atol=1e-3, rtol=0)


def test_magnitude_share_and_error_say_what_they_say():
    acts = some_activations((2, 9, 4, 4), dtype=torch.float64)
    reducer = ChannelReducer(3)
    scores = reducer.fit_transform(acts)
    table = scores.permute(0, 2, 3, 1).reshape(-1, 3)
    expected = [
        float(w.norm() * h.norm()) for w, h in zip(table.T, reducer.components_, strict=True)
    ]
    np.testing.assert_allclose(reducer.magnitude_.numpy(), expected)
    residual = acts - reducer.inverse_transform(scores)
    assert reducer.reconstruction_err_ == pytest.approx(float(residual.norm()), rel=1e-9)
    share = 1 - float(residual.square().sum() / acts.square().sum())
    assert reducer.explained_share_ == pytest.approx(share, abs=1e-12)
    assert float(reducer.group_share_.sum()) == pytest.approx(share, abs=1e-12)
    assert reducer.group_share_.diff().le(0).all()


def test_no_warning_reaches_the_user():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ChannelReducer(4, max_iter=2).fit(some_activations())


def test_the_gradient_passes_through_transform():
    acts = some_activations((1, 6, 2, 2), dtype=torch.float64)
    reducer = ChannelReducer(2).fit(acts)
    assert torch.autograd.gradcheck(reducer.transform, acts.clone().requires_grad_())


def refused(data, **parameters):
    with pytest.raises(InvalidArgument) as caught:
        ChannelReducer(**parameters).fit(data)
    return str(caught.value)


def test_bad_activations_are_refused_with_advice():
    acts = some_activations((1, 6, 3, 3))
    assert refused(acts - 0.5, n_components=2).startswith(
        "Negative values in data: algorithm='nmf' needs activations >= 0, the lowest is -0."
    )
    assert refused(acts - 0.5, n_components=2).endswith(
        "take the output after a ReLU, or algorithm='posneg', 'semi_nmf', 'pca' or 'ica', which "
        "take any sign"
    )
    broken = acts.clone()
    broken[0, 4, 0, 2] = torch.nan
    assert refused(broken, n_components=2) == (
        "the activations contain NaN or inf in 1 of 54 entries, first at position 2, channel 4; "
        "find the layer that made them, or mask them out"
    )
    assert refused(torch.zeros(1, 6, 3, 3)) == (
        "all 9 x 6 activations are zero: there is nothing to group; is the layer dead on this "
        "image, or the image blank?"
    )
    assert refused(acts, n_components=7) == (
        "n_components=7 is more than the 6 channels (n_features=6); ask for at most 6"
    )
    assert refused(acts[..., :1, :2], n_components=3) == (
        "n_components=3 is more than the 2 positions (n_samples=2); ask for at most 2"
    )
    assert refused(torch.ones(1, 6, 3, 3), n_components=2) == (
        "n_components=2 is more than the activations have independent directions (rank 1); "
        "ask for at most 1"
    )
    assert refused(acts, n_components=2.5) == (
        "n_components=2.5 is not a whole number of at least 1"
    )
    assert refused(acts[0, 0, 0], n_components=1)
    assert refused(acts[0], n_components=2) == (
        "an output of shape (6, 3, 3) does not have the layout "
        "Layout(kind='NCHW', prefix=0, grid=None)"
    )


def test_unknown_names_are_refused_with_what_is_near():
    with pytest.raises(UnknownName, match=r"algorithm='nfm' is none of nmf.*did you mean 'nmf'"):
        ChannelReducer(algorithm="nfm").fit(some_activations())
    with pytest.raises(UnknownName, match="order='size' is none of auto, position, share, none"):
        ChannelReducer(order="size").fit(some_activations())


def test_transform_needs_a_fit_and_the_same_channels():
    with pytest.raises(NotFitted, match="this ChannelReducer is not fitted yet; call fit"):
        ChannelReducer().transform(some_activations())
    reducer = ChannelReducer(2).fit(some_activations())
    with pytest.raises(InvalidArgument, match="X has 4 features, but ChannelReducer is expecting"):
        reducer.transform(some_activations((1, 4, 3, 3)))
    with pytest.raises(InvalidArgument, match="scores of 5 groups were given to a reducer of 2"):
        reducer.inverse_transform(some_activations((1, 5, 3, 3)))


def test_clusters_need_different_positions():
    acts = some_activations((1, 6, 3, 3))
    acts[..., 1:] = acts[..., :1]
    assert refused(acts, n_components=4, algorithm="kmeans") == (
        "n_components=4 is more than the 3 positions that differ from each other; ask for at most 3"
    )


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(*(st.integers(1, top) for top in (3, 9, 5, 5))),
    st.integers(1, 4),
    st.integers(0, 100),
    st.sampled_from(["none", "silent channel", "twin channels", "constant map", "dark image"]),
)
def test_any_activations_are_grouped_or_refused(shape, groups, seed, oddity):
    acts = some_activations(shape, seed)
    if oddity == "silent channel":
        acts[:, 0] = 0.0
    elif oddity == "twin channels":
        acts[:, -1] = acts[:, 0]
    elif oddity == "constant map":
        acts[:] = acts[:1, :, :1, :1]
    elif oddity == "dark image":
        acts[0] = 0.0
    table = acts.permute(0, 2, 3, 1).reshape(-1, shape[1])
    rank = int(torch.linalg.matrix_rank(table))
    reducer = ChannelReducer(groups, max_iter=20)
    if groups > rank:
        with pytest.raises(InvalidArgument, match="is more than the|are zero"):
            reducer.fit(acts)
        return
    scores = reducer.fit_transform(acts)
    assert scores.shape == (shape[0], groups, *shape[2:])
    assert (scores >= 0).all()
    assert scores.isfinite().all()
    assert 0.0 <= reducer.explained_share_ <= 1.0 + 1e-6
    again = reducer.inverse_transform(reducer.transform(acts))
    assert float((acts - again).norm()) <= reducer.reconstruction_err_ * 1.001 + 1e-5


def test_inference_mode_and_gradients_of_the_input_do_no_harm():
    acts = some_activations((1, 6, 4, 4))
    expected = ChannelReducer(2).fit_transform(acts)
    with torch.inference_mode():
        reducer = ChannelReducer(2).fit(acts.clone())
        assert torch.equal(
            reducer.transform(acts.clone()), ChannelReducer(2).fit(acts).transform(acts)
        )
    found = ChannelReducer(2).fit_transform(acts.clone().requires_grad_())
    assert torch.equal(found, expected)
    assert not found.requires_grad


@pytest.mark.parametrize("solver", ["cd", "hals"])
@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"tol": -1}, "tol=-1 is not a number of at least 0"),
        ({"tol": float("nan")}, "tol=nan is not a number of at least 0"),
        ({"l1_ratio": 2.0}, "l1_ratio=2.0 is not a number from 0 to 1"),
        ({"alpha_W": -1.0}, "alpha_W=-1.0 is not a number of at least 0"),
        ({"alpha_H": float("inf")}, "alpha_H=inf is not a number of at least 0"),
        ({"alpha_H": "some"}, "alpha_H='some' is none of same"),
        ({"random_state": -1}, "random_state=-1 is no seed: give a whole number from 0"),
        ({"random_state": "x"}, "random_state='x' is no seed: give a whole number from 0"),
        ({"algorithm": None}, "algorithm=None is neither the name of an algorithm nor"),
        ({"algorithm": ChannelReducer}, "reducer.ChannelReducer'> is neither the name of an"),
    ],
    ids=str,
)
def test_parameters_no_algorithm_takes_are_refused(parameters, said, solver):
    with pytest.raises(BlocksError) as caught:
        ChannelReducer(2, solver=solver).set_params(**parameters).fit(some_activations())
    assert said in str(caught.value)


def test_what_is_no_tensor_is_refused_with_advice():
    acts = some_activations()
    reducer = ChannelReducer(2).fit(acts)
    for work in (reducer.fit, reducer.transform):
        with pytest.raises(WrongType, match="a list of 2 items was given where one tensor is nee"):
            work([acts, acts])
        with pytest.raises(WrongType, match="activations must be a tensor or an array, not None"):
            work(None)
        with pytest.raises(WrongType, match="sparse_coo tensor; give activations.to_dense"):
            work(torch.eye(10).to_sparse())


@pytest.mark.parametrize("algorithm", ["pca", "ica"])
def test_what_varies_nowhere_has_no_components_about_its_mean(algorithm):
    assert refused(torch.ones(1, 6, 3, 3), n_components=1, algorithm=algorithm) == (
        "all positions (n_samples=9) have the same activations: about their mean nothing is left "
        "to group; take 'nmf', or more images"
    )


def test_independent_components_need_directions_about_the_mean():
    acts = torch.ones(1, 6, 3, 3)
    acts[:, 0] += some_activations((1, 3, 3))
    assert "have independent directions (rank 1)" in refused(acts, n_components=2, algorithm="ica")

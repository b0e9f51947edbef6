"""Algorithms for signed activations, and foreign estimators."""

import re

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.decomposition import NMF, PCA, FactorAnalysis, FastICA, SparsePCA, TruncatedSVD
from sklearn.manifold import MDS

from captum_blocks.errors import InvalidArgument
from captum_blocks.reduce import ALGORITHMS, ChannelReducer
from captum_blocks.reduce.decompositions import difference, halves
from captum_blocks.reduce.quality import relative_error, svd_floor

SIGNED = ["semi_nmf", "posneg", "pca", "ica", "kmeans", "dictionary"]


def signed(shape=(1, 8, 6, 6), seed=0):
    generator = torch.Generator().manual_seed(seed)
    parts = torch.randn(3, shape[1], generator=generator, dtype=torch.float64)
    weights = torch.rand(shape[0], 3, *shape[2:], generator=generator, dtype=torch.float64)
    return torch.einsum("bkyx,kc->bcyx", weights, parts)


def test_all_algorithms_are_registered():
    assert sorted(ALGORITHMS) == sorted(["nmf", *SIGNED])


@pytest.mark.parametrize("algorithm", SIGNED)
def test_signed_maps_go_through_and_come_back(algorithm):
    acts = signed()
    reducer = ChannelReducer(3, algorithm, alpha_W=0.1 if algorithm == "dictionary" else 0.0)
    scores = reducer.fit_transform(acts)
    made = reducer.inverse_transform(scores)
    assert scores.shape == (1, 3, 6, 6)
    assert made.shape == acts.shape
    assert scores.dtype == made.dtype == torch.float64
    assert reducer.reconstruction_err_ == pytest.approx(float((acts - made).norm()), abs=1e-6)
    torch.testing.assert_close(reducer.transform(acts), scores, atol=1e-3, rtol=1e-3)
    assert torch.equal(ChannelReducer(**reducer.get_params()).fit_transform(acts), scores)


@pytest.mark.parametrize("algorithm", ["semi_nmf", "pca", "ica"])
def test_enough_groups_explain_everything(algorithm):
    reducer = ChannelReducer(3, algorithm, max_iter=1000, tol=1e-7).fit(signed())
    assert reducer.explained_share_ > 0.98


def test_pca_reaches_the_floor_about_the_mean():
    acts = signed()
    reducer = ChannelReducer(2, "pca")
    made = reducer.inverse_transform(reducer.fit_transform(acts))
    centre = acts.mean((0, 2, 3), keepdim=True)
    flat = (acts - centre).permute(0, 2, 3, 1).reshape(-1, 8)
    assert relative_error(acts - centre, made - centre) == pytest.approx(svd_floor(flat, 2))
    torch.testing.assert_close(reducer.offset_, centre[0, :, 0, 0])
    assert 1 - reducer.explained_share_ == pytest.approx(svd_floor(flat, 2) ** 2)


def test_posneg_components_are_differences_of_halves():
    acts = signed()
    table = acts.permute(0, 2, 3, 1).reshape(-1, 8)
    reducer = ChannelReducer(3, "posneg", order="none")
    scores = reducer.fit_transform(acts)
    model = NMF(3, init="nndsvd", random_state=0)
    w = model.fit_transform(np.maximum(np.hstack([table, -table]), 0))
    np.testing.assert_allclose(scores[0].flatten(1).T, w, atol=1e-9)
    expected = model.components_[:, :8] - model.components_[:, 8:]
    np.testing.assert_allclose(reducer.components_, expected, atol=1e-9)


def test_halves_and_their_difference_are_inverse():
    table = signed().permute(0, 2, 3, 1).reshape(-1, 8)
    assert (halves(table) >= 0).all()
    assert torch.equal(difference(halves(table)), table)


def test_kmeans_puts_every_position_in_its_nearest_group():
    acts = signed()
    reducer = ChannelReducer(4, "kmeans")
    scores = reducer.fit_transform(acts)[0].flatten(1)
    assert torch.equal(scores.sum(0), torch.ones(36, dtype=torch.float64))
    for position, row in enumerate(acts[0].flatten(1).T):
        distances = [float((row - centre).norm()) for centre in reducer.components_]
        assert scores[:, position].argmax() == int(np.argmin(distances))


@pytest.mark.parametrize(
    "estimator",
    [
        PCA(3, whiten=True),
        FastICA(3, random_state=0),
        TruncatedSVD(3),
        FactorAnalysis(3, random_state=0),
        SparsePCA(3, random_state=0),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_foreign_estimators_reconstruct(estimator):
    acts = signed()
    reducer = ChannelReducer(algorithm=estimator)
    scores = reducer.fit_transform(acts)
    assert scores.shape == (1, 3, 6, 6)
    assert reducer.components_.shape == (3, 8)
    assert relative_error(acts, reducer.inverse_transform(scores)) < 0.2
    assert not hasattr(estimator, "components_"), "the caller's estimator is left unfitted"


def test_a_foreign_nmf_needs_non_negative_activations():
    with pytest.raises(InvalidArgument, match="Negative values in data: algorithm='NMF"):
        ChannelReducer(algorithm=NMF(2)).fit(signed())


def test_an_estimator_without_components_is_refused():
    with pytest.raises(InvalidArgument, match="MDS has no transform: a reducer must score new"):
        ChannelReducer(algorithm=MDS(2)).fit(signed())


def test_posneg_penalises_new_scores_as_it_did_the_fitted_ones():
    acts = signed()
    reducer = ChannelReducer(3, "posneg", alpha_W=0.01, alpha_H=0.0, max_iter=2000, tol=1e-8)
    torch.testing.assert_close(
        reducer.fit_transform(acts), reducer.transform(acts), atol=1e-3, rtol=1e-3
    )


@pytest.mark.parametrize("algorithm", ["semi_nmf", "pca", "ica", "kmeans", PCA(2)], ids=str)
@pytest.mark.parametrize(
    ("name", "given", "default", "readers"),
    [
        ("alpha_W", 0.1, "0.0", "'nmf', 'posneg', 'dictionary'"),
        ("alpha_H", 0.1, "'same'", "'nmf', 'posneg'"),
        ("l1_ratio", 0.5, "0.0", "'nmf', 'posneg'"),
        ("init", "random", "'nndsvd'", "'nmf', 'posneg'"),
        ("solver", "hals", "'auto'", "'nmf', 'posneg'"),
    ],
)
def test_parameters_that_would_do_nothing_are_refused(algorithm, name, given, default, readers):
    reducer = ChannelReducer(2, algorithm, **{name: given})
    title = repr(algorithm)
    if not isinstance(algorithm, str):
        title += ", whose own parameters decide"
    said = (
        f"{name}={given!r} does nothing with algorithm={title}; leave it at {default}, or take an "
        f"algorithm that reads it: {readers}"
    )
    with pytest.raises(InvalidArgument, match=f"^{re.escape(said)}$"):
        reducer.fit(signed())
    assert not hasattr(reducer, "components_")


def test_parameters_that_ask_for_nothing_are_not():
    nothing = {"alpha_W": 0, "alpha_H": 0, "l1_ratio": 0, "init": None, "solver": "auto"}
    acts = signed()
    plain = ChannelReducer(2, "pca").fit(acts)
    assert torch.equal(ChannelReducer(2, "pca", **nothing).fit(acts).components_, plain.components_)


def test_regularization_of_components_means_nothing_to_a_dictionary():
    with pytest.raises(InvalidArgument, match=r"^alpha_H=0.1 does nothing with algorithm='dicti"):
        ChannelReducer(2, "dictionary", alpha_W=0.1, alpha_H=0.1).fit(signed())


FOREIGN = [NMF(3, random_state=0, max_iter=2000, tol=1e-8), TruncatedSVD(3), PCA(3), SparsePCA(3)]


@pytest.mark.parametrize("estimator", FOREIGN, ids=lambda estimator: type(estimator).__name__)
@pytest.mark.parametrize("fitted", [torch.float32, torch.float64])
def test_a_foreign_estimator_takes_numbers_of_another_type(estimator, fitted):
    """Its own transform of the rows as it was fitted on them, in the order of the components."""
    acts = signed().abs()
    other = torch.float64 if fitted == torch.float32 else torch.float32
    reducer = ChannelReducer(algorithm=estimator)
    found = reducer.fit_transform(acts.to(fitted))
    again = reducer.transform(acts.to(other))
    assert again.dtype == reducer.inverse_transform(again).dtype == other
    table = acts.to(fitted).movedim(1, -1).reshape(-1, 8).numpy()
    own = clone(estimator).fit(table).transform(table)
    columns = sorted(own.T.tolist())
    assert np.allclose(sorted(again.movedim(1, -1).reshape(-1, 3).T.tolist()), columns, atol=1e-4)
    torch.testing.assert_close(again.to(fitted), found, atol=5e-3, rtol=1e-2)


class Failing(PCA):
    """Raises what no caller could expect."""

    def __init__(self, n_components=2, at="fit"):
        super().__init__(n_components)
        self.at = at

    def fit_transform(self, X, y=None):
        if self.at == "fit":
            raise ZeroDivisionError("of its own")
        return super().fit_transform(X)

    def transform(self, X):
        raise TypeError("H should have the same dtype as X.\nGot something else")


def test_errors_of_a_foreign_estimator_are_ours():
    with pytest.raises(InvalidArgument, match="cannot be fitted to these .*: of its own;") as e:
        ChannelReducer(algorithm=Failing()).fit(signed())
    assert isinstance(e.value.__cause__, ZeroDivisionError)
    reducer = ChannelReducer(algorithm=Failing(at="transform")).fit(signed())
    with pytest.raises(InvalidArgument, match="cannot transform .*: H should have the same") as e:
        reducer.transform(signed())
    assert isinstance(e.value.__cause__, TypeError)

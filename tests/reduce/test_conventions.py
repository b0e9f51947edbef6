"""ChannelReducer as a scikit-learn estimator."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.decomposition import NMF, PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.estimator_checks import check_estimator

from captum_blocks.layouts import Layout
from captum_blocks.reduce import BatchesUnsupported, ChannelReducer, NotFitted


def table(seed=0):
    return np.random.default_rng(seed).random((30, 8))


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"solver": "hals"},
        {"algorithm": "semi_nmf"},
        {"algorithm": "pca"},
        {"algorithm": "kmeans"},
        {"algorithm": "posneg"},
        {"algorithm": "ica"},
        {"algorithm": "dictionary", "max_iter": 20},
        {"algorithm": PCA(1)},
        {"algorithm": NMF(1)},
    ],
    ids=str,
)
def test_scikit_learn_finds_nothing_to_complain_about(parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(ChannelReducer(2, **parameters), on_fail=None)
    failed = [(r["check_name"], r["exception"]) for r in results if r["status"] == "failed"]
    assert failed == []
    assert len(results) > 40


def test_clone_copies_the_parameters_and_not_the_fit():
    reducer = ChannelReducer(3, "semi_nmf", layout=Layout("tokens", 1, (2, 3)), tol=1e-3)
    copy = clone(reducer.fit(table()))
    assert copy.get_params() == reducer.get_params()
    with pytest.raises(NotFittedError):
        copy.transform(table())


def test_a_foreign_estimator_is_a_parameter_like_any_other():
    reducer = ChannelReducer(algorithm=PCA(2))
    assert reducer.get_params()["algorithm__n_components"] == 2
    reducer.set_params(algorithm__n_components=3)
    assert reducer.fit_transform(table()).shape == (30, 3)


def test_pickle_keeps_the_fit():
    acts = torch.rand(1, 6, 4, 4, generator=torch.Generator().manual_seed(0))
    reducer = ChannelReducer(3).fit(acts)
    again = pickle.loads(pickle.dumps(reducer))
    assert torch.equal(again.transform(acts), reducer.transform(acts))


def test_names_and_data_frames_come_out():
    reducer = ChannelReducer(2).set_output(transform="pandas")
    frame = reducer.fit_transform(pd.DataFrame(table(), columns=list("abcdefgh")))
    assert list(frame.columns) == ["group0", "group1"]
    assert list(reducer.feature_names_in_) == list("abcdefgh")
    assert list(reducer.get_feature_names_out()) == ["group0", "group1"]


def test_tensors_stay_tensors_whatever_output_is_set():
    acts = torch.rand(1, 6, 4, 4, generator=torch.Generator().manual_seed(0))
    reducer = ChannelReducer(2).set_output(transform="pandas")
    assert isinstance(reducer.fit_transform(acts), torch.Tensor)
    assert reducer.transform(acts).shape == (1, 2, 4, 4)


def test_it_works_in_a_pipeline():
    pipeline = make_pipeline(MinMaxScaler(), ChannelReducer(2))
    assert pipeline.fit_transform(table()).shape == (30, 2)


def test_not_fitted_is_an_error_of_both_families():
    assert issubclass(NotFitted, NotFittedError)


def test_batches_are_only_offered_where_they_work():
    assert hasattr(ChannelReducer(), "partial_fit")
    assert not hasattr(ChannelReducer(algorithm="pca"), "partial_fit")
    with pytest.raises(
        BatchesUnsupported, match=r"algorithm='pca' of='activation' needs all data at"
    ):
        ChannelReducer(2, "pca").fit_loader([table()])

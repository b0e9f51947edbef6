"""Choosing the number of groups."""

import pytest
import torch
from matplotlib.figure import Figure

from captum_blocks.errors import InvalidArgument
from captum_blocks.reduce import ChannelReducer, Choice, choose_n_components, quality


def four_groups():
    generator = torch.Generator().manual_seed(0)
    components = torch.eye(4).repeat_interleave(4, 1)
    scores = torch.rand(2, 4, 6, 6, generator=generator)
    scores = scores * (torch.rand(scores.shape, generator=generator) > 0.5)
    noise = 0.02 * torch.rand(2, 16, 6, 6, generator=generator)
    return torch.einsum("bkyx,kc->bcyx", scores, components) + noise


def head(acts):
    return acts.mean((2, 3))[:, :5]


def test_the_true_number_is_recommended():
    choice = choose_n_components(four_groups(), range(2, 8), head=head, n_seeds=2)
    assert choice.recommended == 4
    assert choice.n_components == (2, 3, 4, 5, 6, 7)
    assert choice.stability[2] > 0.99
    pairs = zip(choice.relative_error, choice.svd_floor, strict=True)
    assert all(error >= floor - 1e-5 for error, floor in pairs)


def test_the_numbers_are_those_of_the_measures():
    acts = four_groups()
    choice = choose_n_components(acts, [3], head=head, n_seeds=2, tol=1e-3)
    reducer = ChannelReducer(3, tol=1e-3)
    scores = reducer.fit_transform(acts)
    made = reducer.inverse_transform(scores)
    assert choice.relative_error == (quality.relative_error(acts, made),)
    assert choice.sparsity == (quality.sparsity(scores),)
    says = quality.head_faithfulness(head, acts, made)
    assert (choice.top1_agreement, choice.logit_r2) == ((says.top1_agreement,), (says.logit_r2,))
    fits = [ChannelReducer(3, tol=1e-3, init="random", random_state=s).fit(acts) for s in (0, 1)]
    assert choice.stability == (quality.stability([fit.components_ for fit in fits]),)
    assert choice.recommended == 3


def test_unstable_numbers_are_not_recommended():
    straight = (0.5, 0.3, 0.1)
    choice = Choice((2, 3, 4), (0.5, 0.2, 0.1), straight, straight, (0.9, 0.2, 0.9))
    assert choice.recommended in (2, 4)
    choice = Choice((2, 3, 4), (0.5, 0.2, 0.1), straight, straight, (0.1, 0.2, 0.1))
    assert choice.recommended == 3


def test_the_plot_has_a_line_per_measure():
    line = (0.5, 0.3, 0.1)
    ax = Choice((2, 3, 4), line, line, line, line).plot(Figure().subplots())
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == [
        "relative error",
        "least possible error (SVD)",
        "stability over seeds",
        "zero scores",
    ]
    ax = Choice((2, 3, 4), line, line, line, line, line, line).plot(ax)
    assert "same top class" in [text.get_text() for text in ax.get_legend().get_texts()]
    assert list(ax.get_xticks()) == [2, 3, 4]


def test_bad_candidates_are_refused_before_any_fit():
    acts = four_groups()
    with pytest.raises(InvalidArgument, match="there are no candidates: give numbers of groups"):
        choose_n_components(acts, [])
    with pytest.raises(InvalidArgument, match="n_components=17 is more than the 16 channels"):
        choose_n_components(acts, [2, 17])
    with pytest.raises(InvalidArgument, match="n_components=0 is not a whole number of at least 1"):
        choose_n_components(acts, [0, 2])
    with pytest.raises(
        InvalidArgument, match="n_components='4' is not a whole number of at least 1"
    ):
        choose_n_components(acts, ["4", 2])
    with pytest.raises(InvalidArgument, match="Negative values in data: algorithm='nmf' needs"):
        choose_n_components(acts - 1, [2])
    with pytest.raises(InvalidArgument, match="the activations contain NaN or inf in 1152 of"):
        choose_n_components(acts * torch.nan, [2])
    with pytest.raises(InvalidArgument, match=r"independent directions \(rank 1\); ask for at mos"):
        choose_n_components(acts[:, :1].expand(2, 16, 6, 6), [1, 2])
    with pytest.raises(InvalidArgument, match="n_seeds=1: stability compares at least 2 seeds"):
        choose_n_components(acts, [2], n_seeds=1)


def test_arrays_and_a_single_number_are_taken():
    acts = four_groups()
    from_array = choose_n_components(acts.numpy(), 3, head=head, n_seeds=2)
    assert from_array == choose_n_components(acts, [3], head=head, n_seeds=2)


def test_the_bar_can_be_left_out(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    acts = torch.rand(1, 6, 5, 5, generator=torch.Generator().manual_seed(0))
    choose_n_components(acts, (2,), n_seeds=2, progress=False)
    assert capsys.readouterr().err == ""
    choose_n_components(acts, (2,), n_seeds=2)
    assert "groups: 100%" in capsys.readouterr().err

"""What groups preserve: activations, gradients, attributions, and an upper layer's groups."""

import numpy as np
import pytest
import torch

from captum_blocks.errors import InvalidArgument, UnknownName, WrongType
from captum_blocks.reduce import ChannelReducer
from captum_blocks.reduce.goals import build, weights_of
from tests.reference.reduce_formulas import compatible_copies


def scene(seed=0, shape=(2, 10, 5, 5)):
    generator = torch.Generator().manual_seed(seed)
    acts = torch.rand(shape, generator=generator, dtype=torch.float64)
    gradients = torch.randn(shape, generator=generator, dtype=torch.float64)
    return acts, gradients, acts * gradients


def test_weights_are_read_from_words_and_mappings():
    assert weights_of("gradient") == {"gradient": 1.0}
    assert weights_of({"attribution": 2, "activation": 1, "gradient": 0}) == {
        "activation": 1.0,
        "attribution": 2.0,
    }
    with pytest.raises(UnknownName, match=r"of='gradients' is none of .*did you mean 'gradient'"):
        weights_of("gradients")
    with pytest.raises(
        InvalidArgument, match="the weight of 'gradient'=-1 is not a number of at least 0"
    ):
        weights_of({"gradient": -1})
    with pytest.raises(InvalidArgument, match="the weight of 'gradient'='a' is not a number"):
        weights_of({"gradient": "a"})
    with pytest.raises(WrongType, match="of=3 is neither the name of a goal nor a mapping of"):
        weights_of(3)
    with pytest.raises(InvalidArgument, match="gives no goal a weight above 0"):
        weights_of({"gradient": 0})


def test_blocks_weigh_what_they_should_in_the_squared_error():
    acts, _, attr = (x.permute(0, 2, 3, 1).reshape(-1, 10) for x in scene())
    weights = {"activation": 1.0, "attribution": 3.0}
    problem = build(weights, {"activation": acts, "attribution": attr}, [], True)
    assert problem.table.shape == (50, 30)
    assert float(problem.table[:, :10].square().sum()) == pytest.approx(1.0)
    assert float(problem.table[:, 10:].square().sum()) == pytest.approx(3.0)
    read = problem.goal_components(problem.table)
    torch.testing.assert_close(read["activation"], acts)
    torch.testing.assert_close(read["attribution"], attr)


def test_a_balance_explains_every_goal_better_than_the_others_goals_do():
    acts, gradients, attr = scene()
    both = {"gradients": gradients, "attributions": attr}
    parts = {"gradient": {"gradients": gradients}, "attribution": {"attributions": attr}}
    for goal, given in parts.items():
        own = ChannelReducer(4, of=goal).fit(acts, **given).goal_share_[goal]
        of = {"activation": 1, "gradient": 1, "attribution": 1}
        shared = ChannelReducer(4, of=of).fit(acts, **both).goal_share_
        assert set(shared) == set(of)
        assert 0 < shared[goal] < own


def test_groups_of_attributions_are_directions_of_activations():
    acts, _, attr = scene()
    reducer = ChannelReducer(3, of="attribution").fit(acts, attributions=attr)
    assert reducer.components_.shape == (3, 10)
    assert (reducer.components_ >= 0).all()
    assert reducer.goal_components_["attribution"].shape == (3, 10)
    assert (reducer.goal_components_["attribution"] < 0).any()
    scores = ChannelReducer(3, of="attribution").fit_transform(acts, attributions=attr)
    torch.testing.assert_close(reducer.transform(acts), scores)


def test_attribution_groups_separate_what_activations_alone_cannot():
    acts = torch.ones(1, 4, 2, 4, dtype=torch.float64)
    acts[:, 2:, :, 2:] = 1.5
    attr = torch.zeros_like(acts)
    attr[:, :2, :, :2] = 1.0
    attr[:, 2:, :, 2:] = -1.0
    reducer = ChannelReducer(2, of="attribution").fit(acts, attributions=attr)
    assert reducer.goal_share_["attribution"] == pytest.approx(1.0, abs=1e-6)
    signs = reducer.goal_components_["attribution"].sum(1).sign().tolist()
    assert sorted(signs) == [-1.0, 1.0]


def test_semi_nmf_takes_signed_activations_with_goals():
    acts, gradients, _ = scene()
    reducer = ChannelReducer(3, "semi_nmf", of={"activation": 1, "gradient": 1})
    reducer.fit(acts - 0.5, gradients=gradients)
    assert (reducer.components_ < 0).any()
    assert set(reducer.goal_share_) == {"activation", "gradient"}
    of_gradients = ChannelReducer(3, "semi_nmf", of="gradient").fit(acts - 0.5, gradients=gradients)
    assert (of_gradients.components_ < 0).any()


def upper_attributions(acts):
    """Channels 0-4 matter to the first upper group only, 5-9 to the second only."""
    upper = torch.zeros(len(acts), 2, *acts.shape[1:], dtype=acts.dtype)
    upper[:, 0, :5] = acts[:, :5]
    upper[:, 1, 5:] = -acts[:, 5:]
    return upper


def test_copies_are_split_in_proportion_to_attribution():
    acts, gradients, _ = (x.permute(0, 2, 3, 1).reshape(-1, 10) for x in scene())
    upper = [gradients, gradients.flip(0), gradients.flip(1)]
    upper[0][0], upper[1][0], upper[2][0] = 0.0, 0.0, 0.0
    problem = build({"activation": 1.0}, {"activation": acts}, upper, True)
    scale = problem.blocks[0].scale
    for position, row in enumerate(acts.numpy()):
        expected = compatible_copies(row, [part[position].numpy() for part in upper])
        np.testing.assert_allclose(problem.table[position] / scale, expected.reshape(-1))
    torch.testing.assert_close(problem.goal_components(problem.table)["activation"], acts)


def test_compatible_groups_belong_to_one_upper_group():
    acts = torch.ones(1, 6, 4, 4, dtype=torch.float64)
    upper = torch.zeros(1, 2, 6, 4, 4, dtype=torch.float64)
    upper[:, 0, :, :, :2], upper[:, 1, :, :, 2:] = 1.0, -1.0
    with pytest.raises(InvalidArgument, match=r"have independent directions \(rank 1\)"):
        ChannelReducer(2).fit(acts)
    reducer = ChannelReducer(2).fit(acts, upper=upper)
    torch.testing.assert_close(
        reducer.composition_.sort(0)[0], torch.tensor([[0.0, 0.0], [1.0, 1.0]]).double()
    )
    assert ChannelReducer(2).fit(scene()[0]).composition_ is None


def test_compatible_groups_still_reconstruct():
    acts = scene()[0]
    reducer = ChannelReducer(4).fit(acts, upper=upper_attributions(acts))
    torch.testing.assert_close(reducer.composition_.sum(1), torch.ones(4, dtype=torch.float64))
    made = reducer.inverse_transform(reducer.transform(acts))
    assert reducer.goal_share_["activation"] == pytest.approx(reducer.explained_share_, abs=0.02)
    free = ChannelReducer(4, tol=1e-6, max_iter=2000).fit(acts).reconstruction_err_
    assert free * 0.999 < float((made - acts).norm()) < free * 1.1


def test_alignment_and_goals_combine_and_orders_agree():
    acts, _, attr = scene()
    reducer = ChannelReducer(3, of="attribution", order="share")
    reducer.fit(acts, attributions=attr, upper=upper_attributions(acts))
    assert reducer.composition_.shape == (3, 2)
    assert reducer.group_share_.diff().le(0).all()


@pytest.mark.parametrize("layout", ["NHWC", "tokens"])
def test_goals_follow_the_layout(layout):
    acts, _, attr = scene(shape=(2, 10, 5, 5))
    expected = ChannelReducer(3, of="attribution").fit(
        acts, attributions=attr, upper=upper_attributions(acts)
    )

    def turned(x):
        x = x.movedim(-3, -1)
        return x if layout == "NHWC" else x.flatten(-3, -2)

    found = ChannelReducer(3, of="attribution", layout=layout).fit(
        turned(acts), attributions=turned(attr), upper=turned(upper_attributions(acts))
    )
    torch.testing.assert_close(found.components_, expected.components_)


def test_goals_and_what_is_given_must_agree():
    acts, gradients, attr = scene()
    with pytest.raises(
        InvalidArgument, match="of names 'attribution': fit needs attributions=, sha"
    ):
        ChannelReducer(3, of="attribution").fit(acts)
    with pytest.raises(InvalidArgument, match="gradients were given, but of gives them no weight"):
        ChannelReducer(3).fit(acts, gradients=gradients)
    with pytest.raises(InvalidArgument, match="algorithm='pca' factorizes plain activations only"):
        ChannelReducer(3, "pca", of="attribution").fit(acts, attributions=attr)
    with pytest.raises(
        InvalidArgument, match=r"attributions has 9 channels at \(2, 5, 5\) positions"
    ):
        ChannelReducer(3, of="attribution").fit(acts, attributions=attr[:, :9])
    with pytest.raises(
        InvalidArgument, match=r"upper has shape \(2, 2, 10, 4, 5\), expected \(2, u"
    ):
        ChannelReducer(3).fit(acts, upper=upper_attributions(acts)[..., :4, :])
    with pytest.raises(InvalidArgument, match="upper has shape \\(2, 10, 5, 5\\), expected"):
        ChannelReducer(3).fit(acts, upper=acts)


def test_broken_gradients_are_called_by_their_name():
    acts, gradients, _ = scene()
    gradients[0, 3, 0, 1] = torch.inf
    with pytest.raises(
        InvalidArgument, match="gradients contain NaN or inf in 1 of 500 entries, fir"
    ):
        ChannelReducer(3, of="gradient").fit(acts, gradients=gradients)


@pytest.mark.parametrize("of", ["attribution", {"activation": 1, "attribution": 1}], ids=str)
def test_silent_attributions_are_refused_by_name(of):
    acts, _, attr = scene()
    with pytest.raises(InvalidArgument, match="all 50 x 10 attributions are zero: there is nothi"):
        ChannelReducer(3, of=of).fit(acts, attributions=attr * 0)


def test_upper_attributions_in_a_list_are_refused():
    acts, _, attr = scene()
    with pytest.raises(WrongType, match="a list of 2 items was given where one tensor is needed"):
        ChannelReducer(3).fit(acts, upper=[attr, attr])

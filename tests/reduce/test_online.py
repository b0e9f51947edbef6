"""NMF batch by batch."""

import pytest
import torch

from captum_blocks.errors import InvalidArgument, WrongType
from captum_blocks.reduce import ChannelReducer


def photographs(count=40, seed=0):
    generator = torch.Generator().manual_seed(seed)
    components = torch.rand(4, 16, generator=generator) * (
        torch.rand(4, 16, generator=generator) > 0.5
    )
    shape = (count, 4, 5, 5)
    scores = torch.rand(shape, generator=generator) * (torch.rand(shape, generator=generator) > 0.5)
    return torch.einsum("bkyx,kc->bcyx", scores, components) + 0.02 * torch.rand(
        count, 16, 5, 5, generator=generator
    )


def test_batches_come_close_to_all_at_once():
    acts = photographs()
    whole = ChannelReducer(4, solver="hals").fit(acts)
    streamed = ChannelReducer(4).fit_loader(acts.split(8), n_epochs=3)
    made = streamed.inverse_transform(streamed.transform(acts))
    assert float((made - acts).norm()) < 1.05 * whole.reconstruction_err_
    assert streamed.explained_share_ == pytest.approx(whole.explained_share_, abs=0.02)
    assert streamed.group_share_.diff().le(0).all()


def test_the_numbers_speak_of_all_batches():
    acts = photographs()
    reducer = ChannelReducer(4).fit_loader(acts.split(8), n_epochs=4)
    scores = reducer.transform(acts)
    table = scores.permute(0, 2, 3, 1).reshape(-1, 4)
    strength = table.norm(dim=0) * reducer.components_.norm(dim=1)
    torch.testing.assert_close(reducer.magnitude_, strength, rtol=0.05, atol=0.0)
    left = float((reducer.inverse_transform(scores) - acts).norm())
    assert reducer.reconstruction_err_ == pytest.approx(left, rel=0.05)


def test_groups_keep_their_places_from_batch_to_batch():
    first, second = photographs().split(20)
    reducer = ChannelReducer(4).partial_fit(first)
    before = reducer.components_
    after = reducer.partial_fit(second).components_
    cosines = torch.nn.functional.cosine_similarity(before, after)
    assert (cosines > 0.9).all()


def test_more_epochs_explain_more():
    # The groups start from a first batch that shows something else.
    batches = [photographs(2, seed=7), *photographs().split(4)]
    shares = [ChannelReducer(4).fit_loader(batches, n_epochs=n).explained_share_ for n in (1, 3)]
    assert shares[1] > shares[0] + 0.01


def test_fit_forgets_the_batches():
    acts = photographs()
    reducer = ChannelReducer(4).partial_fit(acts)
    assert torch.equal(reducer.fit(acts).components_, ChannelReducer(4).fit(acts).components_)
    again = reducer.partial_fit(acts).components_
    assert torch.equal(again, ChannelReducer(4).partial_fit(acts).components_)


@pytest.mark.parametrize("n_epochs", [0, 2])
def test_a_saved_reducer_continues_as_if_it_had_never_stopped(n_epochs, tmp_path):
    batches = photographs().split(10)

    def begun():
        reducer = ChannelReducer(4, random_state=3)
        if n_epochs:
            return reducer.fit_loader(batches[:2], n_epochs)
        return reducer.partial_fit(batches[0]).partial_fit(batches[1])

    straight = begun()
    begun().save(tmp_path / "groups.npz")
    loaded = ChannelReducer.load(tmp_path / "groups.npz")
    for batch in batches[2:]:
        straight.partial_fit(batch)
        loaded.partial_fit(batch)
    assert torch.equal(loaded.components_, straight.components_)
    assert torch.equal(loaded.magnitude_, straight.magnitude_)
    assert torch.equal(loaded.group_share_, straight.group_share_)
    assert loaded.reconstruction_err_ == straight.reconstruction_err_
    assert loaded._online.n_rows == 1000


def test_a_reducer_that_was_fitted_and_loaded_begins_anew(tmp_path):
    acts = photographs()
    ChannelReducer(4).fit(acts).save(tmp_path / "groups.npz")
    again = ChannelReducer.load(tmp_path / "groups.npz").partial_fit(acts[:9])
    assert torch.equal(again.components_, ChannelReducer(4).partial_fit(acts[:9]).components_)


def test_another_number_of_groups_between_batches_is_refused():
    acts = photographs()
    reducer = ChannelReducer(3).partial_fit(acts)
    before = reducer.components_
    with pytest.raises(
        InvalidArgument,
        match="^n_components=4, but the batches so far have made 3 groups: set it back to 3 to "
        "continue, or begin anew with fit_loader or a clone$",
    ):
        reducer.set_params(n_components=4).partial_fit(acts)
    assert torch.equal(reducer.components_, before)
    assert reducer.set_params(n_components=3).partial_fit(acts).components_.shape == (3, 16)
    assert reducer.set_params(n_components=4).fit_loader([acts]).components_.shape == (4, 16)


def test_batches_of_another_precision_are_joined_to_the_sums():
    acts = photographs()
    mixed = ChannelReducer(4).partial_fit(acts[:20]).partial_fit(acts[20:].double())
    plain = ChannelReducer(4).partial_fit(acts[:20]).partial_fit(acts[20:])
    assert mixed.components_.dtype == torch.float64
    torch.testing.assert_close(mixed.components_.float(), plain.components_, rtol=1e-3, atol=1e-4)


def test_a_batch_where_a_group_is_silent_leaves_it_alone():
    acts = photographs()
    reducer = ChannelReducer(4).partial_fit(acts)
    reducer.partial_fit(torch.zeros(2, 16, 5, 5))
    assert reducer.components_.isfinite().all()


def test_bad_loaders_and_batches_are_refused():
    batches = photographs().split(8)
    with pytest.raises(
        InvalidArgument, match="the loader is empty: there is no batch to learn from"
    ):
        ChannelReducer(4).fit_loader([])
    with pytest.raises(InvalidArgument, match="the loader is empty"):
        ChannelReducer(4).fit_loader(iter([]))
    with pytest.raises(WrongType, match="the loader is None: give batches of activations"):
        ChannelReducer(4).fit_loader(None)
    with pytest.raises(WrongType, match="a tuple of 2 items was given where one tensor is needed"):
        ChannelReducer(4).fit_loader([(batches[0], torch.zeros(8))])
    with pytest.raises(InvalidArgument, match="n_epochs=2 needs a loader that can be gone through"):
        ChannelReducer(4).fit_loader(iter(batches), n_epochs=2)
    with pytest.raises(InvalidArgument, match="n_epochs=0 is not a whole number of at least 1"):
        ChannelReducer(4).fit_loader(batches, n_epochs=0)
    with pytest.raises(
        InvalidArgument, match="X has 15 features, but ChannelReducer is expecting 16"
    ):
        ChannelReducer(4).fit_loader([batches[0], batches[1][:, :15]])
    with pytest.raises(InvalidArgument, match="Negative values in data"):
        ChannelReducer(4).fit_loader([batches[0], -batches[1]])


def test_a_first_batch_too_small_to_begin_with_says_so():
    acts = photographs()
    with pytest.raises(
        InvalidArgument,
        match=r"the first batch \(25 positions\) decides where the groups start, and it is too "
        r"small: n_components=26 is more than the 25 positions .*; or begin with several batches "
        "joined, or use fit_loader",
    ):
        ChannelReducer(26).partial_fit(acts[:1])
    flat = acts[:1, :1].expand(-1, 16, -1, -1)
    with pytest.raises(
        InvalidArgument, match=r"directions \(rank 1\); ask for at most 1; or begin"
    ):
        ChannelReducer(4).partial_fit(flat)
    reducer = ChannelReducer(4).partial_fit(acts[:4])
    assert reducer.partial_fit(flat).components_.shape == (4, 16)


@pytest.mark.parametrize("kind", ["maps", "tables"])
def test_batches_too_small_to_begin_with_are_joined(kind):
    acts = photographs(6)
    if kind == "tables":
        acts = acts.permute(0, 2, 3, 1).reshape(-1, 16)[:60].numpy()
        batches = [acts[:2], acts[2:4], acts[4:30], acts[30:31], acts[31:]]
    else:
        silent = acts[:1] * 0
        batches = [silent, acts[:1, :, :1, :1], acts[1:2, :, :1, :1], acts[2:]]
        with pytest.raises(InvalidArgument, match=r"batches of shapes \(1, 16, 5, 5\) and \(1, 16"):
            ChannelReducer(4).fit_loader(batches)
        batches = [silent, acts[:1], acts[1:2], acts[2:]]
    reducer = ChannelReducer(4).fit_loader(batches, n_epochs=2)
    assert reducer._online.n_rows == sum(
        b.size // 16 if kind == "tables" else 25 * len(b) for b in batches
    )
    assert reducer.explained_share_ > 0.9


def test_a_loader_that_is_too_small_as_a_whole_is_refused():
    row = photographs(1)[:, :, :1, :1]
    with pytest.raises(
        InvalidArgument, match="all 2 batches of the loader together: n_components=4 is more than"
    ):
        ChannelReducer(4).fit_loader([row, row])
    with pytest.raises(InvalidArgument, match="^the activations contain NaN"):
        ChannelReducer(4).fit_loader([row, row * float("nan"), row])

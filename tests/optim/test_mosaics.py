"""Pictures of all positions at once: in their places, sharing what they should, found again."""

import pytest
import torch

from captum_blocks.errors import InvalidArgument
from captum_blocks.optim import Channel, Direction, Directions, Mosaic
from captum_blocks.optim.objectives import Seen, stored
from captum_blocks.optim.units import Channels

VECTORS = stored(torch.rand(7, 5, generator=torch.Generator().manual_seed(1)) + 0.1)
GROUPS = stored(torch.rand(7, 2, generator=torch.Generator().manual_seed(2)))


def mosaic(**changes):
    return Mosaic(**{"vectors": VECTORS, "groups": GROUPS, "size": 16, "n_steps": 3, **changes})


def rows_of(kept):
    return kept.like(torch.zeros(()))


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_directions_score_each_image_by_its_own(power):
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(3, 4, 3, 5, generator=generator, dtype=torch.float64)
    vectors = torch.randn(3, 4, generator=generator)
    seen = Seen({"layer": maps}, maps, "layer")
    made = Directions(stored(vectors), power).score(seen)
    alone = [
        Direction(vectors[i].tolist(), power).score(Seen({"layer": maps[i : i + 1]}, maps, "layer"))
        for i in range(3)
    ]
    torch.testing.assert_close(made, torch.cat(alone))


@pytest.mark.parametrize(
    "objectives",
    [
        [Channel(0), Channel(3), Channel(-1)],
        [Direction([1.0, 0.0, 2.0, -1.0]), Direction([0.0, 1.0, 0.0, 0.5]), Direction([1.0] * 4)],
    ],
)
def test_objectives_scored_together_score_as_alone(objectives):
    maps = torch.randn(3, 4, 3, 5, generator=torch.Generator().manual_seed(0)).double()
    together = type(objectives[0]).together(objectives).score(Seen({"a": maps}, maps, "a"))
    alone = [o.score(Seen({"a": maps[i : i + 1]}, maps, "a")) for i, o in enumerate(objectives)]
    torch.testing.assert_close(together, torch.cat(alone))


def test_objectives_of_several_layers_or_powers_are_scored_alone():
    assert Channel.together([Channel(0), Channel(1, layer="other")]) is None
    assert Direction.together([Direction([1.0]), Direction([1.0], power=2)]) is None
    assert Channel.together([Channel(0, "a"), Channel(2, "a")]) == Channels((0, 2), "a")


def test_one_picture_per_cell_in_order(visualizer):
    made = mosaic().visualize(visualizer)
    assert made.images.shape == (7, 3, 16, 16)
    assert made.history.shape == (3, 7)
    assert made.labels[2] == "cell 2"
    assert made.images.min() >= 0
    assert made.images.max() <= 1


def test_every_cell_improves(visualizer):
    made = mosaic(n_steps=30).visualize(visualizer)
    assert (made.history[-1] > made.history[0]).all()


def test_shares_are_relative(visualizer):
    larger = stored(rows_of(GROUPS) * torch.arange(1, 8)[:, None])
    made = [m.visualize(visualizer).images for m in (mosaic(), mosaic(groups=larger))]
    torch.testing.assert_close(made[0], made[1], atol=1e-3, rtol=0)


def test_cells_of_one_group_are_alike_and_others_are_not(visualizer):
    """Before the first step pictures differ by their own noise and by what their group shares."""
    groups = stored([[1.0, 0.0]] * 3 + [[0.0, 1.0]] * 4)
    images = mosaic(groups=groups, n_steps=1).visualize(visualizer).images
    planes = (images.logit() - images.logit().mean((0, 2, 3), keepdim=True)).flatten(1)
    near = torch.nn.functional.cosine_similarity(planes[:, None], planes[None], dim=-1)
    inside = torch.block_diag(torch.ones(3, 3), torch.ones(4, 4)).bool()
    outside, itself = ~inside, torch.eye(7).bool()
    assert near[inside & ~itself].mean() > near[outside].mean() + 0.2


def test_a_cell_without_activation_is_grey(visualizer):
    vectors = rows_of(VECTORS).clone()
    vectors[3] = 0
    made = mosaic(vectors=stored(vectors)).visualize(visualizer)
    assert (made.images[3] == 0.5).all()
    assert made.scores[3] == 0
    assert made.images[[0, 1, 2, 4, 5, 6]].flatten(1).std(1).min() > 0


def test_the_scale_of_a_vector_does_not_matter(visualizer):
    twice = mosaic(vectors=stored(rows_of(VECTORS) * 2))
    assert twice.key(visualizer) == mosaic().key(visualizer)


@pytest.mark.parametrize(
    "change",
    [
        {"vectors": stored(torch.rand(7, 5, generator=torch.Generator().manual_seed(9)))},
        {"groups": None},
        {"size": 12},
        {"n_steps": 4},
        {"seed": 1},
    ],
)
def test_whatever_changes_a_mosaic_changes_its_key(visualizer, change):
    key = mosaic().key(visualizer)
    assert key is not None
    assert mosaic(**change).key(visualizer) != key


def test_equal_seeds_give_equal_mosaics(visualizer):
    first, again, other = (mosaic(seed=s).visualize(visualizer).images for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_ctrl_c_returns_the_cells_that_are_there(visualizer):
    def stop(step, scores):
        assert scores.shape == (7,)
        if step == 1:
            raise KeyboardInterrupt

    made = mosaic(n_steps=50).visualize(visualizer, callback=stop)
    assert made.interrupted
    assert made.history.shape == (2, 7)
    assert made.images.isfinite().all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vectors": stored(torch.ones(5))}, r"vectors of shape \(5,\); give activation vectors"),
        ({"groups": stored(torch.ones(3, 2))}, r"groups of 3 cells for vectors of 7; give one row"),
        ({"groups": stored(-torch.ones(7, 2))}, r"groups are negative; give weights of at least"),
    ],
)
def test_bad_mosaics_are_refused(change, message):
    with pytest.raises(InvalidArgument, match=message):
        mosaic(**change)


def test_vectors_of_another_layer_are_refused(visualizer):
    wrong = mosaic(vectors=stored(torch.ones(7, 9)))
    with pytest.raises(InvalidArgument, match=r"directions of 9 numbers for layer 'second', which"):
        wrong.visualize(visualizer)


def test_nothing_to_show_is_refused(visualizer):
    with pytest.raises(InvalidArgument, match=r"all vectors are zero; there is nothing to show"):
        mosaic(vectors=stored(torch.zeros(7, 5))).visualize(visualizer)

"""Which numbers are the scores: one rule at every entrance, checked against plain autograd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from captum.attr import (
    InputXGradient,
    LayerGradientXActivation,
    LayerIntegratedGradients,
    NoiseTunnel,
)
from torch import Tensor, nn

import captum_blocks as cb
from captum_blocks import attr, scores
from captum_blocks.errors import InvalidArgument, UnusableLayer, UnusableOutput
from tests.attr.conftest import Directions

WAYS = ("network", "method", "layer to layer", "groups through the head", "layer groups", "path")


class Answering(nn.Module):
    """Channels, their means, two tables of scores made from them, and an answer made of all."""

    def __init__(self, answer: Callable[[Tensor, Tensor, Tensor], Any]) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(5)
            self.body = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU())
            self.first, self.second = nn.Linear(6, 4), nn.Linear(6, 5)
        self.answer = answer

    def forward(self, x: Tensor) -> Any:
        features = self.body(x).mean((2, 3))
        return self.answer(features, self.first(features), self.second(features))


def answering(answer: Callable[[Tensor, Tensor, Tensor], Any]) -> nn.Module:
    return Answering(answer).eval()


def expected_total(module: nn.Module, head: str, x: Tensor, target: int) -> float:
    """The sum of gradient x activation at the body, by autograd alone."""
    acts = module.body(x).detach().requires_grad_()
    score = getattr(module, head)(acts.mean((2, 3)))[:, target].sum()
    (gradient,) = torch.autograd.grad(score, acts)
    return float((gradient * acts.detach()).sum())


def total(way: str, module: nn.Module, x: Tensor, target: int, reducer: Any) -> float:
    """The same by one of the package's entrances."""
    if way == "network":
        word = cb.Attribution(cb.Hidden("body").spatial, cb.Out(target))
        return float(cb.evaluate(word, cb.Network(module), x).data.sum())
    if way == "method":
        return float(attr.LayerMethod(module, "body").attribute(x, [target]).maps.sum())
    if way == "layer to layer":
        found = cb.LayerToLayerAttribution(module, "body")
        return float(found.attribute(x, source_atom="spatial", targets=[target]).sum())
    if way == "groups through the head":
        through = cb.GroupAttribution(module, "body", reducer, "InputXGradient")
        return float(through.attribute(x, [target]).total.sum())
    if way == "path":
        method = attr.LayerPathGradients(module, module.body)
        return float(method.attribute(x, target=target, path="linear").sum())
    grouped = cb.LayerGroupAttribution(LayerGradientXActivation(module, module.body), reducer)
    return sum(map(float, (part.sum() for part in grouped.attribute(x, target, None, True))))


@pytest.fixture
def x() -> Tensor:
    return torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def reducer() -> Directions:
    return Directions(torch.rand(2, 6, generator=torch.Generator().manual_seed(2)))


@pytest.mark.filterwarnings("ignore:.*is taken for its scores")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "answer",
    [
        lambda features, first, second: {"features": features, "logits": first},
        lambda features, first, second: {"maps": features[:, :, None, None], "classes": first},
        lambda features, first, second: (first, [features[:, None, None]]),
        lambda features, first, second: (first.softmax(1), first),
        lambda features, first, second: (first, first.sigmoid()),
        lambda features, first, second: {"labels": first.argmax(1), "scores": first},
    ],
)
def test_the_table_that_is_meant(way: str, answer: Any, x: Tensor, reducer: Directions) -> None:
    module = answering(answer)
    for target in (1, 3):
        expected = expected_total(module, "first", x, target)
        assert total(way, module, x, target, reducer) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("images", [1, 2])
def test_squeezed_scores(way: str, images: int, x: Tensor, reducer: Directions) -> None:
    module = answering(lambda features, first, second: first.squeeze())
    expected = expected_total(module, "first", x[:images], 2)
    assert total(way, module, x[:images], 2, reducer) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("way", WAYS)
def test_one_score_without_an_axis(way: str, x: Tensor, reducer: Directions) -> None:
    module = answering(lambda features, first, second: first[:, 0].squeeze())
    expected = expected_total(module, "first", x[:1], 0)
    assert total(way, module, x[:1], 0, reducer) == pytest.approx(expected, rel=1e-4)


REFUSED = {
    "two tables": (
        lambda features, first, second: {"age": first, "gender": second},
        "with 'age' (2, 4), 'gender' (2, 5), and several of them could be its scores; say which: "
        "Network(module, output='gender'), whose .module every engine takes",
    ),
    "queries": (
        lambda features, first, second: first[:, None].expand(-1, 7, -1),
        "a tensor of shape (2, 7, 4), not (image, class); put it into an nn.Module whose forward "
        "makes one row of scores of each picture's, e.g. return self.network(x).amax(1)",
    ),
    "boxes": (
        lambda features, first, second: first.repeat(50, 1),
        "the first axis does not count them, as with the boxes of a detector",
    ),
    "class numbers": (
        lambda features, first, second: first.argmax(1),
        "returns torch.int64 numbers, such as class numbers after argmax: nothing can be "
        "attributed to them",
    ),
    "words": (lambda features, first, second: "a cat", "returns str, not a tensor"),
}


# Captum's own targets reach into scores of more axes: target=(query, class).
@pytest.mark.parametrize(
    ("way", "kind"),
    [(w, k) for w in WAYS for k in REFUSED if (w, k) != ("layer groups", "queries")],
)
def test_what_is_no_table_of_scores(way: str, kind: str, x: Tensor, reducer: Directions) -> None:
    answer, message = REFUSED[kind]
    with pytest.raises(UnusableOutput) as caught:
        total(way, answering(answer), x, 1, reducer)
    assert message in str(caught.value)


def test_captum_targets_that_reach_deeper(x: Tensor, reducer: Directions) -> None:
    module = answering(lambda features, first, second: first[:, None].expand(-1, 7, -1))
    method = LayerGradientXActivation(module, module.body)
    grouped = cb.LayerGroupAttribution(method, reducer)
    parts = grouped.attribute(x, target=(3, 1), return_residual=True)
    expected = expected_total(module, "first", x, 1)
    assert sum(float(part.sum()) for part in parts) == pytest.approx(expected, rel=1e-4)


def test_advice_is_not_what_was_done_already(x: Tensor) -> None:
    module = answering(lambda features, first, second: (features, first[:, None]))
    with pytest.raises(UnusableOutput) as caught:
        cb.Network(module, output=1).logits(x)
    assert "output=" not in str(caught.value)


def test_what_was_chosen_is_said(x: Tensor) -> None:
    module = answering(lambda features, first, second: {"features": features, "logits": first})
    said = (
        "returns dict with 'features' (2, 6), 'logits' (2, 4); element 'logits' is taken for its "
        "scores"
    )
    net = cb.Network(module, name="net")
    with pytest.warns(UserWarning, match="element 'logits' is taken for its scores; Network"):
        net.logits(x)
    assert net.reading == f"net {said}"
    assert attr.LayerMethod(module, "body").attribute(x, [0]).notes == (f"the network {said}",)
    with pytest.warns(UserWarning, match="element 'logits' is taken"):
        cb.LayerToLayerAttribution(module, "body").attribute(x)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("two tables", "several of them could be its scores; say which"),
        ("queries", "not (image, class); put it into an nn.Module whose forward"),
        ("boxes", "the first axis does not count them, as with the boxes of a detector"),
        ("class numbers", "such as class numbers after argmax"),
    ],
)
def test_no_picture_is_made_of_what_is_no_score(kind: str, message: str) -> None:
    objectives = [cb.optim.ClassLogit(1), cb.optim.ClassLogit(2)]
    maker = cb.FeatureVisualizer(answering(REFUSED[kind][0]), "output")
    with pytest.raises(UnusableLayer) as caught:
        maker.visualize(objectives, size=24, n_steps=2)
    assert message in str(caught.value)


def test_the_engine_of_pictures_says_what_it_chose() -> None:
    several = answering(lambda features, first, second: {"aux": features, "logits": first})
    maker = cb.FeatureVisualizer(several, "output")
    with pytest.warns(UserWarning, match="element 'logits' is taken for its scores"):
        maker.visualize(cb.optim.ClassLogit(1), size=24, n_steps=2)


def test_pictures_of_the_class_that_is_meant() -> None:
    """The engine of pictures climbs the same score that attributions go to."""
    several = answering(lambda features, first, second: {"features": features, "logits": first})
    plain = answering(lambda features, first, second: first)
    squeezed = answering(lambda features, first, second: first.squeeze())
    made = [
        cb.FeatureVisualizer(module, "output")
        .visualize(cb.optim.ClassLogit(2), size=24, n_steps=3, seed=0)
        .images
        for module in (plain, several, squeezed)
    ]
    assert torch.equal(made[0], made[1])
    assert torch.equal(made[0], made[2])


class TestInstances:
    """A configured Captum instance and the network's own reading of the same module."""

    def both(self) -> nn.Module:
        return answering(lambda features, first, second: {"age": first, "gender": second})

    @pytest.mark.parametrize("noisy", [False, True])
    def test_made_on_the_module_it_goes_to_the_answer_that_is_spoken_about(
        self, noisy: bool, x: Tensor
    ) -> None:
        module = self.both()
        net = cb.Network(module, output="gender")
        method: Any = LayerGradientXActivation(module, module.body)
        if noisy:
            method = NoiseTunnel(method)
        word = cb.Attribution(cb.Hidden("body").spatial, cb.Out(4), cb.Given("mine"))
        if noisy:
            made = attr.LayerMethod(net.module, "body", method, nt_samples=2, stdevs=0.0)
            found = float(made.attribute(x, [4]).maps.sum())
        else:
            found = float(cb.evaluate(word, net, x, {"mine": method}).data.sum())
        assert found == pytest.approx(expected_total(module, "second", x, 4), rel=1e-4)
        # What the user made is as it was.
        inner = method.attribution_method if noisy else method
        assert inner.forward_func is module

    def test_made_on_a_function_that_reads_another_answer_it_is_refused(self, x: Tensor) -> None:
        module = self.both()
        net = cb.Network(module, output="gender")
        word = cb.Attribution(cb.Hidden("body").spatial, cb.Out(1), cb.Given("mine"))
        right, wrong = (
            LayerIntegratedGradients(lambda x, head=head: module(x)[head], module.body)
            for head in ("gender", "age")
        )
        assert cb.evaluate(word, net, x, {"mine": right}).data.shape == (2, 1, 6, 6)
        with pytest.raises(InvalidArgument) as caught:
            cb.evaluate(word, net, x, {"mine": wrong})
        assert str(caught.value).startswith(
            "the LayerIntegratedGradients given was made for other scores, of shape (2, 4), than "
            "this network gives, of shape (2, 5); make it on the module"
        )

    def test_made_on_a_wrapper_of_another_answer_it_is_refused(
        self, x: Tensor, reducer: Directions
    ) -> None:
        class Wrapped(nn.Module):
            def __init__(self, net: nn.Module) -> None:
                super().__init__()
                self.net = net

            def forward(self, x: Tensor) -> Tensor:
                return self.net(x)["age"]

        module = self.both()
        net, wrapped = cb.Network(module, output="gender"), Wrapped(module).eval()
        layer_method = LayerGradientXActivation(wrapped, module.body)
        with pytest.raises(InvalidArgument, match="was made for other scores"):
            attr.LayerMethod(net.module, "body", layer_method).attribute(x, [1])
        through = cb.GroupAttribution(net.module, "body", reducer, InputXGradient(wrapped))
        with pytest.raises(InvalidArgument, match="was made for other scores"):
            through.attribute(x, [1])
        mine = cb.GroupAttribution(net.module, "body", reducer, InputXGradient(module))
        expected = expected_total(module, "second", x, 4)
        assert float(mine.attribute(x, [4]).total.sum()) == pytest.approx(expected, rel=1e-4)

    def test_between_layers_it_goes_to_the_atoms_of_the_later_one(self, x: Tensor) -> None:
        module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 3, 3), nn.Flatten()).eval()
        method = LayerGradientXActivation(module, module[0])
        between = cb.LayerToLayerAttribution(module, "0", "1")
        plain = between.attribute(x, "channel", "channel")
        found = between.attribute(x, "channel", "channel", method=method)
        torch.testing.assert_close(found, plain)


def test_a_table_of_one_picture() -> None:
    assert scores.table(torch.arange(3.0), images=1).tolist() == [[0, 1, 2]]
    assert scores.table(torch.arange(3.0), images=3).tolist() == [[0], [1], [2]]
    assert scores.class_scores({"a": (torch.ones(1, 3), None)}, images=1).shape == (1, 3)

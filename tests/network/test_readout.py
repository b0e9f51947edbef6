"""What a network returns, read as scores: elements, regions, heads, layers of several tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

import captum_blocks as cb
from captum_blocks.compose import Quality
from captum_blocks.errors import InvalidArgument, UnusableLayer, WrongType
from captum_blocks.network.readout import Readout, Region
from captum_blocks.store import Store
from tests.reference.architectures import DictOutput

ROUGH = Quality(size=24, n_steps=1, budget=1, cell=24, cell_steps=1)


@dataclass
class Answer:
    loss: torch.Tensor | None
    logits: torch.Tensor
    hidden: tuple[torch.Tensor, ...] = ()


class Pair(NamedTuple):
    first: torch.Tensor
    second: torch.Tensor


class Answering(nn.Module):
    """A network whose scores come in any structure."""

    def __init__(self, answer: Callable[[torch.Tensor], Any], classes: int = 3) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU())
        self.fc = nn.Linear(6, classes)
        self.answer = answer

    def forward(self, x: torch.Tensor) -> Any:
        return self.answer(self.fc(self.body(x).mean((2, 3))))


class Segmenter(nn.Module):
    """A score for every class at every place, in a dict, as torchvision's segmenters."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU())
        self.head = nn.Conv2d(6, 4, 1)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        scores = self.head(self.body(x))
        return {"out": nn.functional.interpolate(scores, x.shape[-2:]), "aux": scores}


def seeded(build: Callable[..., nn.Module], *arguments: Any) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        return build(*arguments).eval()


@pytest.mark.parametrize(
    ("answer", "output"),
    [
        (lambda s: {"loss": None, "logits": s}, None),
        (lambda s: {"aux": s * 0, "logits": s}, "logits"),
        (lambda s: (s * 0, s), 1),
        (lambda s: Pair(s * 0, s), "second"),
        (lambda s: Answer(None, s), None),
        (lambda s: Answer(None, s * 0, (s * 2, s)), "hidden.1"),
        (lambda s: {"heads": [s * 0, {"animal": s}]}, "heads.1.animal"),
    ],
)
def test_scores_wherever_they_are(
    answer: Callable[[torch.Tensor], Any], output: str | int | None, small_x: torch.Tensor
) -> None:
    plain = cb.Network(seeded(Answering, lambda s: s))
    net = cb.Network(seeded(Answering, answer), output=output)
    assert torch.equal(net.logits(small_x), plain.logits(small_x))
    content = cb.Attribution(cb.Hidden("body").spatial, cb.Out(0, 2), method="LayerConductance")
    found, expected = (cb.evaluate(content, each, small_x) for each in (net, plain))
    assert torch.equal(found.data, expected.data)


def test_an_element_that_is_not_there_is_answered_with_those_that_are(
    small_x: torch.Tensor,
) -> None:
    net = cb.Network(seeded(Answering, lambda s: {"aux": s, "logits": s}), output="logit")
    with pytest.raises(UnusableLayer) as caught:
        net.logits(small_x)
    assert str(caught.value) == (
        "Answering returns no element 'logit'; it returns dict with 'aux' (1, 3), 'logits' (1, 3)"
    )


def test_a_readout_leaves_the_network_alone(small_x: torch.Tensor) -> None:
    module = seeded(Segmenter)
    module.train()
    names = [name for name, _ in module.named_modules()]
    net = cb.Network(module, output="out", region=(0, 0, 1, 1))
    assert net.module is not module
    assert [name for name, _ in net.module.named_modules()] == names
    assert dict(net.module.named_parameters()).keys() == dict(module.named_parameters()).keys()
    net.logits(small_x)
    cb.FeatureVisualizer(net.module, "body").visualize(cb.optim.Channel(0), size=16, n_steps=2)
    assert module.training
    assert all(part.training for part in module.modules())
    assert sum(len(part._forward_hooks) for part in module.modules()) == 0
    net.module.eval()
    assert not module.training
    assert cb.Network(module).module is module


class TestRegion:
    def test_a_box_is_the_mean_over_its_cells(self) -> None:
        weights = Region((0.25, 0.0, 0.75, 0.5)).weights((4, 4))
        expected = torch.zeros(4, 4)
        expected[1:3, :2] = 1 / 4
        torch.testing.assert_close(weights, expected)

    def test_cells_that_are_cut_count_in_part(self) -> None:
        weights = Region((0.0, 0.0, 0.75, 1.0)).weights((2, 1))
        torch.testing.assert_close(weights, torch.tensor([[2 / 3], [1 / 3]]))

    def test_a_mask_of_another_size(self) -> None:
        mask = np.zeros((8, 8), bool)
        mask[:4, 4:] = True
        same = Region((0.0, 0.5, 0.5, 1.0))
        for grid in ((8, 8), (4, 4), (2, 2)):
            torch.testing.assert_close(Region(mask).weights(grid), same.weights(grid))

    @pytest.mark.parametrize(
        ("where", "error", "message"),
        [
            ((0.5, 0, 0.5, 1), InvalidArgument, "give top < bottom and left < right"),
            ((0, 0, 1, 20), InvalidArgument, "in fractions of the picture between 0 and 1"),
            ((0, 1), WrongType, r"a region is a box \(top, left, bottom, right\)"),
            (7, WrongType, "or a mask"),
            (np.zeros((3, 3)), InvalidArgument, "needs at least one entry above zero"),
        ],
    )
    def test_no_region(self, where: Any, error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=message):
            Region(where)

    def test_said_in_words(self) -> None:
        assert str(Region((0, 0, 1, 1))) == "the whole picture"
        assert str(Region((0, 0.1, 0.5, 1))) == (
            "rows 0% to 50%, columns 10% to 100% of the picture"
        )
        assert str(Region(np.eye(4))) == "a mask of 25% of the picture"


def test_a_segmenter_answers_for_a_region(small_x: torch.Tensor, store: Store) -> None:
    module = seeded(Segmenter)
    net = cb.Network(module, cb.Preprocess(size=16), region=(0, 0, 0.5, 0.5))
    maps = module(small_x)["out"]
    torch.testing.assert_close(net.logits(small_x), maps[:, :, :8, :8].mean((2, 3)))
    other = net.with_region((0.5, 0.5, 1, 1))
    torch.testing.assert_close(other.logits(small_x), maps[:, :, 8:, 8:].mean((2, 3)))
    torch.testing.assert_close(net.logits(small_x), maps[:, :, :8, :8].mean((2, 3)))
    # Only what the region sees was responsible for its answer.
    value = cb.evaluate(cb.Attribution(cb.Hidden("body").spatial, cb.Out(1)), net, small_x)
    assert float(value.data[0, 0, :4, :4].abs().sum()) > 0
    assert float(value.data[0, 0, 4:].abs().sum()) == 0
    ex = cb.explain(cb.overview("body"), net, small_x, quality=ROUGH, progress=False, store=store)
    assert dict(ex.scene.footer)["scores"] == (
        "each class's mean over rows 0% to 50%, columns 0% to 50% of the picture"
    )


def test_a_region_of_scores_without_places(small_x: torch.Tensor) -> None:
    net = cb.Network(seeded(Answering, lambda s: s), region=(0, 0, 1, 1))
    with pytest.raises(UnusableLayer, match=r"\(1, 3\), which has no positions to take a region"):
        net.logits(small_x)


class TestHead:
    def scores(self, small_x: torch.Tensor, head: Any, classes: int = 3) -> cb.Network:
        return cb.Network(seeded(Answering, lambda s: s, classes), head=head, name="net")

    def test_labels_stand_for_themselves(self, small_x: torch.Tensor) -> None:
        net = self.scores(small_x, "labels")
        expected = net.logits(small_x)[0].sigmoid().sort(descending=True)
        found = net.predict(small_x)
        assert [one.index for one in found] == expected.indices.tolist()
        assert [one.probability for one in found] == pytest.approx(expected.values.tolist())
        assert found[0].label == f"label {found[0].index}"

    def test_values_are_no_probabilities(self, small_x: torch.Tensor, store: Store) -> None:
        net = self.scores(small_x, "values")
        expected = net.logits(small_x)[0].sort(descending=True)
        assert [one.probability for one in net.predict(small_x)] == pytest.approx(
            expected.values.tolist()
        )
        value = cb.evaluate(cb.Attribution(cb.Hidden("body").whole, cb.Out(1)), net, small_x)
        assert value.unit == "output"
        page = cb.InfoVis(cb.Activation(cb.Out()))
        ex = cb.explain(page, net, small_x, progress=False, store=store)
        assert "%" not in ex.scene.answer
        assert ex.scene.answer.startswith("net is at ")
        assert dict(ex.scene.footer)["scores"] == "plain numbers, not probabilities"

    @pytest.mark.parametrize("answer", [lambda s: s, lambda s: s[:, 0]])
    def test_a_single_output_is_a_value_unless_declared(
        self, answer: Callable[[torch.Tensor], torch.Tensor], small_x: torch.Tensor
    ) -> None:
        net = cb.Network(seeded(Answering, answer, 1))
        (logit,) = net.logits(small_x)[0].tolist()
        assert net.logits(small_x).shape == (1, 1)
        assert net.predict(small_x)[0].probability == pytest.approx(logit)
        binary = cb.Network(net.module, head="labels", labels=["defect"])
        ((index, label, probability),) = binary.predict(small_x)
        assert (index, label) == (0, "defect")
        assert probability == pytest.approx(1 / (1 + np.exp(-logit)))
        found = cb.evaluate(cb.Attribution(cb.Hidden("body").groups(2), cb.Out(0)), net, small_x)
        assert found.data.shape == (1, 1, 2)

    def test_a_whole_page_of_a_single_output(self, small_x: torch.Tensor, store: Store) -> None:
        for sign in (1, -1):  # also where nothing speaks for it
            module = seeded(Answering, lambda s, sign=sign: sign * s[:, 0].abs(), 1)
            net = cb.Network(module, cb.Preprocess(16), name="age", labels=["years"])
            page = cb.report("body.0", "body.1", groups=2)
            ex = cb.explain(page, net, small_x, quality=ROUGH, progress=False, store=store)
            assert "Why “years”?" in ex.scene.title
            assert "probability" not in ex.html().split("</main>")[0].partition("<main")[2]

    def test_an_unknown_head(self) -> None:
        with pytest.raises(InvalidArgument, match="head='class' is none of classes, labels, val"):
            cb.Network(nn.ReLU(), head="class")  # type: ignore[arg-type]


class TestElementsOfLayers:
    @pytest.fixture
    def net(self) -> cb.Network:
        return cb.Network(seeded(DictOutput), cb.Preprocess(size=16), output="logits")

    def test_they_are_listed(self, net: cb.Network) -> None:
        shapes = {info.name: info.shape for info in net.layers()}
        assert shapes["backbone"] == (8, 8, 8)
        assert shapes["backbone:high"] == (6, 4, 4)
        # What it hands on is a part of what "backbone" returns, of which nothing can be told.
        assert net.recommended() == ("backbone.high",)

    @pytest.mark.parametrize(
        "method",
        [
            "LayerGradientXActivation",
            "LayerIntegratedGradients",
            "LayerConductance",
            "LayerDeepLift",
            "LayerFeatureAblation",
            "IntegratedGradients",
        ],
    )
    def test_every_method_looks_at_the_element(
        self, net: cb.Network, small_x: torch.Tensor, method: str
    ) -> None:
        layer = cb.Hidden("backbone:high")
        value = cb.evaluate(cb.Attribution(layer.whole, cb.Out(1), method=method), net, small_x)
        # What is behind it is linear, so every complete method gives the weights' share; some
        # compare with what a black picture would have given.
        share = {}
        for name, picture in (("picture", small_x), ("black", small_x * 0)):
            maps = net._given.backbone(picture)["high"]
            share[name] = (maps.mean((2, 3)) @ net._given.head.weight[1]).item()
        from_black = method in ("LayerIntegratedGradients", "LayerConductance", "LayerDeepLift")
        expected = share["picture"] - (share["black"] if from_black else 0.0)
        assert float(value.total) == pytest.approx(expected, abs=1e-3)

    def test_it_takes_part_in_everything_else(
        self, net: cb.Network, small_x: torch.Tensor, store: Store
    ) -> None:
        flow = cb.Attribution(cb.Hidden("low").spatial, cb.Hidden("backbone:high").spatial)
        assert cb.evaluate(flow, net, small_x).data.shape == (1, 4, 4, 8, 8)
        assert next(net.activations("backbone:high", [small_x])).shape == (1, 6, 4, 4)
        page = cb.overview("backbone:low", "backbone:high", groups=2)
        with pytest.raises(UnusableLayer, match="do not depend on this layer"):
            # "low" is what the network hands out beside its answer; "high" is made from its twin.
            cb.explain(page, net, small_x, quality=ROUGH, progress=False, store=store)
        page = cb.overview("backbone:high", groups=2)
        assert cb.explain(page, net, small_x, quality=ROUGH, progress=False, store=store)
        assert sum(len(part._forward_hooks) for part in net._given.modules()) == 0
        assert "backbone:high" not in dict(net._given.named_modules())

    def test_one_that_is_not_there(self, net: cb.Network, small_x: torch.Tensor) -> None:
        with pytest.raises(UnusableLayer) as caught:
            cb.evaluate(cb.Activation(cb.Hidden("backbone:hi").spatial), net, small_x)
        assert str(caught.value) == (
            "layer 'backbone' returns no element 'hi'; it returns dict with 'low' (1, 8, 8, 8), "
            "'high' (1, 6, 4, 4)"
        )

    def test_by_number(self, small_x: torch.Tensor) -> None:
        class Recurrent(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.lstm = nn.LSTM(3, 5, batch_first=True)

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return self.lstm(x.flatten(2).transpose(1, 2))[1][0][0]

        net = cb.Network(seeded(Recurrent))
        name = net.name_of("lstm:1.0")
        assert isinstance(net.module, Readout)
        assert name == "lstm:1.0"
        assert dict(net.module.named_modules())[name](small_x) is small_x

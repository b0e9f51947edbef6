"""Outputs that are probabilities already: shown as they are, and attributed to where it is said."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import captum_blocks as cb
from captum_blocks.compose import Quality
from captum_blocks.errors import InvalidArgument
from captum_blocks.store import Store

ROUGH = Quality(size=24, n_steps=1, budget=1, cell=24, cell_steps=1)


class Telling(nn.Module):
    """A network that says something made from its logits."""

    def __init__(self, told: Callable[[Tensor], Any], classes: int = 5) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(3)
            self.body = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU())
            self.fc = nn.Linear(6, classes)
        self.told = told

    def logits(self, x: Tensor) -> Tensor:
        return 8 * self.fc(self.body(x).mean((2, 3)))

    def forward(self, x: Tensor) -> Any:
        return self.told(self.logits(x))


def telling(told: Callable[[Tensor], Any], classes: int = 5) -> Telling:
    return Telling(told, classes).eval()


def by_autograd(module: Telling, x: Tensor, score: Callable[[Tensor], Tensor]) -> float:
    """The sum of gradient x activation of a score of the logits."""
    acts = module.body(x).detach().requires_grad_()
    logits = 8 * module.fc(acts.mean((2, 3)))
    (gradient,) = torch.autograd.grad(score(logits).sum(), acts)
    return float((gradient * acts.detach()).sum())


def attributed(net: cb.Network, x: Tensor, target: int) -> cb.compose.Value:
    return cb.evaluate(cb.Attribution(cb.Hidden("body").spatial, cb.Out(target)), net, x)


SOFT = {
    "module": nn.Softmax(1),
    "function": lambda z: torch.softmax(z, -1),
    "method, handed on": lambda z: z.softmax(1).float().contiguous(),
    "in a dict": lambda z: {"probabilities": z.softmax(1)},
}


@pytest.fixture
def x() -> Tensor:
    return torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize("kind", SOFT)
class TestSoftmaxInside:
    def test_it_is_noticed_and_not_applied_again(self, kind: str, x: Tensor) -> None:
        module = telling(SOFT[kind])
        net = cb.Network(module, name="net")
        with pytest.warns(UserWarning, match=r"already \(each row adds up to 1\)"):
            found = net.predict(x)
        expected = module.logits(x).softmax(1)[0].detach()
        for index, _, probability in found:
            assert probability == pytest.approx(float(expected[index]))
        assert net.reading == "probabilities, as the network returns them"
        assert net.said(found[0], 5) == f"{float(expected.max()):.1%}"
        with warnings.catch_warnings():  # once is enough
            warnings.simplefilter("error")
            net.predict(x)

    def test_undeclared_the_attribution_is_of_the_probability(self, kind: str, x: Tensor) -> None:
        module = telling(SOFT[kind])
        with pytest.warns(UserWarning, match="probabilities already"):
            value = attributed(cb.Network(module), x, 2)
        assert value.unit == "probability"
        expected = by_autograd(module, x, lambda z: z.softmax(1)[:, 2])
        assert float(value.data.sum()) == pytest.approx(expected, rel=1e-4)

    def test_declared_it_is_of_the_logit(self, kind: str, x: Tensor) -> None:
        module = telling(SOFT[kind])
        net = cb.Network(module, head="probabilities")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            value = attributed(net, x, 2)
        assert value.unit == "logit"
        expected = by_autograd(module, x, lambda z: z[:, 2])
        assert float(value.data.sum()) == pytest.approx(expected, rel=1e-4)
        probability = net.predict(x, top=1)[0].probability
        assert probability == pytest.approx(float(module.logits(x).softmax(1).max()))
        torch.testing.assert_close(net.logits(x), module.logits(x))


@pytest.mark.parametrize("head", [None, "labels"])
def test_sigmoid_inside(head: Any, x: Tensor) -> None:
    module = telling(torch.sigmoid)
    net = cb.Network(module, head=head, name="net")
    with pytest.warns(UserWarning, match=r"already \(they come out of a sigmoid or softmax\)"):
        found = net.predict(x)
    expected = module.logits(x).sigmoid()[0]
    assert [p.probability for p in found] == pytest.approx(sorted(expected.tolist())[::-1])
    declared = cb.Network(module, head="probabilities")
    value = attributed(declared, x, 1)
    assert value.unit == "logit"
    assert float(value.data.sum()) == pytest.approx(by_autograd(module, x, lambda z: z[:, 1]))
    shown = declared.predict(x)
    assert [p.probability for p in shown] == pytest.approx([p.probability for p in found])


def test_calibrated_probabilities_have_no_logits(x: Tensor) -> None:
    """As torchxrayvision calibrates: a function of one's own after the sigmoid."""
    module = telling(lambda z: z.sigmoid() ** 2)
    net = cb.Network(module, head="probabilities")
    assert net.predict(x, 1)[0].probability == pytest.approx(float(module(x).max()))
    value = attributed(net, x, 0)
    assert value.unit == "probability"
    expected = by_autograd(module, x, lambda z: z[:, 0].sigmoid() ** 2)
    assert float(value.data.sum()) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("squash", "head"), [("softmax", "classes"), ("sigmoid", "labels")])
def test_both_returned(squash: str, head: str, x: Tensor) -> None:
    """As ultralytics returns (probabilities, logits): attributed to the logits."""
    made = {"softmax": lambda z: z.softmax(1), "sigmoid": torch.sigmoid}[squash]
    module = telling(lambda z: (made(z), z))
    net = cb.Network(module)
    with pytest.warns(UserWarning, match="element '1' is taken for its scores"):
        found = net.predict(x)
    assert net.head_of(5) == head
    assert [p.probability for p in found] == pytest.approx(
        sorted(made(module.logits(x))[0].tolist())[::-1]
    )
    value = attributed(net, x, 3)
    assert value.unit == "logit"
    assert float(value.data.sum()) == pytest.approx(by_autograd(module, x, lambda z: z[:, 3]))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("squash", ["softmax", "sigmoid"])
def test_both_returned_and_declared(squash: str, order: tuple[int, int], x: Tensor) -> None:
    made = {"softmax": lambda z: z.softmax(1), "sigmoid": torch.sigmoid}[squash]
    module = telling(lambda z: tuple((made(z), z)[i] for i in order))
    found = cb.Network(module, head="probabilities").predict(x)
    expected = sorted(made(module.logits(x))[0].tolist())[::-1]
    assert [p.probability for p in found] == pytest.approx(expected)


@pytest.mark.parametrize("told", [lambda z: z.log_softmax(1), lambda z: 100 * z.softmax(1)])
def test_what_is_declared_and_is_none(told: Any, x: Tensor) -> None:
    net = cb.Network(telling(told), head="probabilities", name="net")
    with pytest.raises(InvalidArgument, match="net is declared to give probabilities, and its out"):
        net.predict(x)


def without_gradient(logits: Tensor) -> Tensor:
    with torch.no_grad():
        return logits.sigmoid()


@pytest.mark.parametrize(
    "told",
    [
        lambda z: 1 / (1 + torch.exp(-z)),
        lambda z: nn.functional.logsigmoid(z).exp(),
        lambda z: (z.tanh() + 1) / 2,
        without_gradient,
        lambda z: torch.einsum(
            "enc,e->nc", torch.stack([z.sigmoid(), (z / 2).sigmoid()]), torch.tensor([0.5, 0.5])
        ),
    ],
)
def test_probabilities_by_other_names(told: Any, x: Tensor) -> None:
    module = telling(told)
    with pytest.warns(UserWarning, match="they are between 0 and 1, also for noise"):
        found = cb.Network(module).predict(x)
    expected = sorted(module(x)[0].tolist())[::-1]
    assert [p.probability for p in found] == pytest.approx(expected)


@pytest.mark.parametrize(
    "told", [lambda z: z, lambda z: z.log_softmax(1), lambda z: 0.01 * z, lambda z: z.abs() / 1e3]
)
def test_logits_are_not_taken_for_probabilities(told: Any, x: Tensor) -> None:
    module = telling(told)
    net = cb.Network(module)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = net.predict(x)
    assert net.head_of(5) == "classes"
    assert sum(p.probability for p in found) == pytest.approx(1)
    assert attributed(net, x, 0).unit == "logit"


def test_without_gradients(x: Tensor) -> None:
    module = telling(torch.sigmoid)
    with torch.inference_mode(), pytest.warns(UserWarning, match="come out of a sigmoid"):
        found = cb.Network(module).predict(x, 1)
    assert found[0].probability == pytest.approx(float(module(x).max()))


def test_values_stay_values(x: Tensor) -> None:
    net = cb.Network(telling(torch.sigmoid), head="values")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert net.predict(x, 1)[0].probability == pytest.approx(float(net.module(x).max()))
    assert attributed(net, x, 0).unit == "output"


def test_the_page_says_what_its_numbers_are(x: Tensor, store: Store) -> None:
    module = telling(nn.Softmax(1))
    page = cb.InfoVis(cb.Attribution(cb.Hidden("body").whole, cb.Out(top=2)))
    with pytest.warns(UserWarning, match="probabilities already"):
        ex = cb.explain(page, cb.Network(module, name="net"), x, progress=False, store=store)
    best = module.logits(x).softmax(1).max()
    assert f"{float(best):.0%}" in ex.scene.answer
    assert dict(ex.scene.footer)["scores"] == "probabilities, as the network returns them"

"""Contents of a small network and the raw numbers that they come from, by plain backward passes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from skimage import data
from torch import Tensor

import captum_blocks as cb
from captum_blocks.compose.evaluation.contents import value_of
from captum_blocks.compose.evaluation.question import asked
from captum_blocks.compose.evaluation.session import Session
from captum_blocks.compose.evaluation.values import Value
from captum_blocks.grammar import Content
from tests.reference.attr_loops import regrouped
from tests.reference.composition import activation
from tests.reference.ledger import Ledger, open_ledger

EARLY, LATE = cb.Hidden("early"), cb.Hidden("late")


@dataclass(frozen=True, eq=False)
class Start:
    """A content with its raw numbers; ``other`` is the same of another class, for differences, and
    ``judge`` has the same atoms, to rank by."""

    content: Content
    ledger: Ledger
    other: str = ""
    judge: str = ""


class World:
    """A network looking at three photographs, and what can be asked of it."""

    def __init__(self, session: Session, starts: dict[str, Start]) -> None:
        self.session, self.starts = session, starts

    def value(self, content: Content) -> Value:
        return value_of(content, self.session)


def look(small: cb.Network) -> World:
    """The network of the tests, looking at a cat, an astronaut and a cup of coffee."""
    photographs = (data.chelsea(), data.astronaut(), data.coffee())
    x = torch.cat([small.read(Image.fromarray(photograph)) for photograph in photographs])
    starts = {**_to_classes(small, x), **_between(small, x), **_active(small, x)}
    toward = _attributed(small, x)[0][:, 1]
    words = [start.content for start in starts.values()]
    return World(Session(asked(small, x, {"toward": toward}), words), starts)


def _attributed(small: cb.Network, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of every class to ``late``: gradient times activation, gradient, and the activation."""
    acts = activation(small.module, small.module.late, x).requires_grad_()
    logits = small.module.head(acts.mean((2, 3)))
    slopes = [torch.autograd.grad(logits[:, i].sum(), acts, retain_graph=True)[0] for i in range(3)]
    slope = torch.stack(slopes, 1)
    return (slope * acts[:, None]).detach(), slope, acts.detach()


def _to_classes(small: cb.Network, x: Tensor) -> dict[str, Start]:
    toward, slope, acts = _attributed(small, x)
    starts, groups = {}, LATE.groups(2)
    reducer = cb.ChannelReducer(2).fit(acts)
    scores = reducer.transform(acts), torch.as_tensor(reducer.components_)
    for classes in ((0,), (1,), (2, 0)):
        maps, out, targets = toward[:, classes], cb.Out(*classes), [("class", list(classes))]
        of, other = "".join(map(str, classes)), {(0,): "1", (1,): "0"}.get(classes)
        for atom in ("neuron", "spatial", "channel", "whole"):
            starts[f"{atom} {of}"] = Start(
                cb.Attribution(getattr(LATE, _plural(atom)), out),
                open_ledger(maps.numpy(), atom, targets),
                other and f"{atom} {other}",
                f"{atom} 1" if of != "1" else f"{atom} fires",
            )
        made, rest = regrouped(acts, maps, slope[:, classes], *scores)
        starts[f"group {of}"] = Start(
            cb.Attribution(LATE.channels, out).project(groups),
            open_ledger(made.numpy(), "group", targets, rest.numpy()),
            other and f"group {other}",
            "group fires",
        )
    made, rest = regrouped(acts, toward[:, [1]], None, *scores)
    starts["group of a tensor"] = Start(
        cb.Attribution(LATE.neurons, cb.Out(1), method=cb.Given("toward")).project(groups),
        open_ledger(made.numpy(), "group", [("class", [1])], rest.numpy()),
        judge="group 0",
    )
    return {**starts, "factors": _factors(toward)}


def _factors(toward: Tensor) -> Start:
    """Places to groups of classes: the mean of their attributions to all, by weight."""
    places = toward.sum(2)
    rows = places.permute(0, 2, 3, 1).reshape(-1, 3).clamp_min(0)
    reducer = cb.ChannelReducer(2, "nmf", random_state=0).fit(rows[rows.sum(1) > 0].numpy())
    directions = torch.as_tensor(reducer.components_).float()
    weights = directions / directions.sum(1, keepdim=True)
    maps = sum(weights[None, :, c, None, None] * places[:, c, None] for c in range(3))
    ledger = open_ledger(maps[:, :, None].numpy(), "spatial", [("to_group", [0, 1])])
    return Start(cb.Attribution(LATE.spatial, cb.Out().groups(2)), ledger, judge="spatial 1")


def _between(small: cb.Network, x: Tensor) -> dict[str, Start]:
    """From one hidden layer to the next, a backward pass a target."""
    early = activation(small.module, small.module.early, x).requires_grad_()
    late = small.module.late(early)

    def made(scores: list[Tensor]) -> np.ndarray:
        slopes = [torch.autograd.grad(s.sum(), early, retain_graph=True)[0] for s in scores]
        return (torch.stack(slopes, 1) * early[:, None]).detach().numpy()

    channels = made([late[:, c].sum((1, 2)) for c in (3, 7)])
    places = made([late[:, :, y, x].norm(dim=1) for y in range(4) for x in range(4)])
    to_channels, to_places = (
        [("to_channel", [3, 7])],
        [("to_y", [*range(4)]), ("to_x", [*range(4)])],
    )
    return {
        "channel to channel": Start(
            cb.Attribution(EARLY.channels, LATE.channels[[3, 7]]),
            open_ledger(channels, "channel", to_channels, mapped=False),
        ),
        "place to channel": Start(
            cb.Attribution(EARLY.spatial, LATE.channels[[3, 7]]),
            open_ledger(channels, "spatial", to_channels),
        ),
        "channel to place": Start(
            cb.Attribution(EARLY.channels, LATE.spatial),
            open_ledger(places, "channel", to_places, mapped=False),
        ),
    }


def _active(small: cb.Network, x: Tensor) -> dict[str, Start]:
    acts = activation(small.module, small.module.late, x)
    reducer = cb.ChannelReducer(2).fit(acts)
    sizes = torch.as_tensor(reducer.components_).norm(dim=1)[:, None, None]
    maps = {
        "neuron": acts,
        "spatial": acts.norm(dim=1, keepdim=True),
        "channel": acts,
        "group": torch.as_tensor(reducer.transform(acts)).float() * sizes,
        "whole": acts.flatten(1).norm(dim=1)[:, None, None, None],
    }
    return {
        f"{atom} fires": Start(
            cb.Activation(LATE.groups(2) if atom == "group" else getattr(LATE, _plural(atom))),
            open_ledger(held[:, None].numpy(), atom, [], mean=True),
            judge=f"{atom} 0",
        )
        for atom, held in maps.items()
    }


def _plural(atom: str) -> str:
    return atom if atom in ("spatial", "whole") else f"{atom}s"

"""What a factorization should preserve: activations, gradients, attributions, or a balance.

"The Building Blocks of Interpretability" (Distill 2018, on neuron groups) names these three goals
of a factorization, and one wish: that the groups of a lower layer be *compatible* with those of an
upper one. All of it becomes one table whose rows are positions:

- each goal is a block of channels, scaled so that its weight is its share of the squared error;
- blocks of any sign become stacked positive and negative halves;
- for compatibility every entry is split into one copy per upper group, in proportion to the size of
  its attribution to each; summing the copies of a component collapses them again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor

from captum_blocks.errors import InvalidArgument, UnknownName, WrongType, did_you_mean
from captum_blocks.reduce.algorithms import ALGORITHMS, Algorithm, Factors, Settings
from captum_blocks.reduce.checks import (
    check_goals,
    check_not_silent,
    check_number,
    check_readable,
    check_same_shape,
    check_upper,
)
from captum_blocks.reduce.decompositions import difference, halves
from captum_blocks.reduce.rows import Rows, squared_norm, to_rows

GOALS = ("activation", "gradient", "attribution")
JOINT_ALGORITHMS = ("nmf", "semi_nmf")
Of: TypeAlias = str | Mapping[str, float]


@dataclass(frozen=True)
class Block:
    """One goal's channels in the joint table."""

    goal: str
    width: int
    scale: float
    is_halved: bool


@dataclass(frozen=True)
class Problem:
    """A joint table ``(position, copy * channel of every goal)`` and how to read its components."""

    table: Tensor
    blocks: tuple[Block, ...]
    copies: int

    def solve(self, activations: Tensor, algorithm: Algorithm, settings: Settings) -> Factors:
        """Factorize the joint table and read the groups as directions of the activations.

        Where activations are no goal, the components are the activations that fit the joint scores
        best. The scores returned are those of the activations on the components, as ``transform``
        gives them.
        """
        joint = algorithm.fit(self.table, settings)
        goals = self.goal_components(joint.components)
        found = goals.get("activation")
        if found is None:
            found = algorithm.regress(activations, joint.scores)
        state = {f"goal {name}": part for name, part in goals.items()}
        if self.copies > 1:
            state["composition"] = self.composition(joint.components)
        factors = Factors(found, joint.scores, None, state, tuple(state), joint.n_iter)
        scores = algorithm.encode(activations, factors, settings)
        return replace(factors, scores=scores, goal_share=self.goal_shares(joint))

    def goal_components(self, components: Tensor) -> dict[str, Tensor]:
        """Joint components -> ``{goal: (group, channel)}`` in each goal's own unit."""
        parts = self._collapsed(components)
        return {
            block.goal: (difference(part) if block.is_halved else part) / block.scale
            for block, part in zip(self.blocks, parts, strict=True)
        }

    def goal_shares(self, joint: Factors) -> dict[str, float]:
        """``{goal: share of its squared norm explained}`` by the joint factorization."""
        tables = self._collapsed(self.table)
        found = self._collapsed(joint.components)
        shares = {}
        for block, table, part in zip(self.blocks, tables, found, strict=True):
            left = squared_norm(table - joint.scores @ part)
            shares[block.goal] = 1.0 - left / max(squared_norm(table), 1e-300)
        return shares

    def composition(self, components: Tensor) -> Tensor:
        """``(group, upper group)``: how a group divides among the upper groups; rows sum to 1."""
        masses = components.reshape(len(components), self.copies, -1).abs().sum(2)
        return masses / masses.sum(1, keepdim=True).clamp_min(torch.finfo(masses.dtype).tiny)

    def _collapsed(self, joint: Tensor) -> tuple[Tensor, ...]:
        """One part per goal, its copies summed."""
        summed = joint.reshape(len(joint), self.copies, -1).sum(1)
        return torch.split(summed, [block.width for block in self.blocks], dim=1)


def posed(
    reducer: Any, rows: Rows, gradients: Any, attributions: Any, upper: Any
) -> Problem | None:
    """What a reducer's ``of`` and the upper groups ask for; ``None`` for plain activations.

    Raises:
        InvalidArgument: goals named but not given or given but not named, another shape, nothing
            but zeros, or an algorithm that factorizes plain activations only.
    """
    weights = weights_of(reducer.of)
    given = {"gradient": gradients, "attribution": attributions}
    check_goals(weights, given)
    if list(weights) == ["activation"] and upper is None:
        return None
    if reducer.algorithm not in JOINT_ALGORITHMS:
        raise InvalidArgument(
            f"algorithm={reducer.algorithm!r} factorizes plain activations only; for goals and "
            f"compatible groups take {' or '.join(map(repr, JOINT_ALGORITHMS))}"
        )
    given["activation"] = X = rows.form.give_back(rows.table)
    tables = {goal: beside(rows, given[goal], f"{goal}s") for goal in weights}
    for goal, table in tables.items():
        check_not_silent(table, f"{goal}s")
    if upper is not None:
        check_readable(upper)
        check_upper(getattr(upper, "shape", ()), X.shape)
    parts = [] if upper is None else [upper[:, i] for i in range(upper.shape[1])]
    shares = [beside(rows, part, f"upper[:, {i}]") for i, part in enumerate(parts)]
    return build(weights, tables, shares, ALGORITHMS[reducer.algorithm].non_negative)


def weights_of(of: Of) -> dict[str, float]:
    """The goals with a weight above zero, in the order of ``GOALS``.

    Raises:
        UnknownName: a goal that is none.
        InvalidArgument: a weight that is negative or no finite number, or none above zero.
        WrongType: neither a name nor a mapping.

    >>> weights_of({"attribution": 0.5, "activation": 1})
    {'activation': 1.0, 'attribution': 0.5}
    """
    if not isinstance(of, (str, Mapping)):
        raise WrongType(
            f"of={of!r} is neither the name of a goal nor a mapping of goals to weights"
        )
    given = {of: 1.0} if isinstance(of, str) else dict(of)
    for name, weight in given.items():
        if name not in GOALS:
            raise UnknownName(
                f"of={name!r} is none of {', '.join(GOALS)}{did_you_mean(name, GOALS)}"
            )
        check_number(f"the weight of {name!r}", weight)
    kept = {name: float(given[name]) for name in GOALS if given.get(name)}
    if not kept:
        raise InvalidArgument(f"of={of!r} gives no goal a weight above 0")
    return kept


def beside(rows: Rows, other: Any, name: str) -> Tensor:
    """Gradients or attributions as a table of the same positions and channels."""
    found = to_rows(other, rows.form.layout)
    check_same_shape(name, found, rows)
    return found.table.detach().to(rows.table)


def build(
    weights: Mapping[str, float],
    tables: Mapping[str, Tensor],
    upper: list[Tensor],
    non_negative: bool,
) -> Problem:
    """The joint table of goals, split into compatible copies where ``upper`` is given.

    Args:
        weights: of the goals, as ``weights_of`` gives them.
        tables: ``{goal: (position, channel)}`` of the same goals.
        upper: attributions ``(position, channel)`` to each upper group; empty: no copies.
        non_negative: the algorithm takes no negative values, so that signed goals are halved.
    """
    made, blocks = [], []
    for goal, weight in weights.items():
        halved = non_negative and goal != "activation"
        table = halves(tables[goal]) if halved else tables[goal]
        scale = (weight / max(squared_norm(table), 1e-300)) ** 0.5
        made.append(table * scale)
        blocks.append(Block(goal, table.shape[1], scale, halved))
    joint = torch.cat(made, 1)
    if upper:
        repeats = [block.width // upper[0].shape[1] for block in blocks]
        joint = torch.cat([joint * share.repeat(1, sum(repeats)) for share in _shares(upper)], 1)
    return Problem(joint, tuple(blocks), max(1, len(upper)))


def _shares(upper: list[Tensor]) -> list[Tensor]:
    """Each upper group's share of the attribution's size; even where there is none."""
    total = torch.stack([part.abs() for part in upper]).sum(0)
    silent = total == 0
    safe = total.masked_fill(silent, 1.0)
    return [(part.abs() / safe).masked_fill(silent, 1.0 / len(upper)) for part in upper]

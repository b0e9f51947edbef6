"""Numbers of a layer's groups from the table of all their subsets: exact, and each game named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from captum_blocks.attr import SubsetTable
from captum_blocks.attr.regrouping import shares
from captum_blocks.attr.shapley import MOST_GROUPS, check_groups
from captum_blocks.grammar import Hidden, Substrate

if TYPE_CHECKING:
    from captum_blocks.compose.evaluation.looking import Looking

# Groups of another fit are the same group where their directions' cosine is at least this.
ALIKE = 0.8
STARTS = 2
GAME = (
    "exact Shapley values: groups and the rest of the layer join in every order, zero stands in "
    "the place of who is absent; they sum to the score minus that with the layer at zero"
)
GAME_NAME = "exact Shapley values, the rest of the layer a player"
ALWAYS = "with the rest always there"
LOWEST, HIGHEST = "in other fits from", "to"


def table_of(source: Substrate, look: Looking) -> SubsetTable:
    """What the network answers to every subset of a layer's groups, the rest a player too.

    Raises:
        UnsupportedMethod: it would take more than five minutes.
        UnusableLayer: nothing can be put in the layer's place.
    """
    key = ("subsets", source.layer, source.grouping)
    return look.once(key, lambda: _table(source, look.reducer(source), look))  # type: ignore[no-any-return]


def _table(source: Substrate, reducer: Any, look: Looking) -> SubsetTable:
    return look.ablation(_layer(source)).subsets(look.x, reducer)


@dataclass(frozen=True, eq=False)
class Played:
    """Exact Shapley values, the rest of the layer being one more player.

    Attributes:
        groups: (image, class, group).
        rest: (image, class).
        group_maps: (image, class, group, y, x), spread in proportion to each group's activation.
        alone: (image, class, group), what each group's removal alone takes.
        also: by name, each (image, class, group): the values of the other game, in which the rest
            is always there, and the range over like groups of other fits.
    """

    groups: Tensor
    rest: Tensor
    group_maps: Tensor
    alone: Tensor
    also: Mapping[str, Tensor]


def played(source: Substrate, classes: tuple[int, ...], look: Looking) -> Played:
    """The Shapley values of a layer's groups.

    Raises:
        UnsupportedMethod: more than eight groups, or it would take more than five minutes.
        UnusableLayer: nothing can be put in the layer's place.
    """
    check_groups(len(look.directions(source)))
    table = table_of(source, look)
    values, always = (_of_classes(table, classes, residual) for residual in (True, False))
    removed = _removed(table, classes)
    groups, rest = values[:, :, :-1].contiguous(), values[:, :, -1]
    return Played(
        groups,
        rest,
        groups[..., None, None] * shares(look.scores(source))[:, None],
        removed,
        {ALWAYS: always, **_range(source, classes, look)},
    )


def _of_classes(table: SubsetTable, classes: tuple[int, ...], residual: bool = True) -> Tensor:
    """(image, class, player): Shapley values."""
    return table.shapley_of_all(residual)[:, list(classes)].float().cpu()


def _removed(table: SubsetTable, classes: tuple[int, ...]) -> Tensor:
    """(image, class, group): what each group's removal alone takes from the logits."""
    worth, players = table.scores.mean(1)[..., list(classes)], len(table.groups) + 1
    everybody = len(table.present) - 1
    alone = [everybody - 2**player for player in range(players - 1)]
    return (worth[:, everybody, None] - worth[:, alone]).transpose(1, 2).float().cpu()


def _range(source: Substrate, classes: tuple[int, ...], look: Looking) -> dict[str, Tensor]:
    """The smallest and largest value of like groups in other fits; NaN where there is none.

    Nothing without such fits.
    """
    found = []
    for reducer, table in _other_fits(source, look):
        theirs = torch.as_tensor(reducer.components_).float().cpu()
        alike = cosine_similarity(look.directions(source)[:, None], theirs[None], dim=-1)
        best, which = alike.max(1)
        values = _of_classes(table, classes)[:, :, which]
        found.append(torch.where(best >= ALIKE, values, torch.nan))
    if not found:
        return {}
    every = torch.stack(found)
    missing = every.isnan().all(0)
    low, high = every.nan_to_num(torch.inf).amin(0), every.nan_to_num(-torch.inf).amax(0)
    return {LOWEST: low.where(~missing, torch.nan), HIGHEST: high.where(~missing, torch.nan)}


def _other_fits(source: Substrate, look: Looking) -> list[tuple[Any, SubsetTable]]:
    """The same layer's groups made otherwise: one fewer, one more, and from random starts."""
    grouping = source.grouping
    if grouping is None or not isinstance(grouping.n, int) or grouping.align_with is not None:
        return []
    most = min(MOST_GROUPS, look.most_groups(_layer(source)))
    counts = [n for n in (grouping.n - 1, grouping.n + 1) if 2 <= n <= most]
    found = []
    for other in (replace(source, grouping=replace(grouping, n=n), only=None) for n in counts):
        found.append((look.reducer(other), table_of(other, look)))
    for start in range(STARTS):
        key = ("other start", source.layer, grouping, start)
        found.append(look.once(key, partial(_from_start, source, start, look)))
    return found


def _from_start(source: Substrate, start: int, look: Looking) -> tuple[Any, SubsetTable]:
    reducer = look.refitted(source, start)
    return reducer, _table(source, reducer, look)


def _layer(source: Substrate) -> str:
    assert isinstance(source.layer, Hidden)
    return source.layer.layer

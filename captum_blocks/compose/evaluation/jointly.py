"""What the atoms that a list shows do together, beside random ones that are as active."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from captum_blocks.compose.evaluation.ablations import together
from captum_blocks.compose.evaluation.facts import NONE_STAND_OUT
from captum_blocks.compose.evaluation.looking import layer_name
from captum_blocks.compose.evaluation.scoring import scoring
from captum_blocks.compose.evaluation.session import Session
from captum_blocks.compose.evaluation.values import Value
from captum_blocks.grammar import Ablation
from captum_blocks.grammar.atoms import plural

RANDOM = 100
# A listed channel is compared with one of so many whose activation is nearest in size.
ALIKE = 20
SEED = 0
# Changes below this are rounding: behind a mean, the mean as filling changes nothing.
NOTHING = 1e-4
FEW = 5


def said_jointly(content: Ablation, value: Value, session: Session) -> tuple[str, ...]:
    """Sentences on what the channels of a list take from each class's score together.

    Beside them stand random sets of as many channels that are as active: where many of those change
    the score as much, no channel of the list stands out.

    Args:
        content: the removals that the list was chosen from.
        value: those of one photograph that it shows.
    """
    look = session.of(content.source)
    chosen = value.coords.get("channel", ())
    if content.source.atom != "channel" or len(value.data) != 1 or not 1 < len(chosen) <= ALIKE:
        return ()
    image, maps = value.coords["image"][0], look.maps(layer_name(content.source))
    size = maps[image].abs().mean((1, 2))
    if len(size) < len(chosen) + ALIKE:
        return ()
    sets = [list(chosen), *random_alike(size, chosen)]
    taken = together(content, look, sets, value.coords["class"])[image]
    unit = scoring(look, content.score)[1]
    said: list[str] = []
    for index, row in zip(value.coords["class"], taken, strict=True):
        name = f"“{look.net.label(index)}”"
        said.append(_sentence(row, len(chosen), f"{unit} of {name}"))
        if not _stand_out(row):
            said.append(f"{NONE_STAND_OUT} for {name}")
    return tuple(said)


def random_alike(size: Tensor, chosen: Sequence[int]) -> list[list[int]]:
    """Sets of other channels, each drawn from those nearest in size to one of the chosen.

    Args:
        size: (channel,).
        chosen: channels that are in none of the sets.
    """
    generator = torch.Generator().manual_seed(SEED)
    others = [channel for channel in size.argsort().tolist() if channel not in set(chosen)]
    sizes = size[others]
    nearest = [(sizes - size[one]).abs().argsort(stable=True)[:ALIKE].tolist() for one in chosen]
    found = []
    for _ in range(RANDOM):
        drawn: list[int] = []
        for near in nearest:
            free = [others[place] for place in near if others[place] not in drawn]
            drawn.append(free[int(torch.randint(len(free), (), generator=generator))])
        found.append(drawn)
    return found


def _sentence(taken: Tensor, count: int, score: str) -> str:
    """On one class, of what the list takes (first) and what random sets do."""
    own, more = float(taken[0]), _as_much(taken)
    name, change = plural("channel"), f"{-own:+.2f}".replace("-", "−")
    if float(taken.abs().max()) < NOTHING:
        return (
            f"neither these {count}, taken away together, nor any of {RANDOM} random sets of "
            f"{count} {name} as active change the {score}: with what fills their place this list "
            "says nothing"
        )
    return (
        f"taken away together, these {count} change the {score} by {change}; of {RANDOM} random "
        f"sets of {count} {name} as active, {more} change it as much"
    )


def _as_much(taken: Tensor) -> int:
    """How many random sets change the score at least as much as the list."""
    return int((taken[1:].abs() >= taken[0].abs()).sum())


def _stand_out(taken: Tensor) -> bool:
    """Whether the list does more than nearly all random sets do, or nothing can be told."""
    return float(taken.abs().max()) < NOTHING or _as_much(taken) < FEW

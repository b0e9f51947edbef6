"""What is attributed from a hidden layer to atoms of a later one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from captum_blocks.grammar import Hidden, Substrate

if TYPE_CHECKING:
    from captum_blocks.compose.evaluation.looking import Looking


def target_scores(target: Substrate, look: Looking) -> dict[str, Tensor]:
    """(image, *target): what is attributed to channels or groups of a hidden layer."""
    if not isinstance(target.layer, Hidden) or target.atom not in ("channel", "group"):
        return {}
    sums = look.maps(target.layer.layer).sum((2, 3))
    if target.atom == "group":
        directions = look.directions(target)
        sums = sums @ (directions / directions.norm(dim=1, keepdim=True).clamp(min=1e-30)).T
    return {"score": sums if target.only is None else sums[:, list(target.only)]}

"""Where an icon's activation stands among those of a data set's photographs."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from captum_blocks.errors import InvalidArgument


@dataclass(frozen=True)
class Standing:
    """Shares of photographs that excite a unit less than its icon does, from 0 to 1.

    Attributes:
        clean: of the icon as it is.
        jittered: the median over shifted copies of it: what only exact pixels do is gone.

    >>> Standing(1.0, 0.5).jittered
    0.5
    """

    clean: float
    jittered: float


def standing(icon: Tensor, jittered: Tensor, photographs: Tensor) -> Standing:
    """The percentile of an icon's activation among those of photographs.

    The share of photographs with a smaller one, and half of those with an equal one.

    Args:
        icon: the unit's activation, one number.
        jittered: (copy,) that of each shifted copy of the icon.
        photographs: (photograph,) that of each photograph, read off in the same way.

    Raises:
        InvalidArgument: no photograph, or no copy.

    >>> import torch
    >>> standing(torch.tensor(2.5), torch.tensor([0.0, 1.0, 9.0]), torch.tensor([1.0, 2.0, 3.0]))
    Standing(clean=0.6666666666666666, jittered=0.16666666666666666)
    """
    if not photographs.numel() or not jittered.numel():
        raise InvalidArgument(
            f"{photographs.numel()} photographs and {jittered.numel()} shifted copies of the icon: "
            "a percentile needs at least one of each"
        )
    shares = _share(jittered, photographs)
    return Standing(_share(icon.reshape(1), photographs).item(), shares.median().item())


def _share(values: Tensor, photographs: Tensor) -> Tensor:
    """(value,) the share of photographs below each, ties counted half."""
    held = photographs.double().flatten()
    wanted = values.double().flatten()[:, None]
    return (held < wanted).double().mean(1) + (held == wanted).double().mean(1) / 2

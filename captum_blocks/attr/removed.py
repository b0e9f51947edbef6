"""What a network answered with activations exchanged, taken away and put back."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Swapped:
    """Answers with a layer's activation exchanged between photographs, whole.

    Attributes:
        own: (image, class), logits as they are.
        taken: (image, photograph, class), an image's logits with the layer taken from each other.
        put: (image, photograph, class), each other's logits with an image's layer put into it.
        others: (photograph, class), those of the other photographs as they are.

    >>> from torch import nn
    >>> from captum_blocks.attr import LayerAblation
    >>> net = nn.Sequential(nn.Conv2d(1, 3, 2), nn.Flatten(), nn.Linear(12, 4)).eval()
    >>> import torch
    >>> swapped = LayerAblation(net, "0").swapped(torch.ones(1, 1, 3, 3), torch.zeros(8, 1, 3, 3))
    >>> bool((swapped.taken[0] - swapped.others).abs().max() < 1e-5)  # the layer carries all
    True
    """

    own: Tensor
    taken: Tensor
    put: Tensor
    others: Tensor


@dataclass(frozen=True, eq=False)
class Cumulative:
    """Answers while atoms of a layer are taken away one by one, and while they are put back.

    Attributes:
        share: (point,): of the atoms that are taken away, or back; from 0 to 1.
        deleted: (image, order, filling, point, class), logits; several fillings where photographs
            were resampled.
        inserted: the same, put back into the layer without any of them.

    >>> from torch import nn
    >>> from captum_blocks.attr import LayerAblation
    >>> net = nn.Sequential(nn.Conv2d(1, 3, 2), nn.Flatten(), nn.Linear(12, 4)).eval()
    >>> import torch
    >>> order = torch.tensor([[[2, 0, 1]]])
    >>> found = LayerAblation(net, "0").cumulative(torch.ones(1, 1, 3, 3), order)
    >>> found.deleted.shape, torch.allclose(found.deleted[..., 0, :], found.inserted[..., -1, :])
    (torch.Size([1, 1, 1, 4, 4]), True)
    """

    share: Tensor
    deleted: Tensor
    inserted: Tensor

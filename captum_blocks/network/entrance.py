"""The picture itself as a layer."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

# The picture as if it were a layer: no module of the network has this name.
ENTRANCE = "entrance"


class Entered(nn.Module):
    """A network behind a layer that gives back the picture: Captum's layer methods reach it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.entrance, self.network = nn.Identity(), network
        self.training = self.entrance.training = False  # the network keeps its own modes

    @property
    def stands_for(self) -> nn.Module:
        """The network, which is known already."""
        return self.network

    def forward(self, x: Tensor) -> Any:
        """What the network returns."""
        return self.network(self.entrance(x))

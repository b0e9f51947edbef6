"""What a network computes before a layer, computed once and handed out again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import takewhile
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from captum_blocks import hooks
from captum_blocks._gradients import without_gradients
from captum_blocks.rewriting import Edit, around


class _Remembered(nn.Module):
    """Stands for a part of a network, whatever it is given."""

    def __init__(self, output: Any) -> None:
        super().__init__()
        self._output, self._lent, self._versions = output, output, [-1]

    def forward(self, *_: Any, **__: Any) -> Any:
        if _versions(self._lent) != self._versions:  # what followed wrote to it
            self._lent = _copied(self._output)
            self._versions = _versions(self._lent)
        return self._lent


def remembered(network: nn.Module, layer: nn.Module, x: Tensor) -> list[Edit]:
    """Edits that hand out what the parts of a network before a layer return for one picture.

    Parts that run once, and are done before the layer is: what the layer returns is not in them.

    Args:
        network: a private one, which runs once for this.
        layer: a part of it; neither it nor what contains it is exchanged.
        x: (1, ...), the picture.

    >>> import torch
    >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> [list(edit.replacements) for edit in remembered(net, net[1], torch.ones(1, 2))]
    [['0']]
    """
    places = {
        part: (parent, name)
        for parent in network.modules()
        for name, part in parent.named_children()
    }
    parts = [part for part in (*around(network, [layer]), *layer.children()) if part in places]
    with without_gradients(), hooks.returned([layer, *parts], _copied) as seen:
        network(x)
    calls = Counter(part for part, _ in seen)
    before = takewhile(lambda each: each[0] is not layer, seen)
    return [
        Edit(places[part][0], {places[part][1]: _Remembered(output)})
        for part, output in before
        if calls[part] == 1 and _is_of_tensors(output)
    ]


@contextmanager
def exchanged(edits: Sequence[Edit]) -> Iterator[None]:
    """Edits of a private network that are taken back when the context closes.

    >>> net = nn.Sequential(nn.ReLU())
    >>> with exchanged([Edit(net, {"0": nn.Tanh()})]):
    ...     net[0]
    Tanh()
    >>> net[0]
    ReLU()
    """
    with ExitStack() as undo:
        for edit in edits:
            undo.callback(edit.apply().apply)
        yield


def _copied(output: Any) -> Any:
    return tree_map(lambda leaf: leaf.clone() if isinstance(leaf, Tensor) else leaf, output)


def _versions(output: Any) -> list[int]:
    return [leaf._version for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]


def _is_of_tensors(output: Any) -> bool:
    """Whether a copy of it shares nothing with it that could be written to."""
    leaves = tree_leaves(output)
    return all(leaf is None or isinstance(leaf, (Tensor, int, float, str)) for leaf in leaves)

"""How fast removals are, beside Captum's ``LayerFeatureAblation`` with one mask per channel.

Run as ``python -m tests.benchmarks.ablation [rounds]``. Everything is measured in one run, on the
demo network, one photograph and one class. Captum is timed on a few channels' masks at a time,
spread over the run, and multiplied; what it answers with is compared with ours. On our side all of
``attribute`` is counted, making the copy and looking at the layer included.

The subsets of eight groups are timed beside as many activations sent through what lies behind the
layer by plain PyTorch: the modules behind it, called one after the other on batches of rows.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable

import torch
from captum.attr import LayerFeatureAblation
from torch import Tensor, nn

import captum_blocks as cb
from captum_blocks import attr
from tests.benchmarks.attribution import photograph, timed

FEW = 12
ROWS = 64


def channels(module: nn.Module, x: Tensor, name: str, target: int, rounds: int) -> None:
    """All channels of a layer: asked and measured."""
    layer, ours = module.get_submodule(name), attr.LayerAblation(module, name)
    captums = LayerFeatureAblation(module, layer)
    shape = attr.LayerMethod(module, name, "LayerActivation").attribute(x, [0]).maps.shape[2:]
    slow, fast, worst = [], [], 0.0
    for step in range(rounds):
        seconds, found = timed(lambda: ours.attribute(x, target))
        fast.append(seconds)
        first = step * FEW % (shape[0] - FEW)
        # Masks 1 to FEW are channels; mask 0 is all others together, one pass more.
        mask = torch.zeros(1, *shape, dtype=torch.long)
        for place in range(FEW):
            mask[:, first + place] = place + 1
        seconds, expected = timed(
            lambda mask=mask: captums.attribute(x, target=target, layer_mask=mask)
        )
        slow.append(seconds / (FEW + 1))
        there = expected[0, first : first + FEW].flatten(1)[:, 0]
        worst = max(worst, float((found[0, first : first + FEW] - there).abs().max()))
    loop, once = statistics.median(slow) * shape[0], statistics.median(fast)
    print(f"{shape[0]} channels of {name}: Captum {loop:.2f} s, here {once:.3f} s,", end=" ")
    print(f"{loop / once:.1f} x; largest difference {worst:.1e}")


def behind(module: nn.Module) -> Callable[[Tensor], Tensor]:
    """What lies behind blocks.5.0.bn1 of the demo network, module by module."""
    block = module.blocks[5][0]

    def tail(rows: Tensor) -> Tensor:
        out = block.bn3(block.conv_pwl(block.bn2(block.conv_dw(rows))))
        for later in module.blocks[5][1:]:
            out = later(out)
        out = module.bn2(module.conv_head(module.blocks[6](out)))
        return module.classifier(module.global_pool(out))

    return tail


def subsets(module: nn.Module, x: Tensor, target: int, rounds: int) -> None:
    """The 512 subsets of eight groups and the rest."""
    name = "blocks.5.0.bn1"
    held = next(iter(cb.Network(module).activations(name, [x])))
    reducer, ours = cb.ChannelReducer(8).fit(held), attr.LayerAblation(module, name)
    tail = behind(module)
    rows = held.expand(512, -1, -1, -1).clone(memory_format=torch.channels_last)
    slow, fast = [], []
    with torch.no_grad():
        for _ in range(rounds):
            slow.append(timed(lambda: [tail(part) for part in rows.split(ROWS)])[0])
            seconds, table = timed(lambda: ours.subsets(x, reducer))
            fast.append(seconds)
        everybody = table.scores[0, 0, -1] - module(x)[0]
    plain, once = statistics.median(slow), statistics.median(fast)
    print(f"512 subsets at {name}: {once:.2f} s, 512 passes of the tail {plain:.2f} s,", end=" ")
    print(f"{once / plain:.2f} x")
    print(f"    all groups and the rest against the network {float(everybody.abs().max()):.1e}")


def main() -> None:
    """Print everything."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    net = cb.load_network("demo")
    x = photograph(net)
    target = net.predict(x, top=1)[0].index
    print(f"{torch.get_num_threads()} threads, {rounds} rounds, medians")
    subsets(net.module, x, target, rounds)
    for name in ("blocks.4.2.bn1", "blocks.5.0.bn1", "bn2"):
        channels(net.module, x, name, target, rounds)


if __name__ == "__main__":
    main()

"""Whether the channels a page lists are those whose removal matters, and how much a list depends.

Run as ``python -m tests.benchmarks.removal_lists [photographs] [layer,layer]``. For each photograph
of scikit-image and scikit-learn, each recommended layer of the demo network and the most probable
class:

(a) of the six listed channels, how many are among the six of largest |removal| under the fill and
    score that the list names, recomputed by plain hooks, one pass of the network a channel;
(b) whether their joint removal changes the log-odds more than 95 of 100 random sixes as active, or
    the page says that it does not;
(c) how many of the six stay under another fill (mean, and other photographs), ties at the edge
    counted; and of the method's own six strongest how many are among the list.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from statistics import mean

import torch
from torch import Tensor, nn

import captum_blocks as cb
from captum_blocks.attr import scored

LISTED = 6
OTHERS = 2
TIED = 1e-4


def photographs(net: cb.Network) -> Iterator[tuple[str, Tensor]]:
    """Real photographs with their names, ready for the network."""
    from skimage import data
    from sklearn.datasets import load_sample_images

    for name in ("chelsea", "coffee", "astronaut", "rocket", "cat"):
        yield name, net.read(getattr(data, name)())
    samples = load_sample_images()
    for path, image in zip(samples.filenames, samples.images, strict=True):
        yield str(path).rpartition("/")[2], net.read(image)
    # Quarters of the larger ones are photographs of other things.
    for name in ("coffee", "astronaut", "rocket"):
        image = getattr(data, name)()
        height, width = image.shape[0] // 2, image.shape[1] // 2
        for row in (0, height):
            for column in (0, width):
                part = image[row : row + height, column : column + width].copy()
                yield f"{name} {row},{column}", net.read(part)


def by_hooks(module: nn.Module, layer: nn.Module, x: Tensor, target: int) -> Tensor:
    """(channel,): log-odds minus log-odds with the channel at zero, a pass each."""
    gone = [-1]

    def hook(_: nn.Module, __: object, output: Tensor) -> Tensor:
        output = output.clone()
        if gone[0] >= 0:
            output[:, gone[0]] = 0
        return output

    handle = layer.register_forward_hook(hook)
    try:
        with torch.no_grad():
            own = scored(module(x), target, "log-odds")
            channels = cb.LayerAblation(module, layer).attribute(x, target).shape[1]
            found = []
            for channel in range(channels):
                gone[0] = channel
                found.append(own - scored(module(x), target, "log-odds"))
    finally:
        handle.remove()
    return torch.cat(found)


def overlap(listed: set[int], removal: Tensor) -> int:
    """How many of a list are among the strongest of other removals, ties at the edge counted."""
    size = removal.abs()
    edge = float(size.topk(LISTED).values[-1])
    return sum(float(size[channel]) >= edge - TIED for channel in listed)


def main() -> None:
    """Print a line a photograph and layer, and means."""
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    net = cb.load_network("demo")
    layers = sys.argv[2].split(",") if len(sys.argv) > 2 else net.recommended()
    some = [each for _, each in zip(range(most), photographs(net), strict=False)]
    others = [x for _, x in some]
    print(
        "(a) by hooks, (b) joint removal stands out or is said not to, (c) mean, resampled, method"
    )
    for layer in layers:
        rows = []
        for place, (name, x) in enumerate(some):
            beside = torch.cat([others[place - 1 - i] for i in range(OTHERS)])
            rows.append(row(net, layer, x, beside))
            print(f"{layer} {name}: {rows[-1]}", flush=True)
        columns = list(zip(*rows, strict=True))
        told = ", ".join(f"{mean(map(float, column)):.2f}" for column in columns)
        enough = sum(found >= LISTED - 1 for found in columns[0])
        print(f"{layer}: means {told}; (a) at least 5 of 6 in {enough} of {len(rows)}")


def row(net: cb.Network, layer: str, x: Tensor, others: Tensor) -> tuple[int, bool, int, int, int]:
    """Counts (a), (b), and (c) for mean, resampled and the method's own order."""
    channels, out = cb.Hidden(layer).channels, cb.Out(top=1)
    removal = cb.Ablation(channels, out)
    value = cb.evaluate(removal.filter(strongest=LISTED), net, x)
    listed = set(value.coords["channel"])
    target, module = value.coords["class"][0], net.module
    (said,) = value.said
    more = int(said.rpartition(" as active, ")[2].split()[0])
    engine = cb.LayerAblation(module, layer)
    mean_fill = engine.attribute(x, target, fill="mean", score="log-odds")[0]
    resampled = engine.attribute(x, target, fill="resample", score="log-odds", others=others)[0]
    own = cb.evaluate(cb.Attribution(channels, out).filter(strongest=LISTED), net, x)
    hooks = by_hooks(module, module.get_submodule(layer), x, target)
    return (
        overlap(listed, hooks),
        more < 5 or "stand out" in said,
        overlap(listed, mean_fill),
        overlap(listed, resampled),
        len(listed & set(own.coords["channel"])),
    )


if __name__ == "__main__":
    main()

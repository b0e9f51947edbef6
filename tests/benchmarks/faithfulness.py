"""Every layer method of Captum beside what really changes when channels are taken away.

Run as ``python -m tests.benchmarks.faithfulness [layers]``: so many of the four layers of the demo
network, on one photograph and its most probable class. Removals are filled with zero and scored by
the logit. For each method: the rank correlation and the overlap of the twenty strongest, the areas
under the curves of deletion (low is good) and insertion (high is good), and the rank correlation
with removals in networks whose weights are shuffled, of the classifier alone and of all parts (near
0 is good). Removals are made once a layer; otherwise these are the numbers of ``cb.faithfulness``,
which is compared for one method.

Methods that refuse are listed with what they say.
"""

from __future__ import annotations

import sys
from time import perf_counter

import torch
from torch import Tensor

import captum_blocks as cb
from captum_blocks import attr
from captum_blocks.attr.faithful import area, compared, randomised, rank_correlation, top_overlap
from tests.benchmarks.attribution import photograph

LAYERS = ("blocks.3.2", "blocks.4.2.bn1", "blocks.5.0.bn3", "bn2")
# What needs no other choice than its default; a window of one number each is refused.
OPTIONS = {"Occlusion": {"sliding_window_shapes": (1, 1, 1)}}
SAID = 100


def attributed(
    net: cb.Network, x: Tensor, layer: str, target: int
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """By method: the attribution to channels, (channel,), or what is said instead."""
    found, refused = {}, {}
    for name in attr.methods():
        words = cb.Attribution(
            cb.Hidden(layer).channels, cb.Out(target), name, **OPTIONS.get(name, {})
        )
        start = perf_counter()
        try:
            with torch.random.fork_rng():
                torch.manual_seed(0)
                found[name] = cb.evaluate(words, net, x).data[0, 0]
        except Exception as error:
            refused[name] = f"{type(error).__name__}: {error}"
        print(f"    {name} {perf_counter() - start:.1f} s", file=sys.stderr, flush=True)
    return found, refused


def judged(net: cb.Network, x: Tensor, layer: str, target: int) -> None:
    """Print the table of one layer."""
    start = perf_counter()
    networks = [net.module, *(randomised(net.module, x, which) for which in ("head", "all"))]
    own, head, whole = (
        attr.LayerAblation(module, layer).removals(x, [target])[0, 0] for module in networks
    )
    print(f"\n{layer}: {len(own)} channels, removals sum to {float(own.sum()):.2f}", flush=True)
    found, refused = attributed(net, x, layer, target)
    order = torch.stack([each.argsort(descending=True) for each in found.values()])
    curves = attr.LayerAblation(net.module, layer).cumulative(x, order[None])
    deleted, inserted = (
        area(curves.share, logits[0, :, 0].softmax(-1)[..., target])
        for logits in (curves.deleted, curves.inserted)
    )
    k = compared(len(own))
    print(f"{'method':28}    sum   rho  top{k}  deletion  insertion   rho: head   all shuffled")
    for row, (name, numbers) in enumerate(found.items()):
        rho, by_head, by_all = (rank_correlation(numbers, each) for each in (own, head, whole))
        shared = round(float(top_overlap(numbers, own, k)) * k)
        print(
            f"{name:28} {float(numbers.sum()):6.2f} {rho:5.2f} {shared:6} {deleted[row]:9.3f} "
            f"{inserted[row]:10.3f} {by_head:11.2f} {by_all:14.2f}"
        )
    for name, said in refused.items():
        print(f"{name:28} {said[:SAID]}")
    print(f"({perf_counter() - start:.0f} s)", flush=True)


def compare(net: cb.Network, x: Tensor, layer: str, target: int) -> None:
    """The same numbers by ``cb.faithfulness``, for one method."""
    start = perf_counter()
    words = cb.Attribution(cb.Hidden(layer).channels, cb.Out(target))
    found = cb.faithfulness(words, net, x, score="logit")
    print(f"\ncb.faithfulness of {words!r}, {perf_counter() - start:.1f} s")
    print(found.to_frame().to_string(index=False))
    print(found)
    print(cb.faithfulness(words, net, x))


def main() -> None:
    """Print everything."""
    layers = LAYERS[: int(sys.argv[1])] if len(sys.argv) > 1 else LAYERS
    net = cb.load_network("demo")
    x = photograph(net)
    target = net.predict(x, top=1)[0].index
    logit = float(net.logits(x)[0, target])
    print(f"{torch.get_num_threads()} threads; class {target}, logit {logit:.2f}")
    for layer in layers:
        judged(net, x, layer, target)
    compare(net, x, layers[-1], target)


if __name__ == "__main__":
    main()

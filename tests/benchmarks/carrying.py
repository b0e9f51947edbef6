"""Which layers were recommended by their grid alone, which are now, and which carry the answer.

Run as ``python -m tests.benchmarks.carrying [network ...]``: ``demo``, a name of
``tests/reference/architectures.py`` or ``families.py``, or another one of timm. Seconds are of
``layers()``, in CPU time, without and with the tests of which layers carry the answer.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from copy import deepcopy
from time import process_time

import timm
import torch

import captum_blocks as cb
from captum_blocks.network import LayerTable
from captum_blocks.network.choosing import recommended
from captum_blocks.network.ways import Ways, ways
from tests.reference.architectures import CASES, made
from tests.reference.families import FAMILIES, family

NAMES = (
    "demo",
    "resnet18",
    "regnet",
    "googlenet",
    "densenet121",
    "squeezenet1_1",
    "mobilenet_v3_small",
    "efficientnet_b0",
    "convnext_tiny",
    "swin_t",
    "vit_tiny",
    "deit_distilled",
    "mixer",
    "mvitv2_tiny",
    "mobilevit_xxs",
    "cait_xxs24_224",
    "ghostnet_100",
    "dpn48b",
    "xception41",
    "resnetv2_50",
    "hrnet_w18_small",
)
TOLD = {True: "all", False: "not all", None: "?"}


def network(name: str) -> cb.Network:
    """A network by name, its layers not recommended by hand."""
    if name == "demo":
        demo = cb.load_network("demo")
        return cb.Network(demo.module, demo.preprocess)
    if name in CASES:
        case = CASES[name]
        return cb.Network(made(case), cb.Preprocess(case.size, *((0.5,) * case.channels,) * 2))
    if name in FAMILIES:
        module, size = family(name)
        return cb.Network(module, cb.Preprocess(size))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = timm.create_model(name, pretrained=False, num_classes=5).eval()
    return cb.Network(module, cb.Preprocess(128))


def by_grid(net: cb.Network, table: LayerTable) -> tuple[str, ...]:
    """What is recommended where nobody asks what a layer carries."""

    def told(names: Iterable[str]) -> Ways:
        layers = dict(net.module.named_modules())
        assert net.preprocess is not None
        x = net._like.new_ones(1, net.channels, *net.preprocess.shape)
        return ways(net.module, layers, x, names)

    return recommended(table, told)


def described(table: LayerTable, names: Sequence[str]) -> str:
    """Layers in a few words."""
    rows = {info.name: info for info in table}
    return ", ".join(f"`{name}` {TOLD[rows[name].carries_all]}" for name in names)


def seconds(net: cb.Network, carries: bool) -> float:
    """Of the first call of layers(), of a copy."""
    copied = cb.Network(deepcopy(net.module), net.preprocess)
    start = process_time()
    table = copied.layers() if carries else _plain(copied)
    if not carries:
        by_grid(copied, table)
    return process_time() - start


def _plain(net: cb.Network) -> LayerTable:
    net._recommended = ("none of them",)
    return net.layers()


def main(names: list[str]) -> None:
    """Print the table."""
    print("| network | by grid alone | recommended | s without, with |\n|---|---|---|---|")
    for name in names or NAMES:
        net = network(name)
        seconds(net, carries=False)
        without, with_tests = (seconds(net, carries) for carries in (False, True))
        table = net.layers()
        now = [info.name for info in table if info.recommended]
        before = described(table, by_grid(net, table))
        print(
            f"| {name} | {before} | {described(table, now)} | {without:.2f}, {with_tests:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1:])

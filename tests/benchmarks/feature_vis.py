"""How fast feature visualization is: against what must be computed, and against others.

Run as ``python -m tests.benchmarks.feature_vis [--only speed memory reach]``.
Everything is measured in this run on the demo network, contenders taking turns, and compared as
ratios of medians; on a busy machine, ``--clock cpu --threads 1`` counts what was computed rather
than what was waited for. Peers (torch-lucent with kornia, horama, dreamlens) take part where
installed.

- speed: ms per image and step, from the difference between a longer and a shorter run, so that
  starting up does not count. The floor is forward and backward of the folded, frozen, truncated,
  channels-last trunk, one inverse FFT, one warp and one Adam step.
- memory: how much a batch of 16 adds to the peak of a fresh process.
- reach: wall time, starting up included, until our picture has the robust activation (mean over
  fixed shifts, scales and turns) of Lucent's after its own 512 steps.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from captum_blocks.optim import Channel, FeatureVisualizer, Jitter, Rotate, Scale
from captum_blocks.optim.transforms import apply
from captum_blocks.optim.trunk import Trunk
from captum_blocks.zoo import load_network
from tests.benchmarks.visualization_peers import Maker, makers, normalise

LAYERS = {"early": "blocks.1.1.bn1", "middle": "blocks.4.2.bn1", "late": "bn2"}
SIZE = 224
TURNS = (Jitter(8), Scale(0.9, 1.1), Rotate(10))
ASKED = {"floor": "<= 1.15", "lucent": ">= 4", "horama": ">= 3", "dreamlens": ">= 3"}
CROPS = 6
WARM_UP = 4
Clock = Callable[[], float]
CLOCKS: dict[str, Clock] = {"wall": time.perf_counter, "cpu": time.process_time}
MARKS = (16, 24, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256)


def floor(module: nn.Module, layer: str, units: Sequence[int], size: int, n_steps: int) -> Tensor:
    """The least that has to be computed for a batch of channels."""
    n = len(units)
    trunk = Trunk(module, [layer], torch.rand(1, 3, size, size), normalise)
    spectrum = (torch.randn(n, 3, size, size // 2 + 1, 2) * 0.01).requires_grad_()
    optimizer = torch.optim.Adam([spectrum], lr=0.05)
    still = torch.eye(2, 3).repeat(n, 1, 1)
    pixels = torch.empty(0)
    for _ in range(n_steps):
        complex_ = torch.view_as_complex(spectrum)
        pixels = torch.fft.irfft2(complex_, s=(size, size), norm="ortho").sigmoid()
        grid = F.affine_grid(still, [n, 3, size, size], align_corners=False)
        maps = trunk(F.grid_sample(pixels, grid, align_corners=False), lifted=True)[layer]
        optimizer.zero_grad()
        (-maps[torch.arange(n), list(units)].mean((1, 2)).sum()).backward()
        optimizer.step()
    return pixels.detach()


def awake(module: nn.Module, layer: str, count: int) -> list[int]:
    """Channels that respond to noise, so that no contender spends its steps on a silent unit."""
    noise = torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        maps = Trunk(module, [layer], noise, normalise)(0.5 + 0.1 * (noise - 0.5))[layer]
    return maps[0].mean((1, 2)).topk(count).indices.tolist()


def seconds(work: Callable[[], Any], clock: Clock) -> float:
    start = clock()
    work()
    return clock() - start


def speed(
    module: nn.Module, repeats: int, steps: int, clock: Clock, chosen: Sequence[str] | None
) -> list[dict[str, Any]]:
    """ms per image and step (per crop and step for horama), contenders taking turns."""
    found, _ = makers()
    contenders: dict[str, tuple[Maker, int, int]] = {"floor": (floor, 8, 1)}
    for name, maker in found.items():
        one_by_one = name in ("horama", "dreamlens")
        contenders[name] = (maker, 1 if one_by_one else 8, CROPS if name == "horama" else 1)
    contenders = {k: v for k, v in contenders.items() if chosen is None or k in chosen}
    rows = []
    for depth, layer in LAYERS.items():
        units = awake(module, layer, 8)
        took: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(repeats):
            for name, (maker, images, crops) in contenders.items():
                short, long = (
                    seconds(partial(maker, module, layer, units[:images], SIZE, n), clock)
                    for n in (WARM_UP, WARM_UP + steps)
                )
                took[name].append((long - short) / steps / images / crops * 1000)
        middle = {name: median(times) for name, times in took.items()}
        for name, value in middle.items():
            ratio = middle["ours"] / value if name == "floor" else value / middle["ours"]
            rows.append({"layer": depth, "maker": name, "ms": value, "ratio": ratio})
    return rows


def _peak(which: str, send: Any) -> None:
    torch.set_num_threads(2)
    module = load_network("demo").module
    units = list(range(16))
    maker = floor if which == "floor" else makers()[0]["ours"]
    maker(module, LAYERS["middle"], units[:1], 32, 1)
    before = _high_water()
    maker(module, LAYERS["middle"], units, SIZE, 2)
    send.send(_high_water() - before)


def _high_water() -> float:
    """Peak memory of this process in MB; unlike getrusage's, not inherited from the parent."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def memory() -> dict[str, float]:
    """MB that a batch of 16 adds to the peak of a fresh process."""
    context = multiprocessing.get_context("spawn")
    added = {}
    for which in ("floor", "ours"):
        receive, send = context.Pipe(duplex=False)
        process = context.Process(target=_peak, args=(which, send))
        process.start()
        added[which] = receive.recv()
        process.join()
    return {**added, "ratio": added["ours"] / added["floor"]}


def robust(module: nn.Module, layer: str, units: Sequence[int], images: Tensor) -> list[float]:
    """Mean activation of each image's own channel over 16 fixed shifts, scales and turns."""
    trunk = Trunk(module, [layer], images[:1], normalise)
    scores = torch.zeros(len(units))
    with torch.no_grad():
        for draw in range(16):
            generators = [torch.Generator().manual_seed(draw) for _ in units]
            maps = trunk(apply(TURNS, images, generators))[layer]
            scores += maps[torch.arange(len(units)), list(units)].mean((1, 2)) / 16
    return scores.tolist()


def reach(
    module: nn.Module,
    layer: str,
    units: Sequence[int],
    lucent_steps: int,
    clock: Clock,
    **recipe: Any,
) -> dict[str, Any]:
    """How much sooner ours has Lucent's robust activation, channel by channel."""
    lucent = makers()[0]["lucent"]
    start = clock()
    target = robust(module, layer, units, lucent(module, layer, units, SIZE, lucent_steps))
    theirs = clock() - start
    stamps: dict[int, float] = {}
    start = clock()
    made = FeatureVisualizer(module, layer, normalise).visualize(
        [Channel(unit) for unit in units],
        size=SIZE,
        n_steps=max(MARKS),
        snapshots=MARKS,
        callback=lambda step, scores: stamps.update({step + 1: clock() - start}),
        **recipe,
    )
    curves = {n: robust(module, layer, units, made.snapshots[n]) for n in MARKS}
    sooner, steps = [], []
    for i, wanted in enumerate(target):
        reached = [n for n in MARKS if curves[n][i] >= wanted]
        steps.append(reached[0] if reached else None)
        sooner.append(theirs / stamps[reached[0]] if reached else 0.0)
    share = {n: median(c / t for c, t in zip(curves[n], target, strict=True)) for n in MARKS}
    return {
        "layer": layer,
        "lucent_seconds": theirs,
        "our_seconds": stamps[max(MARKS)],
        "steps_needed": steps,
        "times_sooner": sooner,
        "median_times_sooner": median(sooner),
        "share_of_lucent_by_step": share,
    }


def show(rows: Sequence[dict[str, Any]]) -> None:
    print(f"{'layer':8} {'maker':12} {'ms':>8} {'ratio':>7}  asked")
    for row in rows:
        asked = ASKED.get(row["maker"], "")
        print(f"{row['layer']:8} {row['maker']:12} {row['ms']:8.1f} {row['ratio']:7.2f}  {asked}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=["speed", "memory", "reach"])
    parser.add_argument("--makers", nargs="+", help="besides floor and ours; all unless given")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=5)
    # Long enough that a rescue in the first steps weighs no more than it does in a real run.
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--lucent-steps", type=int, default=512)
    parser.add_argument("--channels", type=int, nargs="+", default=[3, 40, 100, 200])
    parser.add_argument("--out", type=Path, default=Path("feature_vis.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    module = load_network("demo").module
    found, missing = makers()
    figures: dict[str, Any] = {
        "missing": missing,
        "threads": arguments.threads,
        "clock": arguments.clock,
    }
    print("not installed:", ", ".join(missing) or "none")
    if "speed" in arguments.only:
        figures["speed"] = speed(
            module,
            arguments.repeats,
            arguments.steps,
            CLOCKS[arguments.clock],
            arguments.makers and ["floor", "ours", *arguments.makers],
        )
        show(figures["speed"])
    if "memory" in arguments.only:
        figures["memory"] = memory()
        print("memory of a batch of 16, MB:", figures["memory"], "asked: ratio <= 1.3")
    if "reach" in arguments.only and "lucent" in found:
        figures["reach"] = reach(
            module,
            LAYERS["middle"],
            arguments.channels,
            arguments.lucent_steps,
            CLOCKS[arguments.clock],
        )
        print("reach:", json.dumps(figures["reach"], indent=1), "asked: >= 8 times sooner")
    arguments.out.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()

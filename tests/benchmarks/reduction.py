"""How soon the torch solver is as good as its peers, and what it needs.

Run as ``python -m tests.benchmarks.reduction [--groups 4 8 16 32] [--repeats 3] [--only called]
[--out FILE]``. Prints every figure beside what is asked of it, and writes them as JSON. Activations
are those of the demo network on 100 crops of the pictures that scikit-image and scikit-learn ship:
19,600 positions x 672 channels. Times are compared within this run only. ``overcomplete`` takes
part where it is installed (``pip install --target FOLDER --no-deps overcomplete einops
opencv-python-headless`` and FOLDER on ``PYTHONPATH``). Errors are equal within 0.01 %; where the
torch solver ends by itself is given as well. At last both as they are called, turn about, on tables
of 20,000 positions and up to 512 channels: of four layers, and drawn.
"""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from matplotlib import cm, colormaps
from PIL import Image
from skimage import data
from sklearn.datasets import load_sample_images
from sklearn.decomposition import NMF
from torch import Tensor

from captum_blocks.reduce import ChannelReducer, factorize
from captum_blocks.reduce.quality import relative_error
from captum_blocks.zoo import load_network

LAYER, CROPS, MOST = "blocks.4.2.bn1", 100, 120
EQUAL = 1e-4
# Layers of the demo network and how many crops fill a table of them.
LAYERS = {"blocks.2.1.bn1": 26, "blocks.3.1.bn1": 103, LAYER: 103, "bn2": 410}
POSITIONS, CHANNELS = 20_000, 512
ASKED = {
    "scikit-learn": ">= 3 x sooner",
    "overcomplete": "> 1 x sooner",
    "as called": ">= 3 x sooner, error <= 1.001 x",
    "encoding": "<= 3 ms",
    "memory": "<= 2.5 matrices",
}
SHIPPED = ("astronaut", "chelsea", "coffee", "rocket", "hubble_deep_field", "retina")


def crops(count: int) -> list[Image.Image]:
    """Random square crops of the shipped pictures, 40 to 100 % of the shorter side."""
    rng = np.random.default_rng(0)
    pictures = [getattr(data, name)()[..., :3] for name in SHIPPED] + load_sample_images().images
    made = []
    for index in range(count):
        picture = pictures[index % len(pictures)]
        height, width = picture.shape[:2]
        side = int(min(height, width) * rng.uniform(0.4, 1.0))
        y, x = rng.integers(height - side + 1), rng.integers(width - side + 1)
        made.append(Image.fromarray(np.ascontiguousarray(picture[y : y + side, x : x + side])))
    return made


def activations() -> Tensor:
    """(image, channel, y, x) of the demo network."""
    return torch.cat(list(load_network("demo").activations(LAYER, crops(CROPS), batch_size=10)))


def tables() -> dict[str, Tensor]:
    """``(position, channel)`` of layers of the demo network, of noise and of sparse mixtures."""
    network, pictures = load_network("demo"), crops(max(LAYERS.values()))
    drawn = torch.Generator().manual_seed(0)

    def some(count: int, most: int) -> Tensor:
        return torch.randperm(count, generator=drawn)[:most].sort().values

    found = {}
    for layer, count in LAYERS.items():
        maps = torch.cat(list(network.activations(layer, pictures[:count], batch_size=10)))
        rows = maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])
        kept = rows[some(len(rows), POSITIONS)]
        found[layer] = kept[:, some(kept.shape[1], CHANNELS)].contiguous()
    signal = torch.randn(POSITIONS, 40, generator=drawn) @ torch.randn(
        40, CHANNELS, generator=drawn
    )
    noise = torch.randn(POSITIONS, CHANNELS, generator=drawn)
    found["uniform noise"] = torch.rand(POSITIONS, CHANNELS, generator=drawn)
    found["rectified mixture"] = (signal + noise - 2).clamp_min(0)
    return found


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def until(table: Tensor, groups: int, error: float, init: str) -> int:
    """How many iterations the torch solver needs to come down to an error; ``MOST``: never."""
    errors = factorize(table, groups, init=init, tol=0.0, max_iter=MOST).errors
    steps = next((step for step, value in enumerate(errors, 1) if value <= error), MOST)
    # Iterations that were taken back count as well: lengthen the run until it arrives.
    while steps < MOST and by_torch(table, groups, steps, init) > error:
        steps = min(MOST, steps + 3)
    return steps


def by_sklearn(table: Tensor, groups: int) -> float:
    model = NMF(groups, init="nndsvd", random_state=0)
    scores = model.fit_transform(table.numpy())
    return relative_error(table, torch.from_numpy(scores @ model.components_))


def overcomplete_nmf() -> Any:
    """The peer's class, or ``None`` where it is not installed."""
    # Its release 0.3.0 asks on import for a function that matplotlib has removed since.
    if not hasattr(cm, "get_cmap"):
        cm.get_cmap = colormaps.get_cmap
    try:
        return importlib.import_module("overcomplete.optimization").NMF
    except ImportError:
        return None


def by_overcomplete(table: Tensor, groups: int) -> float:
    scores, components = overcomplete_nmf()(groups, tol=1e-4).fit(table, max_iter=200)
    return relative_error(table, scores @ components)


def by_torch(table: Tensor, groups: int, steps: int, init: str) -> float:
    found = factorize(table, groups, init=init, tol=0.0, max_iter=steps)
    return relative_error(table, found.scores @ found.components)


def compare(name: str, peer: Any, table: Tensor, groups: int, repeats: int) -> dict[str, Any]:
    """The peer's median time and its error, ours at that error, and their ratio."""
    # From the same start: from another one, another local minimum is found.
    init = "nndsvda" if name == "overcomplete" else "nndsvd"
    first, error = timed(lambda: peer(table, groups))
    target = error * (1.0 + EQUAL)
    steps = until(table, groups, target, init)
    end = factorize(table, groups, init=init).errors[-1]
    theirs, ours, reached = [first], [], 0.0
    for repeat in range(repeats):
        if repeat:
            theirs.append(timed(lambda: peer(table, groups))[0])
        seconds, reached = timed(lambda: by_torch(table, groups, steps, init))
        ours.append(seconds)
    return {
        "groups": groups,
        "peer": name,
        "peer_seconds": median(theirs),
        "peer_error": error,
        "seconds": median(ours),
        "error": reached,
        "iterations": steps,
        "reached": reached <= target,
        "times_sooner": median(theirs) / median(ours),
        "error_at_own_end": end,
    }


def as_called(table: Tensor, groups: int, repeats: int) -> dict[str, Any]:
    """Both with what they take by default, one after the other: clock, processor time, errors."""
    array = table.numpy()

    def peer() -> Any:
        model = NMF(groups, init="nndsvd", tol=1e-4, max_iter=200)
        return model.fit_transform(array), model

    def ours() -> Any:
        model = ChannelReducer(groups)
        return model.fit_transform(array), model

    taken: dict[Any, list[tuple[float, float]]] = {peer: [], ours: []}
    ends = {}
    for repeat in range(repeats):
        for work in (peer, ours) if repeat % 2 else (ours, peer):
            before = time.process_time()
            seconds, ends[work] = timed(work)
            taken[work].append((seconds, time.process_time() - before))
    errors = [
        relative_error(table, torch.from_numpy(scores @ model.components_))
        for scores, model in (ends[peer], ends[ours])
    ]
    ratios = [
        [theirs[i] / own[i] for theirs, own in zip(taken[peer], taken[ours], strict=True)]
        for i in (0, 1)
    ]
    return {
        "seconds": [median(clock for clock, _ in taken[work]) for work in (peer, ours)],
        "processor_seconds": [median(used for _, used in taken[work]) for work in (peer, ours)],
        "times_sooner": [min(ratios[0]), median(ratios[0]), max(ratios[0])],
        "processor_times_sooner": [min(ratios[1]), median(ratios[1]), max(ratios[1])],
        "iterations": [ends[work][1].n_iter_ for work in (peer, ours)],
        "errors": errors,
        "error_ratio": errors[1] / errors[0],
    }


def show_called(name: str, row: dict[str, Any]) -> None:
    """One pair as called, as a line."""
    low, middle, high = row["times_sooner"]
    least, used, most = row["processor_times_sooner"]
    print(
        f"as called, {name:18s} scikit-learn {row['seconds'][0]:6.2f} s "
        f"({row['iterations'][0]} iterations)  torch {row['seconds'][1]:5.2f} s   "
        f"{middle:4.1f} x ({low:.1f} to {high:.1f}), processor {used:4.1f} x "
        f"({least:.1f} to {most:.1f}), error {row['error_ratio']:.5f} x, "
        f"asked {ASKED['as called']}",
        flush=True,
    )


def show(row: dict[str, Any]) -> None:
    """One comparison as a line."""
    note = "" if row["reached"] else "  (not reached)"
    print(
        f"k={row['groups']:2d}  {row['peer']:12s} {row['peer_seconds']:7.2f} s  "
        f"error {row['peer_error']:.5f}   torch {row['seconds']:6.2f} s  "
        f"error {row['error']:.5f} ({row['iterations']} iterations)   "
        f"{row['times_sooner']:5.1f} x{note}, asked {ASKED[row['peer']]}; "
        f"at its own end {row['error_at_own_end']:.5f}",
        flush=True,
    )


def encoding(maps: Tensor, groups: int) -> float:
    """Median milliseconds to encode one image that was not seen."""
    reducer = ChannelReducer(groups, max_iter=30).fit(maps[1:])
    return 1000 * median(timed(lambda: reducer.transform(maps[:1]))[0] for _ in range(50))


def high_water() -> int:
    """The most memory this process has held, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        # getrusage counts what the parent held before the child was executed; the kernel's own
        # high-water mark does not.
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def peak(path: str, groups: int, queue: Any) -> None:
    """Peak memory of a fit, matrix included, in matrices; in a process of its own."""
    ChannelReducer(2, solver="hals", max_iter=2).fit(torch.rand(64, 32))
    before = high_water()
    table = torch.from_numpy(np.load(path))
    ChannelReducer(groups, solver="hals", max_iter=20).fit(table)
    queue.put((high_water() - before) / table.numel() / table.element_size())


def memory(table: Tensor, groups: int, path: str) -> float:
    np.save(path, table.numpy())
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=peak, args=(path, groups, queue))
    process.start()
    found: float = queue.get(timeout=300)
    process.join()
    return found


def measure(maps: Tensor, groups: Sequence[int], repeats: int) -> dict[str, Any]:
    """Every figure, each printed beside what is asked of it."""
    table = maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1]).contiguous()
    peers = {"scikit-learn": by_sklearn}
    if overcomplete_nmf() is None:
        print("overcomplete is not installed: it is left out")
    else:
        peers["overcomplete"] = by_overcomplete
    figures: dict[str, Any] = {"table": list(table.shape), "threads": torch.get_num_threads()}
    figures |= {"asked": ASKED, "solver": [], "encoding_ms": {}}
    print(f"{len(table)} positions x {table.shape[1]} channels, {figures['threads']} threads")
    for k in groups:
        for name, peer in peers.items():
            figures["solver"].append(compare(name, peer, table, k, repeats))
            show(figures["solver"][-1])
        figures["encoding_ms"][k] = took = encoding(maps, k)
        print(f"k={k:2d}  encoding one image: {took:.2f} ms, asked {ASKED['encoding']}")
    with tempfile.TemporaryDirectory() as folder:
        figures["memory_matrices"] = most = memory(table, max(groups), f"{folder}/table.npy")
    print(f"peak memory of a fit, matrix included: {most:.2f}, asked {ASKED['memory']}")
    figures["as_called"] = measure_called(repeats)
    return figures


def measure_called(repeats: int) -> dict[str, Any]:
    """Both solvers as they are called, on every table."""
    rows = {}
    for name, table in tables().items():
        rows[name] = as_called(table, 16, repeats)
        show_called(name, rows[name])
    return rows


def main(given: Sequence[str] | None = None) -> None:
    """Print every figure and write them all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--groups", type=int, nargs="+", default=[4, 8, 16, 32])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("reduction.json"))
    parser.add_argument("--only", choices=["called"], help="nothing but both as they are called")
    chosen = parser.parse_args(given)
    warnings.simplefilter("ignore")
    if chosen.only:
        figures = {"as_called": measure_called(chosen.repeats)}
    else:
        figures = measure(activations(), chosen.groups, chosen.repeats)
    chosen.out.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()

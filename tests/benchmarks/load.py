"""What a program that runs beside costs: drawing while another process never rests.

Run as ``python -m tests.benchmarks.load [--rounds 8] [--steps 6] [--threads 2] [--out FILE]``.
One step is one of 12 icons of 128 px of the demo network's channels. Each setting has a process of
its own; quiet and loaded they take turns within this run, the order turned about.
Prints medians and spreads beside what is asked. On a machine where others run as well, quiet is
not quiet: look at the load that is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

ASKED_RATIO, ASKED_QUIET = 2.2, 1.03
# What the library chooses by itself, what the command line asks for, and a single thread; and how
# many threads draw side by side.
SETTINGS: dict[str, tuple[dict[str, str], int]] = {
    "spinning": ({}, 1),
    "sleeping": ({"OMP_WAIT_POLICY": "PASSIVE"}, 1),
    "side by side": ({"OMP_WAIT_POLICY": "PASSIVE"}, 2),
    "one thread": ({"OMP_NUM_THREADS": "1"}, 1),
}
OURS = "side by side"
STEPPING = """
import sys, time
from captum_blocks.optim import Channel, FeatureVisualizer, NAdam, lanes
from captum_blocks.zoo import load_network
lanes.MOST = int(sys.argv[1])
net = load_network("demo")
visualizer = FeatureVisualizer(net.module, "blocks.6.0.bn2", net.preprocess.normalise)
channels = [Channel(i) for i in range(12)]
def seconds(steps):
    times = []
    visualizer.visualize(
        channels, size=128, n_steps=steps + 1, optimizer=NAdam(0.8, 0.95),
        callback=lambda step, scores: times.append(time.perf_counter()),
    )
    return (times[-1] - times[0]) / steps
seconds(2)
print("ready", flush=True)
for line in sys.stdin:
    print(seconds(int(line)), flush=True)
"""
Taken = dict[str, dict[str, list[float]]]


@contextmanager
def stepping(setting: dict[str, str], lanes: int, threads: int) -> Iterator[subprocess.Popen[str]]:
    """A process that takes steps when asked."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_"))}
    environment |= {"OMP_NUM_THREADS": str(threads)} | setting
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(
        [sys.executable, "-c", STEPPING, str(lanes)], env=environment, text=True, **pipes
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def busy() -> Iterator[None]:
    """One single-threaded program that never rests."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    time.sleep(0.3)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def seconds(process: subprocess.Popen[str], steps: int) -> float:
    """Seconds a step."""
    assert process.stdin is not None
    assert process.stdout is not None
    print(steps, file=process.stdin, flush=True)
    return float(process.stdout.readline())


def measure(rounds: int, steps: int, threads: int, out: Path) -> Taken:
    """``{setting: {"quiet": seconds of each round, "loaded": ...}}``, written after each round."""
    taken: Taken = {name: {"quiet": [], "loaded": []} for name in SETTINGS}
    with ExitStack() as stack:
        workers = [
            (name, stack.enter_context(stepping(setting, lanes, threads)))
            for name, (setting, lanes) in SETTINGS.items()
        ]
        for turn in range(rounds):
            order = workers if turn % 2 else workers[::-1]
            for name, worker in order:
                taken[name]["quiet"].append(seconds(worker, steps))
            with busy():
                for name, worker in order:
                    taken[name]["loaded"].append(seconds(worker, steps))
            out.write_text(json.dumps(taken, indent=1))
            print(f"round {turn + 1} of {rounds}", flush=True)
    return taken


def show(taken: Taken) -> None:
    """Every setting as a line, beside what is asked of ours."""
    for name, times in taken.items():
        quiet, loaded = median(times["quiet"]), median(times["loaded"])
        pairs = sorted(b / a for a, b in zip(times["quiet"], times["loaded"], strict=True))
        note = f", asked <= {ASKED_RATIO}" if name == OURS else ""
        print(
            f"{name:12s}  quiet {quiet:6.3f} s ({min(times['quiet']):.3f} to "
            f"{max(times['quiet']):.3f})  loaded {loaded:6.3f} s ({min(times['loaded']):.3f} to "
            f"{max(times['loaded']):.3f})  ratio {loaded / quiet:.2f}{note}; "
            f"of pairs {pairs[0]:.2f} to {pairs[-1]:.2f}"
        )
    by_itself, asked_for = (median(taken[name]["quiet"]) for name in ("spinning", OURS))
    print(f"quiet, {OURS} / spinning: {asked_for / by_itself:.3f}, asked <= {ASKED_QUIET}")


def main(given: Sequence[str] | None = None) -> None:
    """Print every figure and write them all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("load.json"))
    chosen = parser.parse_args(given)
    if hasattr(os, "getloadavg"):
        print(f"load before: {os.getloadavg()[0]:.1f}, {os.cpu_count()} processors", flush=True)
    show(measure(chosen.rounds, chosen.steps, chosen.threads, chosen.out))


if __name__ == "__main__":
    main()

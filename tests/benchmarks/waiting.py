"""How long until there are numbers: ``python -m tests.benchmarks.waiting [--repeats 3]``.

From the start of ``captum-blocks demo --open``, and of the full report, with an empty icon store,
until the page stands in Chromium with all its numbers, beside what it takes to import torch, timm
and captum, build the demo network and run it once. Alternating, medians, as ratios. The photographs
of the demo are indexed once before.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Browser, sync_playwright

import captum_blocks as cb
from captum_blocks._demo import NAME, demo_index
from captum_blocks.zoo import demo_photo
from tests.browser.conftest import FLAGS, _chromium

LEAST = """
import torch, timm, captum
from captum_blocks.zoo import load_network
network = load_network("demo").module
with torch.no_grad():
    network(torch.zeros(1, 3, 224, 224))
"""
ASKED = {"demo": 2.5, "report": 4.0}


class Took(NamedTuple):
    """Seconds by the clock, and of the processor, which other programs disturb less."""

    clock: float
    processor: float


def used(process: int) -> float:
    """Seconds of the processor that a running process has used; of Linux."""
    numbers = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")


def least() -> Took:
    """To import, build and run once."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", LEAST], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Took(time.perf_counter() - start, processor)


def until_numbers(
    arguments: Sequence[str], environment: Mapping[str, str], browser: Browser, folder: Path
) -> Took:
    """From the return key to the numbers in the browser; the work is ended then."""
    command = [sys.executable, "-m", "captum_blocks", *arguments, "--open"]
    start = time.perf_counter()
    work = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert work.stdout is not None
    address = re.search(r"http://\S+", work.stdout.readline().decode())
    assert address is not None
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.goto(address[0])
    page.wait_for_selector(".blocks.ready")
    took = Took(time.perf_counter() - start, used(work.pid))
    assert page.locator(".icon.blank").count()
    page.close()
    work.send_signal(signal.SIGINT)
    work.communicate()
    return took


def main() -> None:
    """Alternating runs of all three, then their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as held, sync_playwright() as playwright:
        folder = Path(held)
        environment = {**os.environ, "CAPTUM_BLOCKS_CACHE_DIR": held, "PYTHONUNBUFFERED": "1"}
        for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
            environment.pop(name, None)
        os.environ["CAPTUM_BLOCKS_CACHE_DIR"] = held
        demo_index(cb.load_network("demo"), progress=False)
        demo_photo().save(folder / "photo.png")
        browser = playwright.chromium.launch(executable_path=_chromium(), args=list(FLAGS))
        took: dict[str, list[Took]] = {"least": [], "demo": [], "report": []}
        commands = {"demo": ["demo"], "report": ["explain", "photo.png", "-o", "page.html"]}
        for _ in range(repeats):
            took["least"].append(least())
            for what, arguments in commands.items():
                took[what].append(until_numbers(arguments, environment, browser, folder))
                for kept in folder.iterdir():
                    if kept.is_dir() and kept.name != NAME:
                        shutil.rmtree(kept)
        browser.close()
    medians = {
        what: Took(*map(statistics.median, zip(*held, strict=True))) for what, held in took.items()
    }
    for what, (clock, processor) in medians.items():
        least_clock, least_processor = medians["least"]
        print(
            f"{what}: {clock:.1f} s, of the processor {processor:.1f} s: "
            f"{clock / least_clock:.2f} and {processor / least_processor:.2f} x; "
            f"asked: <= {ASKED.get(what, 1)}"
        )


if __name__ == "__main__":
    main()

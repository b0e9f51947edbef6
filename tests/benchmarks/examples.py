"""What an index of photographs costs and saves: ``python -m tests.benchmarks.examples``.

The demo network at three layers. Four parts, each a ratio of times or of memory, measured in turns:

- build: against a bare loop that reads, preprocesses and runs the same photographs;
- memory: the peak of a process that indexes 5,000 photographs, against one that indexes 500;
- search: the best 9 of 16 directions that nobody knew before, at a middle and a late layer,
  against a new pass over all photographs; the same photographs, and values to 1e-3;
- peer: against semanticlens 0.2.1 at one layer; the same photographs where it is right. Its folder
  is given by ``--peer``, where ``pip install --target`` has put it.

Photographs: those of scikit-image and scikit-learn, Debian's ``tuxpaint-stamps-default``, and tiles
of the wallpapers of ``plasma-workspace-wallpapers`` and ``gnome-backgrounds``, without near
duplicates: of those all have to be looked at again to tell which is the best.
"""

from __future__ import annotations

import argparse
import itertools
import random
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import captum_blocks as cb
from captum_blocks.examples.choosing import choose
from captum_blocks.examples.likeness import alike, signatures
from captum_blocks.hooks import find_layer, run_until, running
from tests.benchmarks.photographs import bundled, others

LAYERS = ("blocks.4.2.bn1", "blocks.5.0.bn1", "bn2")
MIDDLE, LATE = "blocks.4.2.bn1", "bn2"
WALLPAPERS = (Path("/usr/share/wallpapers"), Path("/usr/share/backgrounds"))
TILE, PLAIN, MOST_TILES = 256, 6.0, 200
K, DIRECTIONS, BATCH = 9, 16, 16
FEW, MANY = 500, 5000
SMALL = 64  # pixels of the network's input where only memory is measured


def tiles() -> Iterator[tuple[str, Image.Image]]:
    """(wallpaper, tile), without plain ones, a wallpaper after the other."""
    for root in WALLPAPERS:
        for path in sorted(root.rglob("*")):
            known = path.suffix in (".jpg", ".png", ".webp") and "screenshot" not in path.name
            if known and path.is_file():
                yield from itertools.islice(_tiles_of(path), MOST_TILES)


def _tiles_of(path: Path) -> Iterator[tuple[str, Image.Image]]:
    with Image.open(path) as image:
        whole = image.convert("RGB")
    corners = list(
        itertools.product(
            range(0, whole.height - TILE + 1, TILE), range(0, whole.width - TILE + 1, TILE)
        )
    )
    random.Random(0).shuffle(corners)
    for top, left in corners:
        tile = whole.crop((left, top, left + TILE, top + TILE))
        if np.asarray(tile, np.float32).std() > PLAIN:
            yield "-".join(path.parts[4:]), tile


def photographs(folder: Path, count: int) -> Path:
    """So many real photographs as JPEG files, in a folder for each that they were cut from."""
    real = unlike(
        itertools.chain(
            ((source, picture) for source, _, picture in bundled()),
            ((source, picture) for source, _, picture in others()),
            tiles(),
        )
    )
    number = 0
    for number, (source, picture) in enumerate(itertools.islice(real, count), 1):
        _save(folder, source, number, picture)
    if number < count:
        print(f"only {number} photographs are there: install the packages named above")
    return folder


def unlike(pictures: Iterable[tuple[str, Image.Image]]) -> Iterator[tuple[str, Image.Image]]:
    """Those that are not nearly the same as one before: patterns repeat themselves all over."""
    small = cb.Preprocess(SMALL, (0.498,) * 3, (0.502,) * 3, fit="crop", resize=SMALL * 8 // 7)
    hashes, colours, count = np.zeros(2**16, np.uint64), np.zeros((2**16, 12), np.float16), 0
    for source, picture in pictures:
        own, quarters = signatures(small(picture))
        hashes[count], colours[count] = own[0], quarters[0]
        if not alike(hashes, colours, count, np.arange(count)).any():
            count += 1
            yield source, picture


def _save(folder: Path, source: str, number: int, picture: Image.Image) -> None:
    place = folder / source.replace("/", "-")
    place.mkdir(parents=True, exist_ok=True)
    picture.save(place / f"{number:05d}.jpg", quality=92)


def listed(folder: Path) -> list[Path]:
    """The photographs, in the order of an index."""
    files = (path for path in folder.rglob("*.jpg") if path.is_file())
    return sorted(files, key=lambda path: path.relative_to(folder).as_posix())


def seconds(work: Callable[[], Any]) -> np.ndarray:
    """How long something takes, and for how long it keeps processors busy."""
    start = np.array([time.perf_counter(), time.process_time()])
    work()
    return np.array([time.perf_counter(), time.process_time()]) - start


def ratio_of(taken: Sequence[tuple[np.ndarray, np.ndarray]]) -> str:
    """The median of second to first, by the clock, and by busy processors, which is steadier."""
    clock, busy = np.median([after / before for before, after in taken], axis=0)
    return f"{clock:.2f} x ({busy:.2f} x of busy processors)"


def bare(net: cb.Network, paths: Sequence[Path]) -> None:
    """Read, preprocess, forward."""
    with torch.no_grad():
        for start in range(0, len(paths), BATCH):
            net.module(torch.cat([net.read(path) for path in paths[start : start + BATCH]]))


def build(net: cb.Network, folder: Path, **how: Any) -> cb.ExampleIndex:
    """An index, quietly."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return cb.ExampleIndex.build(net, folder, LAYERS, batch_size=BATCH, progress=False, **how)


def measure_build(net: cb.Network, folder: Path, rounds: int) -> None:
    """Print the ratio of building to a bare loop."""
    paths = listed(folder)
    bare(net, paths[: 2 * BATCH])
    taken = [
        (seconds(lambda: bare(net, paths)), seconds(lambda: build(net, folder)))
        for _ in range(rounds)
    ]
    print(
        f"build: {len(paths)} photographs, {len(LAYERS)} layers, "
        f"{np.median([own[0] for _, own in taken]):.1f} s, {ratio_of(taken)} a bare loop; "
        "asked: <= 1.2"
    )


class Made:
    """Pictures made from their numbers: nothing of them is held."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        coarse = np.random.default_rng(index).integers(0, 256, (9, 9, 3), dtype=np.uint8)
        return Image.fromarray(coarse).resize((SMALL, SMALL)), index % 10


def hold(count: int) -> None:
    """Index so many pictures, and print the most memory that this process took."""
    demo = cb.load_network("demo")
    net = cb.Network(demo.module, cb.Preprocess(SMALL, (0.498,) * 3, (0.502,) * 3))
    build(net, Made(count))  # type: ignore[arg-type]
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def measure_memory(few: int, many: int) -> None:
    """Print the ratio of peaks."""
    command = [sys.executable, "-m", "tests.benchmarks.examples", "--hold"]
    peaks = [
        int(subprocess.run([*command, str(n)], check=True, capture_output=True).stdout.split()[-1])
        for n in (few, many)
    ]
    print(
        f"memory: {many} pictures of {SMALL} pixels take {peaks[1] / 1e6:.2f} GB at most, "
        f"{peaks[1] / peaks[0]:.3f} x what {few} take; asked: <= 1.1"
    )


def new_pass(
    net: cb.Network, paths: Sequence[Path], layer: str, directions: torch.Tensor
) -> np.ndarray:
    """(photograph, direction) the largest activation along each, by looking at all of them."""
    module, found = {layer: find_layer(net.module, layer)[1]}, []
    with torch.no_grad(), running(net.module):
        for start in range(0, len(paths), BATCH):
            x = torch.cat([net.read(path) for path in paths[start : start + BATCH]])
            maps = run_until(net.module, module, x)[layer].flatten(2)
            found.append(torch.matmul(directions, maps).amax(2))
    return torch.cat(found).numpy()


def fitted(net: cb.Network, layer: str, paths: Sequence[Path]) -> torch.Tensor:
    """Half of the directions: neuron groups of single photographs; the others drawn at random."""
    width = next(info for info in [net.read(paths[0])])
    maps = torch.cat(list(net.activations(layer, [width, net.read(paths[-1])])))
    reducer = cb.ChannelReducer(n_components=DIRECTIONS // 2, algorithm="semi_nmf")
    reducer.fit(maps)
    groups = torch.as_tensor(np.asarray(reducer.components_), dtype=torch.float32)
    drawn = torch.randn(DIRECTIONS // 2, maps.shape[1], generator=torch.Generator().manual_seed(0))
    made = torch.cat([groups, drawn])
    return made / made.norm(dim=1, keepdim=True)


def _into(held: list[Any], work: Callable[..., Any], *given: Any, **named: Any) -> None:
    held.append(work(*given, **named))


def measure_search(net: cb.Network, folder: Path, index: cb.ExampleIndex) -> None:
    """Print how much sooner directions are answered than by a new pass, and whether rightly."""
    paths = listed(folder)
    looks = index._stored.looks
    for layer in (MIDDLE, LATE):
        directions = fitted(net, layer, paths)
        held: list[Any] = []
        own = seconds(partial(_into, held, index.top, directions, K, layer=layer))
        anew = seconds(partial(_into, held, new_pass, net, paths, layer, directions))
        found, values = held
        wrong, apart = 0, 0.0
        for number, examples in enumerate(found):
            exact = values[:, number]
            wanted = choose(np.argsort(-exact, kind="stable"), looks, K)
            wrong += [each.image for each in examples] != wanted
            gaps = [abs(e.value / exact[e.image] - 1) for e in examples]
            apart = max(apart, *gaps)
        print(
            f"search: {DIRECTIONS} directions at {layer} over {len(paths)} photographs, "
            f"{own[0]:.1f} s against {anew[0]:.1f} s: a new pass takes {ratio_of([(own, anew)])} "
            "(asked: >= 20); "
            f"{wrong} of {len(found)} lists differ, values to {apart:.1g}"
        )


def measure_peer(net: cb.Network, folder: Path, site: str, rounds: int) -> None:
    """Print how much sooner than semanticlens one layer is indexed, and whether it agrees."""
    sys.path.append(site)
    from semanticlens.component_visualization import ActivationComponentVisualizer

    paths = listed(folder)

    class Read:
        name = "photographs"

        def __len__(self) -> int:
            return len(paths)

        def __getitem__(self, number: int) -> tuple[torch.Tensor, int]:
            return net.read(paths[number])[0], 0

    def aggregate(maps: torch.Tensor) -> torch.Tensor:
        return maps.flatten(2).amax(2)

    held: dict[str, Any] = {}

    def theirs() -> None:
        visualizer = ActivationComponentVisualizer(
            net.module, Read(), Read(), [MIDDLE], K, aggregate_fn=aggregate
        )
        held["theirs"] = visualizer.run(batch_size=BATCH)[MIDDLE]

    def ours() -> None:
        held["ours"] = cb.ExampleIndex.build(
            net, folder, MIDDLE, keep="extremes", batch_size=BATCH, progress=False
        )

    taken = [(seconds(ours), seconds(theirs)) for _ in range(rounds)]
    ids = held["theirs"].sample_ids
    table = held["ours"]._stored.layer(0)
    # Theirs keeps half of single precision's digits: of values that tie there, any may come first.
    same = np.mean(
        [
            len(set(ids[channel].tolist()) & set(table["top_rows"][:K, channel].tolist())) / K
            for channel in range(len(ids))
        ]
    )
    print(
        f"peer: {MIDDLE} over {len(paths)} photographs: semanticlens takes {ratio_of(taken)} "
        f"(asked: >= 1.3); {same:.1%} of its photographs are the same, {(ids < 0).sum()} are none"
    )


def main() -> None:
    """All parts, or one of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=("build", "memory", "search", "peer"))
    parser.add_argument("--count", type=int, default=600, help="photographs to build of")
    parser.add_argument("--many", type=int, default=MANY, help="photographs to search")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer", default="", help="folder of semanticlens")
    parser.add_argument("--hold", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.hold:
        hold(chosen.hold)
        return
    print(f"{torch.get_num_threads()} threads")
    parts = (chosen.part,) if chosen.part else ("build", "memory", "peer", "search")
    net = cb.load_network("demo")
    with tempfile.TemporaryDirectory() as held:
        if "memory" in parts:
            measure_memory(FEW, MANY)
        folder = photographs(Path(held) / "few", chosen.count)
        if "build" in parts:
            measure_build(net, folder, chosen.rounds)
        if "peer" in parts and chosen.peer:
            measure_peer(net, folder, chosen.peer, chosen.rounds)
        if "search" in parts:
            folder = photographs(Path(held) / "many", chosen.many)
            measure_search(net, folder, build(net, folder))


if __name__ == "__main__":
    main()

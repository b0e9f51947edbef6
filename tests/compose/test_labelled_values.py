"""Whatever is done to a value, what is kept and what is left out add up to what there was."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import captum_blocks as cb
from captum_blocks.compose.evaluation.subsets import HIGHEST, LOWEST
from captum_blocks.compose.evaluation.values import Value
from captum_blocks.errors import InvalidArgument, MissingDependency
from captum_blocks.grammar import Content
from tests.reference.ledger import Ledger
from tests.reference.raw_numbers import Start, World, look

REGIONS = ((0, 0, 0.5, 1), (0.2, 0.3, 0.9, 0.8), (0.5, 0.5, 1, 1), (0.4, 0.4, 0.45, 0.45))
HOWS = ("mean", "sum", "max")


@pytest.fixture(scope="module")
def world(small: cb.Network) -> World:
    return look(small)


@dataclass(frozen=True, eq=False)
class Chain:
    """A content as far as it has got, and what its numbers have to be."""

    start: Start
    content: Content
    ledger: Ledger
    steps: tuple[tuple[str, int], ...] = ()


# Of a chain and a number that decides about details: the next content, and its ledger, or None
# where the content means nothing and has to be refused. None instead of both: not to be tried.
Made = tuple[Content, Ledger | None] | None


def _image(world: World, chain: Chain, n: int) -> Made:
    image = chain.ledger.images[n % len(chain.ledger.images)]
    return chain.content.filter(image=image), chain.ledger.image(image)


def _to(world: World, chain: Chain, n: int) -> Made:
    targets = chain.ledger.targets
    if not targets:
        return chain.content.filter(to=0), None
    sizes = [len(coordinates) for _, coordinates in targets]
    place = n % int(np.prod(sizes))
    where = place if len(sizes) == 1 else divmod(place, sizes[1])
    stays = targets[0][0] in ("class", "to_group")
    return chain.content.filter(to=where), chain.ledger.to(place, drop=not stays)


def _at(world: World, chain: Chain, n: int) -> Made:
    ledger = chain.ledger
    axes = [axis for axis in ("y", "x") if axis in ledger.axes] or list(ledger.axes[:1])
    if not axes:
        return chain.content.filter(at=0), None
    if not ledger.atoms:
        return None
    places = []
    for axis in axes:
        there = list(dict.fromkeys(each[ledger.axes.index(axis)] for each in ledger.atoms))
        places.append(n % len(there))
        ledger = ledger.at(axis, there[places[-1]])
    return chain.content.filter(at=tuple(places) if len(places) > 1 else places[0]), ledger


def _within(world: World, chain: Chain, n: int) -> Made:
    if chain.ledger.mapped is None:
        return None
    region = REGIONS[n % len(REGIONS)]
    ledger = chain.ledger.within(region) if chain.ledger.mapped else None
    return chain.content.filter(within=region), ledger


def _ranked(how: str, by: bool = False) -> Callable[[World, Chain, int], Made]:
    def step(world: World, chain: Chain, n: int) -> Made:
        row, judging = chain.ledger.in_a_row(), world.starts.get(chain.start.judge)
        if not row.axes or (by and judging is None):
            return None
        judge = judging.ledger.in_a_row() if by else row
        middle = float(np.median(judge.numbers())) if judge.atoms else 0.0
        wanted = (0.0, middle, 1e9)[n % 3] if how == "above" else 1 + n % 4
        words = {how: wanted, **({"by": judging.content} if by else {})}
        content = chain.content.filter(**words)
        if len(row.axes) > 1 or row.axes != judge.axes or list(row.atoms) != list(judge.atoms):
            return content, None
        kept = [(index,) for index in world.value(content).coords[row.axes[0]]]
        _check_ranking(dict(zip(judge.atoms, _strengths(judge, how), strict=True)), kept, wanted)
        return content, row.keep(kept, "not shown")

    return step


def _strengths(ledger: Ledger, how: str) -> list[float]:
    """What decides about each atom: its largest number over images and targets, and so on."""
    numbers = ledger.numbers().transpose(2, 0, 1)
    change = {"bottom": np.negative, "strongest": np.abs}.get(how, np.positive)
    return [float(change(of_atom).max()) for of_atom in numbers]


def _check_ranking(
    strengths: dict[tuple[int, ...], float], kept: list[tuple[int, ...]], wanted: float
) -> None:
    """Those that are kept are the strongest, in order; equals may stand in any."""
    chosen = [strengths[each] for each in kept]
    others = [strength for each, strength in strengths.items() if each not in kept]
    slack = 1e-5 * max(map(abs, strengths.values()), default=0.0)
    if isinstance(wanted, float):
        assert all(strength > wanted - slack for strength in chosen)
        assert all(strength <= wanted + slack for strength in others)
        return
    assert len(chosen) == min(wanted, len(strengths))
    assert all(one >= after - slack for one, after in pairwise(chosen))
    assert not others or not chosen or min(chosen) >= max(others) - slack


def _over_images(world: World, chain: Chain, n: int) -> Made:
    how = HOWS[n % 3]
    return chain.content.aggregate("image", how), chain.ledger.over_images(how)


def _over_targets(world: World, chain: Chain, n: int) -> Made:
    how, targets = HOWS[n % 3], chain.ledger.targets
    if len(targets) > 1:
        return None
    if not targets:
        return chain.content.aggregate("class", how), None
    return chain.content.aggregate(targets[0][0], how), chain.ledger.over_targets(how)


def _over_atoms(world: World, chain: Chain, n: int) -> Made:
    how, ledger = HOWS[n % 3], chain.ledger
    if not ledger.axes:
        return chain.content.aggregate("channel", how), None
    axis = ledger.axes[n % len(ledger.axes)]
    if not ledger.atoms and len(ledger.axes) > 1:
        return None
    possible = ledger.atoms or how == "sum"
    after = ledger.over_atoms(axis, how) if possible else None
    return chain.content.aggregate(axis, how), after


def _normalise(world: World, chain: Chain, n: int) -> Made:
    by = ("max", "sum")[n % 2]
    return chain.content.normalise(by), chain.ledger.normalise(by)


def _other_class(world: World, chain: Chain, n: int) -> Made:
    if not chain.start.other:
        return None
    other = walk(world, chain.start.other, chain.steps)
    if other.steps != chain.steps:
        return None
    same = list(chain.ledger.atoms) == list(other.ledger.atoms)
    after = chain.ledger.minus(other.ledger) if same else None
    return chain.content.difference(other.content), after


def _other_image(world: World, chain: Chain, n: int) -> Made:
    images = chain.ledger.images
    if len(images) == 1:
        return None
    one, other = images[n % len(images)], images[(n + 1) % len(images)]
    content = chain.content.filter(image=one).difference(chain.content.filter(image=other))
    return content, chain.ledger.image(one).minus(chain.ledger.image(other))


STEPS: dict[str, Callable[[World, Chain, int], Made]] = {
    "image": _image,
    "to": _to,
    "at": _at,
    "within": _within,
    **{how: _ranked(how) for how in ("top", "bottom", "strongest", "above")},
    "strongest by": _ranked("strongest", by=True),
    "top by": _ranked("top", by=True),
    "over images": _over_images,
    "over targets": _over_targets,
    "over atoms": _over_atoms,
    "normalise": _normalise,
    "minus another class": _other_class,
    "minus another image": _other_image,
}


def walk(world: World, start: str, steps: tuple[tuple[str, int], ...]) -> Chain:
    """Take the steps that mean something, and check the numbers after each."""
    begin = world.starts[start]
    chain = Chain(begin, begin.content, begin.ledger)
    _check(world.value(chain.content), chain.ledger)
    for name, n in steps:
        made = STEPS[name](world, chain, n)
        if made is None:
            continue
        content, ledger = made
        if ledger is None:
            with pytest.raises(InvalidArgument):
                world.value(content)
            continue
        _check(world.value(content), ledger)
        chain = Chain(begin, content, ledger, (*chain.steps, (name, n)))
    return chain


def _check(value: Value, ledger: Ledger) -> None:
    """The value is what the ledger says, number by number."""
    slack = 1e-6 * max(1e-6, float(np.abs(ledger.raw).sum(2).max()))
    leading = ledger.raw.shape[:2]

    def equal(found: Tensor | np.ndarray, expected: np.ndarray) -> None:
        found = np.asarray(found, dtype=float).reshape(expected.shape)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=slack)

    shown = value.data.double().numpy().reshape(*leading, -1 if ledger.atoms else 0)
    equal(shown, ledger.numbers())
    equal(
        shown.sum(2) + sum(_flat(held, leading) for held in value.remainder.values()), ledger.total
    )
    equal(value.total, ledger.total)
    assert value.remainder.keys() == ledger.lost.keys()
    for name, held in value.remainder.items():
        equal(held, np.broadcast_to(ledger.lost[name], leading))
    for name, held in value.remainder_maps.items():
        equal(held.sum((-2, -1)), np.asarray(value.remainder[name], dtype=float))
    if value.maps is not None and ledger.mapped and ledger.atoms:
        equal(value.maps, ledger.maps())
    elif value.maps is not None and not ledger.atoms:
        assert not value.maps.any()
    _check_names(value, ledger)


def _flat(held: Tensor, leading: tuple[int, ...]) -> np.ndarray:
    return held.double().numpy().reshape(leading)


def _check_names(value: Value, ledger: Ledger) -> None:
    sizes = dict(zip(value.axes, value.data.shape, strict=True))
    assert value.axes == ("image", *(axis for axis, _ in ledger.targets), *ledger.axes)
    assert value.coords["image"] == tuple(ledger.images)
    for axis, there in ledger.targets:
        assert value.coords[axis] == tuple(there)
    assert list(product(*(value.coords[axis] for axis in ledger.axes))) == list(ledger.atoms)
    assert {axis: len(value.coords[axis]) for axis in value.axes} == sizes
    assert {axis: len(names) for axis, names in value.labels.items()} == {
        axis: sizes[axis] for axis in value.labels
    }
    assert all(sizes[axis] <= count for axis, count in value.counts.items())
    of_source = {axis: at for axis, at in value.places.items() if not axis.startswith("to_")}
    assert of_source == ledger.picked


FEW_STEPS = st.lists(st.tuples(st.sampled_from(list(STEPS)), st.integers(0, 59)), max_size=5)


@settings(max_examples=500)
@given(data=st.data())
def test_kept_and_left_out_add_up_after_every_step(world: World, data: st.DataObject) -> None:
    start = data.draw(st.sampled_from(list(world.starts)))
    walk(world, start, tuple(data.draw(FEW_STEPS)))


CHANGES: dict[str, Callable[[Content, Content], Content]] = {
    "image": lambda content, judge: content.filter(image=1),
    "class": lambda content, judge: content.filter(to=1),
    "atom": lambda content, judge: content.filter(at=1),
    "region": lambda content, judge: content.filter(within=REGIONS[0]),
    "other region": lambda content, judge: content.filter(within=REGIONS[1]),
    "ranked": lambda content, judge: content.filter(strongest=2, by=judge),
    "images": lambda content, judge: content.aggregate("image", "sum"),
    "classes": lambda content, judge: content.aggregate("class", "mean"),
    "normalised": lambda content, judge: content.normalise("sum"),
}
# Not among them: what counts places among those that the other leaves, or divides by their sum.
COMMUTING = (
    *product(("image",), ("class", "atom", "region", "ranked", "classes", "normalised")),
    *product(("class",), ("atom", "region", "ranked", "images", "normalised")),
    *product(("region",), ("atom", "other region", "ranked", "images", "classes")),
    *product(("images", "classes"), ("atom", "ranked")),
    ("images", "classes"),
)


CASES = [
    (start, one, other)
    for start, (one, other) in product(
        ("channel 20", "group 20", "channel fires", "group fires"), COMMUTING
    )
    if "fires" not in start or not {"class", "classes"} & {one, other}
]


@pytest.mark.parametrize(("start", "one", "other"), CASES)
def test_what_decides_about_different_axes_commutes(
    world: World, start: str, one: str, other: str
) -> None:
    begin, judge = world.starts[start], world.starts[world.starts[start].judge].content
    first = world.value(CHANGES[other](CHANGES[one](begin.content, judge), judge))
    second = world.value(CHANGES[one](CHANGES[other](begin.content, judge), judge))
    _check_same(first, second)


@pytest.mark.parametrize("change", ["image", "atom", "region", "ranked", "images"])
@pytest.mark.parametrize("atom", ["channel", "group"])
def test_a_difference_may_be_taken_before_or_after(world: World, atom: str, change: str) -> None:
    one, other = (world.starts[f"{atom} {index}"].content for index in (0, 1))
    judge = world.starts[f"{atom} fires"].content
    first = world.value(CHANGES[change](one.difference(other), judge))
    second = world.value(CHANGES[change](one, judge).difference(CHANGES[change](other, judge)))
    _check_same(first, second)


def _check_same(first: Value, second: Value) -> None:
    """The same numbers; only what is left out may bear other names."""
    assert first.axes == second.axes
    assert first.coords == second.coords
    assert first.labels == second.labels
    slack = 1e-5 * float(first.data.abs().max() + first.total.abs().max())
    for name in ("data", "total", "maps"):
        ours, theirs = getattr(first, name), getattr(second, name)
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=slack)


def test_a_remainder_is_named_by_who_asks(world: World) -> None:
    value = world.value(world.starts["channel 20"].content)
    some = value.select("channel", [4, 0], rest="quiet").at("channel", 1, rest="quiet")
    assert some.axes == ("image", "class")
    assert some.places == {"channel": 0}
    torch.testing.assert_close(some.data, value.data[:, :, 0])
    torch.testing.assert_close(some.remainder["quiet"], value.data[:, :, 1:].sum(2))
    one = value.at("image", 2)
    assert one.coords["image"] == (2,)
    torch.testing.assert_close(one.data, value.data[2:])
    assert not one.remainder


def test_a_region_of_channels_is_read_from_their_maps(world: World) -> None:
    value = world.value(world.starts["channel fires"].content)
    upper = value.select("y", [0, 1], rest="below")
    torch.testing.assert_close(upper.data, value.maps[:, :, :2].mean((2, 3)))
    torch.testing.assert_close(upper.total, value.data.sum(1))
    assert upper.select("y", [1]).coords["y"] == (1,)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda value: value.select("channel", [3, 10]), r"has 10 channels, no 10"),
        (lambda value: value.select("class", [-1]), r"Out\(2, 0\) has 2 places along 'class', no"),
        (lambda value: value.select("image", [3]), r"has 3 places along 'image', no 3"),
        (lambda value: value.at("group", 0), r"has axes image, class, channel, no 'group'"),
        (lambda value: value.at("y", 0), r"has axes image, class, channel, no 'y'"),
        (lambda value: value.reduce("channel", "median"), r"'median' is none of mean, sum, max"),
        (
            lambda value: value.select("channel", []).reduce("channel", "max"),
            r"nothing is left to take the max of over channel",
        ),
    ],
)
def test_places_that_are_not_there(world: World, wrong, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        wrong(world.value(world.starts["channel 20"].content))


def test_a_photograph_picked_before_is_not_another(world: World) -> None:
    second = world.starts["channel 20"].content.filter(image=1)
    torch.testing.assert_close(world.value(second.filter(image=1)).data, world.value(second).data)
    with pytest.raises(InvalidArgument, match=r"image=0: these numbers are of '1'"):
        world.value(second.filter(image=0))
    mean = world.starts["channel 20"].content.aggregate("image")
    with pytest.raises(InvalidArgument, match=r"image=2: .* are of mean over 3 photographs"):
        world.value(mean.filter(image=2))


def test_other_answers_are_columns_of_a_table(small: cb.Network, small_x: Tensor) -> None:
    groups = cb.Hidden("late").groups(2)
    content = cb.Attribution(groups, cb.Out(0, 1), method="ShapleyValues")
    value = cb.evaluate(content, small, small_x)
    assert LOWEST in value.also
    frame = value.to_frame()
    names = {HIGHEST: "in other fits to"}
    expected = [names.get(name, name) for name in value.also]
    assert list(frame.columns) == ["image", "class", "group", "value", *expected, "remainder"]
    atoms = frame[frame["remainder"].isna()]
    for name, held in value.also.items():
        np.testing.assert_array_equal(atoms[names.get(name, name)], held.flatten().numpy())
    assert frame[frame["remainder"] == "residual"][expected].isna().all(axis=None)


def test_labelled_arrays_of_another_library(world: World) -> None:
    value = world.value(world.starts["group 20"].content.filter(top=1))
    arrays = value.to_xarray()
    assert dict(arrays.sizes) == {"image": 3, "class": 2, "group": 1}
    assert set(arrays.data_vars) == {"value", "residual", "not shown"}
    assert arrays["value"].attrs == arrays["residual"].attrs == {"units": "logit"}
    assert arrays.attrs["source"] == "Hidden('late').groups(2)"
    assert arrays.attrs["target"] == "Out(2, 0)"
    toward = arrays.sel({"class": 0})
    total = toward["value"].sum("group") + toward["residual"] + toward["not shown"]
    np.testing.assert_allclose(total.values, value.total[:, 1], rtol=1e-5)
    arrays["value"][:] = 0
    assert value.data.abs().sum() > 0


def test_labels_and_picked_places_are_coordinates(world: World) -> None:
    value = world.value(world.starts["factors"].content.filter(at=(1, 2)))
    arrays = value.to_xarray()
    assert tuple(arrays["to_group_label"].values) == value.labels["to_group"]
    assert arrays["to_group_label"].dims == ("to_group",)
    assert (int(arrays["y"]), int(arrays["x"])) == (1, 2)


@pytest.mark.parametrize(("package", "method"), [("pandas", "to_frame"), ("xarray", "to_xarray")])
def test_tables_need_their_library(
    world: World, monkeypatch: pytest.MonkeyPatch, package: str, method: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    value = world.value(world.starts["whole 0"].content)
    with pytest.raises(MissingDependency, match=f"{method} needs {package}: pip install {package}"):
        getattr(value, method)()

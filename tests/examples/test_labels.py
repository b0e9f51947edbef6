"""Which labels units prefer: as the formulas say, and no more often by chance than asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import perf_counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from captum_blocks.errors import InvalidArgument, MissingDependency
from captum_blocks.examples._chance import Asked, average_precision, chances, discovered
from captum_blocks.examples.labels import Preference, preferred_labels
from tests.reference import preferences as reference

Case = tuple[np.ndarray, np.ndarray, "np.ndarray | None"]
LABELS = np.repeat(["cat", "dog", "pig", "owl"], 25)


def planted(rng: np.random.Generator, units: int = 6, preferring: int = 2) -> np.ndarray:
    """(image, unit) noise, the first units higher for dogs."""
    values = rng.normal(size=(len(LABELS), units))
    values[np.ix_(LABELS == "dog", range(preferring))] += 1.5
    return values


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans(), st.booleans()), min_size=1))
def test_average_precision_is_scikit_learns(rows: list[tuple[int, bool, bool]]) -> None:
    values = np.array([row[0] for row in rows], dtype=float)
    has = np.array([row[1:] for row in rows])
    has[0] = True
    found = average_precision(values, has)
    for label in range(2):
        assert found[label] == pytest.approx(average_precision_score(has[:, label], values))
        loops = reference.average_precision(values.tolist(), has[:, label].tolist())
        assert found[label] == pytest.approx(loops)


def test_a_plain_table_is_told_as_scikit_learn_tells_it() -> None:
    values = np.maximum(planted(np.random.default_rng(0)), 0)
    found = preferred_labels(values, LABELS).found
    assert {(each.unit, each.label) for each in found} == {(0, "dog"), (1, "dog")}
    for each in found:
        wanted = average_precision_score(each.label == LABELS, values[:, each.unit])
        assert each.average_precision == pytest.approx(wanted)
        assert (each.prevalence, each.lift) == (0.25, each.average_precision - 0.25)


def test_random_orders_are_permuted_labels() -> None:
    """One table of random orders gives the p that permuting labels unit by unit gives."""
    rng = np.random.default_rng(3)
    labels = ["a"] * 8 + ["b"] * 12 + ["c"] * 20
    values = rng.normal(size=(40, 6))
    values[:8] += np.linspace(0, 1.2, 6)
    asked = Asked.of(values, labels, range(40), 5)
    p = chances(asked, 4000, rng).min(1)
    for unit in range(6):
        slow = reference.p_of_the_best(values[:, unit].tolist(), labels, 400, unit)
        error = np.sqrt(p[unit] * (1 - p[unit]) / 400)
        assert abs(p[unit] - slow) < 4 * error + 0.005
    assert p.min() < 0.05 < p.max()


@given(st.lists(st.sampled_from([0.001, 0.01, 0.02, 0.03, 0.04, 0.2, 1.0]), min_size=1))
def test_discoveries_are_benjamini_and_hochbergs(p: list[float]) -> None:
    limit = discovered(np.array(p), 0.05)
    found = {unit for unit, each in enumerate(p) if each <= limit}
    assert found == reference.discovered(p, 0.05)


def noise(rng: np.random.Generator) -> Case:
    return rng.normal(size=(150, 12)), rng.integers(0, 8, 150), None


def mostly_zero(rng: np.random.Generator) -> Case:
    return np.maximum(rng.normal(size=(150, 12)) - 1, 0), rng.integers(0, 8, 150), None


def alike(rng: np.random.Generator) -> Case:
    shared = rng.normal(size=(150, 2)) @ rng.normal(size=(2, 12))
    return shared + 0.3 * rng.normal(size=(150, 12)), rng.integers(0, 8, 150), None


def tiles(rng: np.random.Generator) -> Case:
    """Eight tiles of each photograph, alike in what excites, and in the label."""
    source = np.repeat(np.arange(60), 8)
    values = rng.normal(size=(60, 12))[source] + 0.5 * rng.normal(size=(480, 12))
    return values, rng.integers(0, 5, 60)[source], source


def tiled_or_not(rng: np.random.Generator) -> Case:
    """All photographs of one label are cut into tiles: their means vary less."""
    source = np.repeat(np.arange(80), [1] * 40 + [20] * 40)
    label = np.where(source < 40, 0, 1)
    return rng.normal(size=(len(source), 12)), label, source


def share_of_false_claims(make: Callable[[np.random.Generator], Case], runs: int = 100) -> float:
    """How often anything is found where there is nothing, which is the false discovery rate."""
    found = 0
    for run in range(runs):
        values, labels, sources = make(np.random.default_rng(run))
        told = preferred_labels(values, labels, sources, least=0, permutations=300, seed=run)
        found += bool(told.found)
    return found / runs


@pytest.mark.parametrize("make", [noise, mostly_zero, alike, tiles, tiled_or_not])
def test_chance_is_no_preference(make: Callable[[np.random.Generator], Case]) -> None:
    # Two standard errors of a hundred runs above what is asked for.
    assert share_of_false_claims(make) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 100)


def test_tiles_would_deceive_who_takes_them_for_photographs() -> None:
    def naive(rng: np.random.Generator) -> Case:
        return (*tiles(rng)[:2], None)

    assert share_of_false_claims(naive, 10) > 0.9


def test_sizes_would_deceive_who_permutes_over_all_photographs() -> None:
    values, labels, sources = tiled_or_not(np.random.default_rng(0))
    assert sources is not None
    asked = Asked.of(values, labels.tolist(), sources.tolist(), 5)
    assert len(asked.strata) == 2
    whole = Asked(asked.values, asked.labels, asked.members, (np.arange(80),))
    assert (chances(whole, 300, np.random.default_rng(0)) < 0.05).any(1).mean() > 0.5
    assert (chances(asked, 300, np.random.default_rng(0)) < 0.05).any(1).mean() < 0.2


def test_preference_is_found_among_tiles() -> None:
    rng = np.random.default_rng(0)
    source = np.repeat(np.arange(90), rng.integers(1, 20, 90))
    label = np.array(["cat", "dog", "pig"])[np.arange(90) % 3]
    values = (rng.normal(size=(90, 8)) + 2 * np.outer(label == "dog", np.arange(8) == 5))[source]
    told = preferred_labels(values + rng.normal(size=values.shape), label[source], source)
    assert [(each.unit, each.label) for each in told.found] == [(5, "dog")]
    assert told.sources == 90


def test_false_ones_are_few_among_those_found() -> None:
    false, found = [], 0
    for run in range(40):
        told = preferred_labels(
            planted(np.random.default_rng(run), 24, 12), LABELS, least=0, permutations=500
        ).found
        units = {each.unit for each in told}
        false.append(len([unit for unit in units if unit >= 12]) / max(1, len(units)))
        found += len([unit for unit in units if unit < 12])
    assert np.mean(false) <= 0.05
    assert found / (40 * 12) > 0.95


def test_a_lift_too_small_to_tell_is_not_told() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(["a", "b"], 400)
    values = rng.normal(size=(800, 1)) + 0.25 * (labels == "b")[:, None]
    assert [each.label for each in preferred_labels(values, labels, least=0.01).found] == ["b"]
    assert preferred_labels(values, labels, least=0.2).found == ()


def test_photograph_of_two_labels_counts_for_both() -> None:
    asked = Asked.of(np.arange(12.0)[:, None], list("aabbabcccccd"), [0, 0, 0, *range(1, 10)], 2)
    assert asked.labels == ("a", "b", "c")
    assert [held.tolist() for held in asked.members] == [[0, 2], [0, 1, 3], [4, 5, 6, 7, 8]]
    assert asked.values[:2, 0].tolist() == [1.0, 3.0]
    assert [held.tolist() for held in asked.strata] == [list(range(1, 10)), [0]]


def test_image_without_label_is_left_out() -> None:
    values = planted(np.random.default_rng(0))
    labels = [None if image % 5 == 0 else str(label) for image, label in enumerate(LABELS)]
    told = preferred_labels(values, labels)
    assert told.sources == 80
    assert told.labels == ("cat", "dog", "owl", "pig")
    assert {each.label for each in told.found} == {"dog"}


def test_few_photographs_claim_nothing() -> None:
    values = planted(np.random.default_rng(0))
    told = preferred_labels(values, LABELS, np.arange(100) // 4)
    assert told.found == ()
    assert told.note == "25 photographs: of fewer than 50 nothing is said about labels"
    told = preferred_labels(values, np.array(["cat"] * 97 + ["dog"] * 3))
    assert told.found == ()
    assert told.note == (
        "no two labels with 5 photographs or more each: nothing is said about what units prefer"
    )


def test_without_labels_it_is_said_that_there_are_none() -> None:
    values = planted(np.random.default_rng(0))
    for none in (None, float("nan")):
        told = preferred_labels(values, [none] * len(values))
        assert (told.found, told.sources) == ((), 0)
        assert told.note == "no photograph has a label: nothing is said about what units prefer"
    told = preferred_labels(values, ["cat", "dog"] * 20 + [None] * 60)
    assert (told.found, told.sources) == ((), 40)
    assert told.note == (
        "40 photographs have a label: of fewer than 50 nothing is said about labels"
    )


def test_what_was_found_is_told_in_words_and_as_a_table() -> None:
    told = preferred_labels(planted(np.random.default_rng(0)), LABELS)
    assert told.note == (
        "2 of 6 units prefer a label, more than chance gives any of 4 labels over 100 photographs; "
        "of such units at most 5% are expected to be found by chance"
    )
    assert told.permutations == 999
    assert [each.unit for each in told.of(1)] == [1]
    assert told.of(5) == ()
    frame = told.to_frame()
    assert list(frame.columns) == [
        *("unit", "label", "average_precision", "prevalence", "lift", "p")
    ]
    assert frame["label"].tolist() == ["dog", "dog"]
    assert frame["p"].tolist() == [0.001, 0.001]
    assert preferred_labels(np.zeros((60, 2)), list("ab") * 30).to_frame().empty


def test_table_without_pandas_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    told = preferred_labels(np.zeros((60, 2)), list("ab") * 30)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingDependency) as error:
        told.to_frame()
    assert str(error.value) == "to_frame needs pandas, which is not installed: pip install pandas"


def test_same_seed_same_claims() -> None:
    values = planted(np.random.default_rng(0))
    drawn = np.random.get_state()[1].tolist()  # type: ignore[union-attr, index]
    assert preferred_labels(values, LABELS, seed=5) == preferred_labels(values, LABELS, seed=5)
    assert np.random.get_state()[1].tolist() == drawn  # type: ignore[union-attr, index]
    assert isinstance(preferred_labels(values, LABELS).found[0], Preference)


def test_many_units_take_seconds() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 20, 1000)
    values = rng.normal(size=(1000, 200))
    values[labels == 3, 7] += 2
    start = perf_counter()
    found = preferred_labels(values, labels).found
    assert perf_counter() - start < 10
    assert [(each.unit, each.label) for each in found] == [(7, 3)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"values": np.zeros(60)}, "values of shape (60,); give (image, unit)"),
        ({"labels": ["a"] * 59}, "60 images, 59 labels and 59 sources; each image has one"),
        ({"sources": [1, 2]}, "60 images, 60 labels and 2 sources; each image has one"),
        (
            {"sources": [None] * 60},
            "an image without a source; say which photograph each is of",
        ),
        ({"values": np.full((60, 2), np.nan)}, "the values of unit 0 are not all finite"),
        ({"rate": 0}, "rate=0 is a share between 0 and 1"),
        ({"least": 1.0}, "least=1.0: average precision is at most 1 above prevalence"),
        ({"permutations": -1}, "permutations=-1; at least one is drawn"),
    ],
)
def test_what_cannot_be_is_said(change: dict[str, object], words: str) -> None:
    usual = {"values": np.zeros((60, 2)), "labels": list("ab") * 30}
    with pytest.raises(InvalidArgument) as error:
        preferred_labels(**{**usual, **change})  # type: ignore[arg-type]
    assert str(error.value) == words

"""The check against published groups, on a made-up publication."""

import json

import numpy as np
import pytest
from sklearn.decomposition import NMF

from tests.benchmarks import published_groups as check

COUNTS, SIDE, CHANNELS = (2, 3), 6, 12
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def published_factors(activations, n_groups):
    """scikit-learn's groups and magnitudes, by ascending W^2-weighted mean x."""
    model = NMF(n_groups, init="nndsvd")
    scores = model.fit_transform(activations.reshape(-1, CHANNELS))
    maps, places, sizes = scores.reshape(SIDE, SIDE, n_groups), [], []
    for group in range(n_groups):
        weight = total = 0.0
        for y, x in np.ndindex(SIDE, SIDE):
            weight += maps[y, x, group] ** 2
            total += x * maps[y, x, group] ** 2
        places.append(total / weight)
        lengths = np.linalg.norm(scores[:, group]), np.linalg.norm(model.components_[group])
        sizes.append(lengths[0] * lengths[1])
    order = np.argsort(places)
    return maps[..., order], np.array(sizes)[order].tolist()


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    groups = rng.random((SIDE * SIDE, 3)) * (rng.random((SIDE * SIDE, 3)) > 0.5)
    table = groups @ rng.random((3, CHANNELS)) + 0.02 * rng.random((SIDE * SIDE, CHANNELS))
    activations = table.reshape(1, SIDE, SIDE, CHANNELS).astype(np.float32)
    scores = np.zeros((2, len(COUNTS), SIDE, SIDE, max(COUNTS)))
    entries = []
    for alignment, pair in np.ndindex(2, len(COUNTS)):
        maps, sizes = published_factors(activations, COUNTS[pair])
        scores[alignment, pair, :, :, : COUNTS[pair]] = maps
        groups = [{"magnitude": size} for size in sizes]
        below = [{"magnitude": 1.0 + alignment / 2}]
        entries.append({"mixed4d": {"each_group": groups}, "mixed4a": {"each_group": below}})
    np.save(tmp_path / check.ACTIVATIONS, activations)
    np.save(tmp_path / check.SCORES, scores)
    (tmp_path / check.INFO).write_text(json.dumps({"num_4d": COUNTS, "data": entries}))
    return tmp_path


def changed_scores(folder, change):
    scores = np.load(folder / check.SCORES)
    change(scores)
    np.save(folder / check.SCORES, scores)


def test_published_groups_are_found(folder, capsys):
    assert check.main([str(folder)]) == 0
    table = capsys.readouterr().out
    assert "asked  >= 0.9999" in table
    assert "magnitudes of mixed4a change by up to 50%" in table
    assert "NOT AS ASKED" not in table


@pytest.mark.parametrize(
    "change",
    [
        lambda scores: np.multiply(scores, 1.01, out=scores),
        lambda scores: scores[0, 1].__setitem__(..., scores[0, 1, ..., ::-1]),
        lambda scores: scores[0, 0, :2].fill(0.0),
        lambda scores: scores[0, 1, ..., 0].fill(np.nan),
    ],
    ids=["scale", "order", "place", "no number"],
)
def test_a_publication_that_is_not_matched_fails(folder, change, capsys):
    changed_scores(folder, change)
    assert check.main([str(folder)]) == 1
    assert "NOT AS ASKED" in capsys.readouterr().out


def test_other_magnitudes_fail(folder):
    info = json.loads((folder / check.INFO).read_text())
    info["data"][1]["mixed4d"]["each_group"][2]["magnitude"] *= 1.01
    (folder / check.INFO).write_text(json.dumps(info))
    assert check.main([str(folder)]) == 1


def test_an_aligned_set_decides_nothing(folder):
    changed_scores(folder, lambda scores: scores[1].fill(1.0))
    assert check.main([str(folder)]) == 0


def test_another_folder_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        check.main([str(tmp_path)])
    assert stopped.value.code == 2
    assert "pig_groups_info.json: give the folder of the published data" in capsys.readouterr().err

"""The benchmark of reduction on a table so small that it takes no time."""

import json
import warnings

import pytest
import torch

from tests.benchmarks import reduction


def maps():
    generator = torch.Generator().manual_seed(0)
    shape = (6, 3, 4, 4)
    scores = torch.rand(shape, generator=generator) * (torch.rand(shape, generator=generator) > 0.5)
    mixed = torch.einsum("bkyx,kc->bcyx", scores, torch.rand(3, 12, generator=generator))
    return mixed + 0.02 * torch.rand(6, 12, 4, 4, generator=generator)


def test_figures_are_printed_beside_what_is_asked_and_written(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(reduction, "activations", maps)
    monkeypatch.setattr(reduction, "memory", lambda table, groups, path: 2.25)
    monkeypatch.setattr(reduction, "overcomplete_nmf", lambda: None)
    monkeypatch.setattr(reduction, "tables", lambda: {"drawn": torch.rand(60, 20)})
    out = tmp_path / "reduction.json"
    with warnings.catch_warnings():
        reduction.main(["--groups", "2", "3", "--repeats", "1", "--out", str(out)])
    printed = capsys.readouterr().out
    assert "asked >= 3 x sooner" in printed
    assert "asked <= 3 ms" in printed
    assert "2.25, asked <= 2.5 matrices" in printed
    figures = json.loads(out.read_text())
    assert figures["table"] == [96, 12]
    assert figures["memory_matrices"] == 2.25
    assert sorted(figures["encoding_ms"]) == ["2", "3"]
    for row, k in zip(figures["solver"], (2, 3), strict=True):
        assert (row["groups"], row["peer"]) == (k, "scikit-learn")
        assert row["reached"] == (row["error"] <= row["peer_error"] * 1.0001)
        assert row["times_sooner"] == row["peer_seconds"] / row["seconds"]
    called = figures["as_called"]["drawn"]
    # Up to a million entries the default is scikit-learn's own iterate.
    assert called["error_ratio"] == pytest.approx(1.0, rel=1e-4)
    assert called["iterations"][0] == called["iterations"][1]
    assert "asked >= 3 x sooner, error <= 1.001 x" in printed

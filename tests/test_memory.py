"""Freed memory goes back to the system, where there is a way to say so."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import pytest
import torch

from captum_blocks import _memory

PAGE = 4096


def held() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def has_glibc() -> bool:
    return sys.platform == "linux" and hasattr(ctypes.CDLL(None), "malloc_trim")


@pytest.mark.skipif(not has_glibc(), reason="asks glibc")
def test_what_was_freed_between_what_is_held_goes_back() -> None:
    parts = [torch.ones(2**14) for _ in range(2000)]  # 64 KiB each: nothing is mapped on its own
    before = held()
    del parts[:-1]
    _memory.give_back()
    assert held() < before - 64 * 2**20
    assert float(parts[-1].sum()) == 2**14


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    _memory._trim.cache_clear()
    try:
        assert _memory._trim() is None
        _memory.give_back()
    finally:
        _memory._trim.cache_clear()

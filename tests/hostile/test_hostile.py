"""Two thousand inputs that are not what they should be: no traceback, no hang, no memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.hostile import inputs
from tests.hostile.arguments import arguments, check_argument

KINDS = {**inputs.KINDS, "arguments": (150, arguments, check_argument)}


def test_there_are_enough() -> None:
    assert sum(count for count, _, _ in KINDS.values()) >= 2000


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_comes_ends_in_a_result_or_in_words(kind: str, tmp_path: Path) -> None:
    count, strategy, check = KINDS[kind]
    tried = []

    @settings(
        max_examples=count,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def each(one: object) -> None:
        tried.append(1)
        check(one, tmp_path)

    each()
    assert len(tried) >= count / 2  # fewer where there are not so many different ones

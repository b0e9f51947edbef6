"""More of the hostile input of the tests: ``python -m tests.benchmarks.hostile [--times 10]``.

Other inputs each time, unless a seed is given. Prints a line a kind: how many were tried, what
ended otherwise than in a result or in words, seconds, the slowest, and the most memory so far.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import tempfile
import time
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.hostile.inputs import KINDS


def run(kind: str, times: int, start: int, folder: Path) -> int:
    """One kind; returns how many ended in a traceback."""
    count, inputs, check = KINDS[kind]
    seconds: list[float] = []
    faults: dict[str, object] = {}

    @seed(start)
    @settings(
        max_examples=count * times,
        phases=[Phase.generate],
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs)
    def each(one: object) -> None:
        began = time.perf_counter()
        try:
            check(one, folder)
        except Exception as error:  # what is looked for
            faults.setdefault(f"{type(error).__name__}: {str(error)[:120]}", one)
        seconds.append(time.perf_counter() - began)

    each()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    most *= 1 if sys.platform == "darwin" else 1024
    print(
        f"{kind:<14}{len(seconds):7} tried{len(faults):4} faults{sum(seconds):8.1f} s, slowest "
        f"{max(seconds):.2f} s, at most {most / 1e9:.2f} GB"
    )
    for fault, one in faults.items():
        print(f"    {fault}\n        {one!r:.300}")
    return len(faults)


def main() -> None:
    """All kinds, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=10, help="as many as in the tests, times this")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--kind", choices=sorted(KINDS), default=None)
    chosen = parser.parse_args()
    start = random.randrange(2**32) if chosen.seed is None else chosen.seed
    print(f"seed {start}")
    with tempfile.TemporaryDirectory() as folder:
        kinds = [chosen.kind] if chosen.kind else list(KINDS)
        faults = [run(kind, chosen.times, start, Path(folder)) for kind in kinds]
    sys.exit(1 if any(faults) else 0)


if __name__ == "__main__":
    main()

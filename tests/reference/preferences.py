"""Preferred labels, as loops: labels are really permuted, one permutation after another."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence


def average_precision(values: Sequence[float], has: Sequence[bool]) -> float:
    """Over all thresholds from high to low: precision times what recall gains."""
    found, before, total = 0.0, 0, sum(has)
    for threshold in sorted(set(values), reverse=True):
        above = [mark for value, mark in zip(values, has, strict=True) if value >= threshold]
        found += (sum(above) - before) / total * sum(above) / len(above)
        before = sum(above)
    return found


def p_of_the_best(
    values: Sequence[float], labels: Sequence[str], permutations: int, seed: int
) -> float:
    """(b + 1) / (m + 1) of the best of all labels, standardised by what permutation gives each."""
    rng = random.Random(seed)
    names = sorted(set(labels))

    def logs(held: Sequence[str]) -> list[float]:
        return [
            math.log(average_precision(values, [label == name for label in held])) for name in names
        ]

    by_chance = []
    for _ in range(permutations):
        permuted = list(labels)
        rng.shuffle(permuted)
        by_chance.append(logs(permuted))
    middles = [sum(each) / permutations for each in zip(*by_chance, strict=True)]
    spreads = [
        math.sqrt(sum((value - middle) ** 2 for value in each) / permutations)
        for middle, each in zip(middles, zip(*by_chance, strict=True), strict=True)
    ]

    def best(found: list[float]) -> float:
        marks = zip(found, middles, spreads, strict=True)
        return max((value - middle) / spread for value, middle, spread in marks)

    own = best(logs(labels))
    as_much = sum(best(found) >= own - 1e-6 for found in by_chance)
    return (as_much + 1) / (permutations + 1)


def discovered(p: Sequence[float], rate: float) -> set[int]:
    """Benjamini and Hochberg: the k smallest, for the largest k that p_(k) <= rate k / n allows."""
    order = sorted(range(len(p)), key=lambda unit: p[unit])
    allowed = [k for k in range(1, len(p) + 1) if p[order[k - 1]] <= rate * k / len(p)]
    return {unit for unit in order if allowed and p[unit] <= p[order[max(allowed) - 1]]}

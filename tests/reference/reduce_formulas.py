"""The formulas of the reducers as loops."""

import itertools

import numpy as np


def non_negative_least_squares(row, components, l1=0.0, l2=0.0):
    """Try every support; keep the best feasible one."""
    k = len(components)
    best, best_cost = np.zeros(k), 0.5 * float(row @ row)
    for size in range(1, k + 1):
        for support in map(list, itertools.combinations(range(k), size)):
            part = components[support]
            system = part @ part.T + l2 * np.eye(size)
            found = np.linalg.lstsq(system, part @ row - l1, rcond=None)[0]
            if (found < -1e-12).any():
                continue
            z = np.zeros(k)
            z[support] = np.maximum(found, 0.0)
            cost = 0.5 * np.sum((row - z @ components) ** 2) + l1 * z.sum() + 0.5 * l2 * (z @ z)
            if cost < best_cost - 1e-14:
                best, best_cost = z, cost
    return best


def mean_x(maps):
    """(group, y, x) -> the W^2-weighted mean column of every group."""
    found = []
    for group in maps:
        weight = moment = 0.0
        for line in group:
            for x, value in enumerate(line):
                weight += value**2
                moment += x * value**2
        found.append(moment / weight)
    return found


def compatible_copies(row, attributions):
    """One row split among upper groups in proportion to |attribution|; evenly where it is zero."""
    copies = np.zeros((len(attributions), len(row)))
    for channel, value in enumerate(row):
        total = sum(abs(attribution[channel]) for attribution in attributions)
        for n, attribution in enumerate(attributions):
            share = abs(attribution[channel]) / total if total else 1 / len(attributions)
            copies[n, channel] = value * share
    return copies


def best_matching(first, second):
    """The mean cosine of the best pairing of groups, by trying every pairing."""
    cosine = np.array(
        [[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in second] for a in first]
    )
    pairings = itertools.permutations(range(len(first)))
    return max(np.mean([cosine[i, j] for i, j in enumerate(p)]) for p in pairings)


def without_groups(head, activations, scores, components, target, order, removed):
    """The target's score of one image (C, H, W) after removing the first groups of an order."""
    left = activations.copy()
    for group in order[:removed]:
        left -= components[group][:, None, None] * scores[group][None]
    return head(left)[target]


def uniform_total_indices(coefficients):
    """Total Sobol indices of sum_i c_i m_i with independent m_i, uniform on [0, 1]."""
    variances = [c**2 / 12 for c in coefficients]
    return [v / sum(variances) for v in variances]

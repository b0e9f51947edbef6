"""How many clusters there are, by scikit-learn and loops over clouds."""

from __future__ import annotations

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score

MOST, COMPONENTS, LEAST, CLOUDS = 5, 6, 3, 40


def described(layers: list[np.ndarray]) -> np.ndarray:
    """Each photograph's activations at length 1, times the root of how deep the layer is."""
    rows = []
    for photograph in range(len(layers[0])):
        parts = []
        for number, layer in enumerate(layers, 1):
            own = layer[photograph].astype(float)
            parts.append(own / np.sqrt((own**2).sum()) * np.sqrt(number / len(layers)))
        rows.append(np.concatenate(parts))
    return np.stack(rows)


def silhouettes(points: np.ndarray) -> list[float]:
    """Of 2 to 5 clusters; NaN where one has fewer than three points."""
    found = []
    for k in range(2, MOST + 1):
        labels = KMeans(k, n_init=4, random_state=0).fit(points).labels_
        value = float(silhouette_score(points, labels))
        found.append(value if np.bincount(labels).min() >= LEAST else float("nan"))
    return found


def least(points: np.ndarray, seed: int = 0) -> float:
    """.5, or what 95 % of normal clouds with the same deviations stay below."""
    generator = np.random.default_rng(seed)
    clouds = generator.normal(size=(CLOUDS, *points.shape)) * points.std(0, ddof=1)
    return max(0.5, float(np.quantile([np.nanmax([-1, *silhouettes(c)]) for c in clouds], 0.95)))


def number(vectors: np.ndarray) -> int:
    """That of the largest silhouette, if it is large enough; else one."""
    points = PCA(COMPONENTS).fit_transform(vectors)
    values = silhouettes(points)
    return int(np.nanargmax(values)) + 2 if np.nanmax(values) > least(points) else 1

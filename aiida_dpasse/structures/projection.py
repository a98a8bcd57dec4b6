"""Projection of high-dimensional descriptors onto a plane for plotting."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def project(
    descriptors: ArrayLike, method: str = 'pca', seed: int = 1, perplexity: float = 30.0
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Return the projected coordinates (n, 2) and, for `pca`, the fraction of the variance (2,) along each.

    :param descriptors: (n, m).
    :param method: ``pca``, the two directions of largest variance, or ``tsne``, t-distributed stochastic neighbour
        embedding, which preserves neighbourhoods but not larger distances; with four points or fewer ``pca`` is used.
    :param seed: of ``tsne``.
    :param perplexity: of ``tsne``; limited to a third of the points, above which it would not converge.
    """
    points = np.asarray(descriptors, dtype=float)
    if method == 'tsne' and len(points) > 4:
        from sklearn.manifold import TSNE

        weighed = min(perplexity, (len(points) - 1) / 3)
        embedding = TSNE(n_components=2, perplexity=weighed, init='pca', random_state=seed)
        return np.asarray(embedding.fit_transform(points), dtype=float), None
    from sklearn.decomposition import PCA

    coordinates, explained = np.zeros((len(points), 2)), np.zeros(2)
    if len(points) > 1 and np.ptp(points, axis=0).any():
        # With fewer than two points or components the remaining coordinates stay 0.
        count = min(2, *points.shape)
        analysis = PCA(n_components=count, svd_solver='full')
        coordinates[:, :count] = analysis.fit_transform(points)
        explained[:count] = analysis.explained_variance_ratio_
    return coordinates, explained

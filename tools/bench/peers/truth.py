"""Exact nearest neighbours, and how much of them an answer holds."""
import numpy as np

METRICS = ("cosine", "dot", "l2")
BLOCK_ROWS = 16_384


def normalized(rows):
    """Rows of length 1; a zero row stays zero."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)


def _scores(block, queries, metric):
    """Larger is nearer. `queries` are normalized already for cosine."""
    block = np.ascontiguousarray(block, dtype=np.float32)
    if metric == "cosine":
        block = normalized(block)
    scores = queries @ block.T
    if metric == "l2":  # the query's own length changes no order
        scores -= 0.5 * np.einsum("ij,ij->i", block, block)
    return scores


def exact_neighbors(base, queries, metric, k, progress=None):
    """Row numbers (int32) of the k nearest of each query, nearest first; equal ones by row number."""
    if metric not in METRICS:
        raise ValueError(f"metric {metric}: known are {', '.join(METRICS)}")
    queries = np.ascontiguousarray(queries, dtype=np.float32)
    queries = normalized(queries) if metric == "cosine" else queries
    k = min(k, len(base))
    ids = np.empty((len(queries), 0), np.int32)
    scores = np.empty((len(queries), 0), np.float32)
    for first in range(0, len(base), BLOCK_ROWS):
        found = _scores(base[first:first + BLOCK_ROWS], queries, metric)
        numbers = np.broadcast_to(np.arange(first, first + found.shape[1], dtype=np.int32), found.shape)
        scores, ids = np.hstack([scores, found]), np.hstack([ids, numbers])
        if scores.shape[1] > k:
            kept = np.argpartition(-scores, k - 1, axis=1)[:, :k]
            scores, ids = np.take_along_axis(scores, kept, 1), np.take_along_axis(ids, kept, 1)
        if progress:
            progress(min(first + BLOCK_ROWS, len(base)))
    order = np.lexsort((ids, -scores), axis=1)
    return np.take_along_axis(ids, order, 1)


def recall(found, truth, k):
    """Share of each query's true k nearest that is among its first k answers. Negative ids are no answer."""
    wanted = truth[:len(found), :k]
    hits = sum(len(np.intersect1d(row[:k], want)) for row, want in zip(found, wanted))
    return hits / wanted.size

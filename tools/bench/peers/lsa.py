"""Texts to vectors without a neural network: words weighted by TF-IDF, then a truncated SVD."""
import re
import sys

import numpy as np

DIMENSION = 256
LEAST_TEXTS = 3  # that a word must occur in
OVERSAMPLE, POWER_STEPS = 32, 4  # of the randomized SVD (Halko, Martinsson and Tropp 2011)


def term_matrix(texts):
    """Texts x words, each row of length 1: (1 + log tf) * idf."""
    from scipy import sparse
    numbers, rows, columns = {}, [], []
    for row, text in enumerate(texts):
        for word in re.findall(r"[a-z0-9]+", text.lower()):
            rows.append(row)
            columns.append(numbers.setdefault(word, len(numbers)))
    counts = sparse.coo_matrix((np.ones(len(rows), np.float32), (rows, columns)), (len(texts), len(numbers))).tocsr()
    texts_with = np.asarray((counts > 0).sum(axis=0)).ravel()
    kept = np.flatnonzero(texts_with >= LEAST_TEXTS)
    counts, texts_with = counts[:, kept], texts_with[kept]
    counts.data = 1 + np.log(counts.data)
    weighted = counts.multiply(np.log(len(texts) / texts_with)[None, :]).tocsr().astype(np.float32)
    lengths = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
    return sparse.diags(1 / np.where(lengths > 0, lengths, 1)).dot(weighted).astype(np.float32)


def lsa_vectors(texts, seed):
    """float16, 256-d. Lengths vary: what the SVD leaves out of a text is missing from its vector's."""
    terms = term_matrix(texts)
    print(f"{terms.shape[0]:,} texts x {terms.shape[1]:,} words, {terms.nnz:,} entries", file=sys.stderr)
    width = min(DIMENSION + OVERSAMPLE, min(terms.shape))
    basis = np.random.default_rng(seed).standard_normal((terms.shape[1], width)).astype(np.float32)
    for step in range(POWER_STEPS):
        basis, _ = np.linalg.qr(terms.T @ (terms @ basis))
        print(f"SVD {step + 1}/{POWER_STEPS}", file=sys.stderr)
    _, _, rotation = np.linalg.svd(terms @ basis, full_matrices=False)
    return ((terms @ basis) @ rotation[:DIMENSION].T).astype(np.float16)

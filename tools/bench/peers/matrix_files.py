"""Matrices in the files that vector benchmarks use: .npy, .fvecs/.ivecs, .fbin/.ibin."""
import os

import numpy as np


class BadFile(ValueError):
    """A file is not what its name says. The message has path, found and expected."""


def read_matrix(path):
    """Rows of a file, memory-mapped where the format allows. float16, float32 or integers, as stored."""
    readers = {".npy": _read_npy, ".fvecs": _read_vecs, ".ivecs": _read_vecs, ".fbin": _read_bin, ".ibin": _read_bin}
    ending = os.path.splitext(path)[1]
    if ending not in readers:
        raise BadFile(f"{path}: known endings are {' '.join(sorted(readers))}")
    matrix = readers[ending](path)
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise BadFile(f"{path}: shape {matrix.shape}, expected rows and columns, neither 0")
    return matrix


def read_vectors(path):
    """Rows as C-ordered float32."""
    matrix = read_matrix(path)
    if matrix.dtype.kind != "f":
        raise BadFile(f"{path}: holds {matrix.dtype}, expected floats")
    return np.ascontiguousarray(matrix, dtype=np.float32)


def read_ids(path):
    """Row numbers as int64."""
    matrix = read_matrix(path)
    if matrix.dtype.kind not in "iu":
        raise BadFile(f"{path}: holds {matrix.dtype}, expected integers")
    return np.ascontiguousarray(matrix, dtype=np.int64)


def write_npy(path, matrix):
    """Whole or not at all."""
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path + ".part", "wb") as file:
        np.save(file, matrix)
    os.replace(path + ".part", path)


def _read_npy(path):
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise BadFile(f"{path}: not a .npy file: {error}") from None


def _item(path):
    return np.dtype("<f4" if os.path.basename(path).split(".")[-1].startswith("f") else "<i4")


def _read_vecs(path):
    """Each row is its dimension as int32, then that many items."""
    size = os.path.getsize(path)
    if size < 8:
        raise BadFile(f"{path}: {size} bytes hold no row")
    columns = int(np.fromfile(path, dtype="<i4", count=1)[0])
    if columns <= 0 or size % (4 + 4 * columns) != 0:
        raise BadFile(f"{path}: {size} bytes are no whole number of rows of dimension {columns}")
    words = np.memmap(path, dtype="<i4", mode="r").reshape(-1, columns + 1)
    if (words[:, 0] != columns).any():
        raise BadFile(f"{path}: rows differ in dimension, the first has {columns}")
    return words[:, 1:].view(_item(path))


def _read_bin(path):
    """The number of rows and of columns as uint32, then the items."""
    size = os.path.getsize(path)
    if size < 8:
        raise BadFile(f"{path}: {size} bytes hold no header")
    rows, columns = (int(n) for n in np.fromfile(path, dtype="<u4", count=2))
    if size != 8 + 4 * rows * columns:
        raise BadFile(f"{path}: {size} bytes, expected {8 + 4 * rows * columns} for {rows} x {columns}")
    if rows * columns == 0:
        return np.empty((rows, columns), _item(path))
    return np.memmap(path, dtype=_item(path), mode="r", offset=8, shape=(rows, columns))

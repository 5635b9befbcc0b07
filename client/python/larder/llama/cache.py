"""The model's KV cache. K is kept before RoPE, so that what it holds can be put into Larder, and rotated at use."""
import numpy as np

from larder.llama.rope import Rope


class ModelCache:
    """Rows of K and V for each layer, one row a token; a row has a position, rows may come in any order.

    `k` and `v` are [layer][row][kv_head][head_dim] in `dtype`, as they are put; attention sees them after that
    rounding, so that a row that came from Larder and one that was computed are the same bits. `keys` and
    `values` are what attention multiplies: float32, [layer][kv_head][row][head_dim], keys rotated.
    """

    def __init__(self, layers: int, kv_heads: int, head_dim: int, rope: Rope, capacity: int, dtype=np.float32):
        self.rope = rope
        self.length = 0
        self.positions = np.zeros(capacity, np.int64)
        self.k = np.zeros((layers, capacity, kv_heads, head_dim), dtype)
        self.v = np.zeros_like(self.k)
        self.keys = np.zeros((layers, kv_heads, capacity, head_dim), np.float32)
        self.values = np.zeros_like(self.keys)

    @property
    def capacity(self) -> int:
        return len(self.positions)

    def extend(self, positions) -> np.ndarray:
        """Takes rows for tokens at these positions; their numbers."""
        rows = np.arange(self.length, self.length + len(positions))
        if len(rows) and rows[-1] >= self.capacity:
            raise ValueError(f"the cache has {self.capacity} rows, {rows[-1] + 1} are needed")
        self.positions[rows] = positions
        self.length += len(rows)
        return rows

    def write(self, layer: int, rows: np.ndarray, k: np.ndarray, v: np.ndarray) -> None:
        """k (before RoPE) and v: [token][kv_head][head_dim]."""
        self.k[layer, rows] = k
        self.v[layer, rows] = v
        rotated = self.rope.rotate(self.k[layer, rows], self.positions[rows])
        self.keys[layer][:, rows] = rotated.transpose(1, 0, 2)
        self.values[layer][:, rows] = self.v[layer, rows].transpose(1, 0, 2)

    def truncate(self, length: int) -> None:
        """Forgets the rows from `length` on."""
        self.length = min(self.length, length)

"""Rotary position embedding (Su et al., 2021), in both layouts that models use."""
import numpy as np


class Rope:
    """Rotates the first rotary_dim of each head by position x frequency, in float32.

    style: "neox" turns (i, i + rotary_dim / 2) together (Hugging Face's Llama), "interleaved" (2i, 2i + 1)
    (Meta's Llama, GGUF's), "none" nothing. The frequencies are the effective ones, scaling included.
    """

    def __init__(self, style: str, rotary_dim: int, theta: float = 10_000.0, frequencies=None):
        if style not in ("neox", "interleaved", "none"):
            raise ValueError(f"rope style is {style!r}, expected neox, interleaved or none")
        self.style = style
        self.rotary_dim = rotary_dim
        if frequencies is None:
            frequencies = theta ** (-np.arange(0, rotary_dim, 2, dtype=np.float64) / rotary_dim)
        self.frequencies = np.asarray(frequencies, np.float64)

    def rotate(self, x: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """x: [token][head][dim], as float32; a copy comes back."""
        out = np.array(x, np.float32)
        if self.style == "none":
            return out
        angles = np.multiply.outer(np.asarray(positions, np.float64), self.frequencies)
        cos, sin = (f(angles).astype(np.float32)[:, None, :] for f in (np.cos, np.sin))
        if self.style == "neox":
            half = self.rotary_dim // 2
            first, second = slice(0, half), slice(half, self.rotary_dim)
        else:
            first, second = slice(0, self.rotary_dim, 2), slice(1, self.rotary_dim, 2)
        a, b = np.asarray(x[..., first], np.float32), np.asarray(x[..., second], np.float32)
        out[..., first] = a * cos - b * sin
        out[..., second] = b * cos + a * sin
        return out

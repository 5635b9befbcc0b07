"""The forward pass: RMSNorm, RoPE, grouped-query attention, SwiGLU; float32 throughout."""
from dataclasses import dataclass

import numpy as np

from larder.llama.cache import ModelCache
from larder.llama.rope import Rope


@dataclass(frozen=True)
class LlamaConfig:
    dim: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    hidden: int
    vocabulary: int
    context: int
    norm_epsilon: float = 1e-5
    rope_style: str = "neox"
    rope_theta: float = 10_000.0
    rotary_dim: int = 0  # 0 = head_dim


@dataclass
class Layer:
    """Matrices are [out][in]."""

    attention_norm: np.ndarray
    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    o: np.ndarray
    ffn_norm: np.ndarray
    gate: np.ndarray
    up: np.ndarray
    down: np.ndarray


@dataclass
class Weights:
    embedding: np.ndarray  # [vocabulary][dim]
    layers: list[Layer]
    norm: np.ndarray
    output: np.ndarray     # the embedding itself where they are tied


def rms_norm(x, weight, epsilon):
    scale = 1 / np.sqrt(np.mean(np.square(x), axis=-1, keepdims=True) + np.float32(epsilon))
    return x * scale * weight


def softmax(scores):
    """Along the last axis, in place."""
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    return scores


class Llama:
    """Thread-compatible: it keeps nothing between calls; a cache belongs to one prompt."""

    def __init__(self, config: LlamaConfig, weights: Weights):
        self.config = config
        self.weights = weights
        self.rope = Rope(config.rope_style, config.rotary_dim or config.head_dim, config.rope_theta)

    def new_cache(self, capacity: int, dtype=np.float32) -> ModelCache:
        c = self.config
        return ModelCache(c.layers, c.kv_heads, c.head_dim, self.rope, capacity, dtype)

    def forward(self, tokens, cache: ModelCache, rows: np.ndarray) -> np.ndarray:
        """Computes `tokens` into these rows of the cache; a token sees every row at its position or before.

        Rows may lie anywhere: appended to prefill, among others to compute some tokens of a chunk again.
        Returns the last hidden states, normalised, [token][dim]."""
        x = self.weights.embedding[np.asarray(tokens)]
        hidden = cache.positions[None, :cache.length] > cache.positions[rows][:, None]
        hidden = hidden if hidden.any() else None
        epsilon = self.config.norm_epsilon
        for index, layer in enumerate(self.weights.layers):
            x = x + self._attention(index, layer, rms_norm(x, layer.attention_norm, epsilon), cache, rows, hidden)
            x = x + self._ffn(layer, rms_norm(x, layer.ffn_norm, epsilon))
        return rms_norm(x, self.weights.norm, epsilon)

    def logits(self, states: np.ndarray) -> np.ndarray:
        return states @ self.weights.output.T

    def _attention(self, index, layer, x, cache, rows, hidden):
        c, n = self.config, len(x)
        q = (x @ layer.q.T).reshape(n, c.heads, c.head_dim)
        k = (x @ layer.k.T).reshape(n, c.kv_heads, c.head_dim)
        v = (x @ layer.v.T).reshape(n, c.kv_heads, c.head_dim)
        cache.write(index, rows, k, v)
        q = cache.rope.rotate(q, cache.positions[rows]) * np.float32(c.head_dim ** -0.5)
        group = c.heads // c.kv_heads
        out = np.empty((n, c.heads, c.head_dim), np.float32)
        for head in range(c.kv_heads):
            mine = slice(head * group, (head + 1) * group)
            keys, values = cache.keys[index, head, :cache.length], cache.values[index, head, :cache.length]
            scores = (q[:, mine].reshape(n * group, -1) @ keys.T).reshape(n, group, -1)
            if hidden is not None:
                np.copyto(scores, -np.inf, where=hidden[:, None, :])
            weights = softmax(scores).reshape(n * group, -1)
            out[:, mine] = (weights @ values).reshape(n, group, -1)
        return out.reshape(n, -1) @ layer.o.T

    @staticmethod
    def _ffn(layer, x):
        gate = x @ layer.gate.T
        return (gate / (1 + np.exp(-gate)) * (x @ layer.up.T)) @ layer.down.T

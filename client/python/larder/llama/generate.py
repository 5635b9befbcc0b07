"""Prefill in blocks, and greedy generation token by token."""
import numpy as np

from larder.llama.cache import ModelCache
from larder.llama.model import Llama

BLOCK_TOKENS = 256  # bounds the memory of one block's attention scores


def compute(model: Llama, cache: ModelCache, tokens, rows: np.ndarray) -> np.ndarray:
    """Tokens into rows of the cache whose positions rise, block by block; hidden states of all of them.

    The same tokens in the same calls give the same bits, which is not so for other block borders."""
    blocks = range(0, len(rows), BLOCK_TOKENS)
    return np.concatenate([model.forward(tokens[at:at + BLOCK_TOKENS], cache, rows[at:at + BLOCK_TOKENS])
                           for at in blocks])


def prefill(model: Llama, cache: ModelCache, tokens, first_position: int | None = None) -> np.ndarray:
    """Appends tokens at consecutive positions (default: after the cache's last); hidden states of all of them."""
    if first_position is None:
        first_position = int(cache.positions[:cache.length].max()) + 1 if cache.length else 0
    return compute(model, cache, tokens, cache.extend(first_position + np.arange(len(tokens))))


def continue_greedily(model: Llama, cache: ModelCache, logits: np.ndarray, count: int, stop=()) -> list[int]:
    """The `count` most probable next tokens one after another, fewer if one of `stop` comes."""
    tokens = []
    while len(tokens) < count:
        token = int(np.argmax(logits))
        if token in stop:
            break
        tokens.append(token)
        if len(tokens) < count:
            logits = model.logits(prefill(model, cache, [token])[-1])
    return tokens

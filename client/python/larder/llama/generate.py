"""Prefill in blocks, and greedy generation token by token."""
import numpy as np

from larder.llama.cache import ModelCache
from larder.llama.model import Llama

BLOCK_TOKENS = 256  # bounds the memory of one block's attention scores


def prefill(model: Llama, cache: ModelCache, tokens, first_position: int | None = None) -> np.ndarray:
    """Appends tokens at consecutive positions (default: after the cache's last); hidden states of all of them.

    The same tokens in the same calls give the same bits, which is not so for other block borders."""
    if first_position is None:
        first_position = int(cache.positions[:cache.length].max()) + 1 if cache.length else 0
    states = []
    for begin in range(0, len(tokens), BLOCK_TOKENS):
        block = tokens[begin:begin + BLOCK_TOKENS]
        rows = cache.extend(first_position + begin + np.arange(len(block)))
        states.append(model.forward(block, cache, rows))
    return np.concatenate(states)


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

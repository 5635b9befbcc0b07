"""A generation node: prompts of retrieved chunks, whose KV comes from Larder where it was computed before.

What a chunk attended to when its KV was computed is its context:
  none      nothing: one entry serves every prompt, but lacks what stands before the chunk there
  prefix    the prompt's first chunk, such as a system message: one entry for all prompts that begin so
  ordered   all that stands before it: exact, and an entry for each order
Where the context is all that stands before the chunk, what is loaded is what the model would compute. Elsewhere
`repair` computes the first tokens of the chunk again in place (EPIC, Hu et al. 2024), which mends most of it.
"""
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from larder import errors
from larder.kv import KvClient, KvKey, KvOwner, KvProfile, KvVariant, token_hash
from larder.llama import Llama, ModelCache, compute, continue_greedily, prefill

CONTEXTS = ("none", "prefix", "ordered")
_MISSES = (errors.NotFound, errors.DataLoss, errors.Unavailable)


@dataclass(frozen=True)
class PromptChunk:
    tokens: Sequence[int]
    owners: Sequence[KvOwner] = ()  # whose deletion deletes the entry


@dataclass
class Answer:
    tokens: list[int] = field(default_factory=list)
    logits: np.ndarray | None = None  # of the first new token
    prompt_tokens: int = 0
    prefilled_tokens: int = 0         # that went through the model before the first new token
    loaded_bytes: int = 0
    first_token_seconds: float = 0.0
    not_stored: list[str] = field(default_factory=list)  # why entries could not be put


@dataclass(frozen=True)
class _Piece:
    """A chunk in the prompt at hand. It attends, besides itself, to the first `context` rows of the cache."""

    chunk: PromptChunk
    key: KvKey
    rows: np.ndarray
    context: int

    @property
    def exact(self):
        return self.context == self.rows[0]


@dataclass(frozen=True)
class Agreement:
    logit_difference: float  # largest, of the first new token
    divergence: float        # KL(reference || other) of its distribution, nats
    same_tokens: bool


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def divergence(reference: np.ndarray, other: np.ndarray) -> np.ndarray:
    """KL(reference || other) of the softmax of logits along the last axis, nats."""
    p, q = log_softmax(reference), log_softmax(other)
    return np.maximum(0.0, (np.exp(p) * (p - q)).sum(axis=-1))


def compare(reference: Answer, other: Answer) -> Agreement:
    return Agreement(float(np.abs(reference.logits - other.logits).max()),
                     float(divergence(reference.logits, other.logits)), reference.tokens == other.tokens)


class Node:
    """Thread-compatible. `local`: a larder.local.LocalKv, asked before the client."""

    def __init__(self, model: Llama, kv: KvClient, profile: KvProfile, *, tenant: str = "", context: str = "none",
                 local=None):
        if context not in CONTEXTS:
            raise ValueError(f"context is {context!r}, expected one of {', '.join(CONTEXTS)}")
        if not profile.k_before_rope:
            raise ValueError("this node rotates K itself: its profile must keep K before RoPE")
        self.model = model
        self.kv = kv
        self.profile = profile
        self.profile_id = kv.register_profile(profile)
        self.tenant = tenant
        self.context = context
        self.readers = [local, kv] if local else [kv]

    def recompute(self, chunks: Sequence[PromptChunk], question: Sequence[int], new_tokens: int = 16,
                  stop: Sequence[int] = ()) -> Answer:
        """Without Larder: the whole prompt goes through the model."""
        answer, began = Answer(), time.perf_counter()
        cache = self._prompt_cache(chunks, question, new_tokens)
        for chunk in chunks:
            prefill(self.model, cache, chunk.tokens)
        answer.prefilled_tokens = cache.length
        self._generate(answer, began, cache, prefill(self.model, cache, question)[-1], new_tokens, stop)
        answer.prefilled_tokens += len(question)
        return answer

    def answer(self, chunks: Sequence[PromptChunk], question: Sequence[int], new_tokens: int = 16,
               stop: Sequence[int] = (), repair: int = 0) -> Answer:
        """With Larder: loads what is there, computes what is missing, and stores that after the answer."""
        answer, began = Answer(), time.perf_counter()
        cache = self._prompt_cache(chunks, question, new_tokens)
        pieces = self._pieces(chunks, cache)
        missing = self._load(pieces, cache, answer)
        computed = [(piece, *self._compute(piece, cache)) for piece in missing]
        mended = [piece.rows[:repair] for piece in pieces if not piece.exact]
        rows = np.concatenate([*mended, cache.extend(cache.length + np.arange(len(question)))])
        tokens = np.concatenate([*(chunk.tokens for chunk in chunks), question])
        state = compute(self.model, cache, tokens[rows], rows)[-1]  # what is mended and the question in one go
        answer.prefilled_tokens = len(rows) + sum(len(piece.rows) for piece in missing)
        self._generate(answer, began, cache, state, new_tokens, stop)
        for piece, k, v in computed:
            self._store(answer, piece, k, v)
        return answer

    def _prompt_cache(self, chunks, question, new_tokens) -> ModelCache:
        length = sum(len(chunk.tokens) for chunk in chunks) + len(question) + new_tokens
        if length > self.model.config.context or not question:
            raise ValueError(f"prompt and answer are {length} tokens, the question {len(question)}; expected at most "
                             f"{self.model.config.context}, and a question")
        return self.model.new_cache(length, self.profile.numpy_dtype)

    def _pieces(self, chunks, cache) -> list[_Piece]:
        pieces, hashes = [], tuple(token_hash(chunk.tokens) for chunk in chunks)
        for at, chunk in enumerate(chunks):
            rows = cache.extend(cache.length + np.arange(len(chunk.tokens)))
            context, variant = 0, KvVariant()
            if at > 0 and self.context == "prefix":
                context, variant = len(chunks[0].tokens), KvVariant("shared_prefix", hashes[:1])
            elif at > 0 and self.context == "ordered":
                context, variant = int(rows[0]), KvVariant("ordered_prefix", hashes[:at])
            pieces.append(_Piece(chunk, KvKey(self.profile_id, chunk.tokens, variant, self.tenant), rows, context))
        return pieces

    def _load(self, pieces, cache, answer) -> list[_Piece]:
        """Loads what is there; what is not, or turns out to be gone or damaged, comes back."""
        found = self.kv.lookup([piece.key for piece in pieces])
        wanted = [at for at, entry in enumerate(found) if entry.hit]
        for reader in self.readers:
            whole = self._load_from(reader, [pieces[at] for at in wanted], cache)
            answer.loaded_bytes += sum(found[wanted[i]].bytes for i in whole)
            wanted = [at for i, at in enumerate(wanted) if i not in whole]
        return [piece for at, piece in enumerate(pieces) if at in wanted or not found[at].hit]

    def _load_from(self, reader, pieces, cache) -> set[int]:
        """Which of the pieces came whole."""
        layers = [0] * len(pieces)
        try:
            for at, part in reader.fetch([piece.key for piece in pieces]) if pieces else ():
                if isinstance(part, _MISSES):
                    continue
                if isinstance(part, errors.LarderError):
                    raise part
                cache.write(part.layer, pieces[at].rows, part.k, part.v)
                layers[at] += 1
        except _MISSES:
            pass
        return {at for at, count in enumerate(layers) if count == self.profile.layers}

    def _compute(self, piece, cache):
        """K and V of the piece in its context, [layer][token][head][dim], which are written to its rows too."""
        context = piece.context
        scratch = self.model.new_cache(context + len(piece.rows), self.profile.numpy_dtype)
        before = scratch.extend(cache.positions[:context])
        for layer in range(self.profile.layers):
            scratch.write(layer, before, cache.k[layer, :context], cache.v[layer, :context])
        prefill(self.model, scratch, piece.chunk.tokens)
        k, v = scratch.k[:, context:], scratch.v[:, context:]
        for layer in range(self.profile.layers):
            cache.write(layer, piece.rows, k[layer], v[layer])
        return k, v

    def _generate(self, answer, began, cache, state, new_tokens, stop):
        answer.prompt_tokens = cache.length
        answer.logits = self.model.logits(state)
        answer.first_token_seconds = time.perf_counter() - began
        answer.tokens = continue_greedily(self.model, cache, answer.logits, new_tokens, stop)

    def _store(self, answer, piece, k, v):
        try:
            self.kv.put(piece.key, zip(k, v), owners=piece.chunk.owners)
        except errors.AlreadyExists:  # another node was faster, or two chunks have the same tokens
            pass
        except errors.LarderError as error:  # the answer stands all the same
            answer.not_stored.append(str(error))

"""A generation node: prompts of retrieved chunks, whose KV comes from Larder where it was computed before.

A chunk's entry holds its KV as computed alone, so that it serves at any position; at the prompt's start that is
what the model would compute there, elsewhere it lacks the attention to what stands before it. `repair` computes
the first tokens of each later chunk again in place (EPIC, Hu et al. 2024), which mends most of that cheaply.
"""
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from larder import errors
from larder.kv import KvClient, KvOwner, KvProfile
from larder.llama import Llama, ModelCache, compute, continue_greedily, prefill


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
    """Thread-compatible. `reader` is where entries are read, by default the same client; larder.local's has the
    same get()."""

    def __init__(self, model: Llama, kv: KvClient, profile: KvProfile, *, tenant: str = "", reader=None):
        self.model = model
        self.kv = kv
        self.profile = profile
        self.profile_id = kv.register_profile(profile)
        self.tenant = tenant
        self.reader = reader or kv

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
        plan = self.kv.plan(self.profile_id, [chunk.tokens for chunk in chunks], tenant=self.tenant)
        missing, repaired = [], []
        for chunk, item in zip(chunks, plan.items):
            rows = cache.extend(item.position + np.arange(item.tokens))
            if not (item.hit and self._load(chunk, cache, rows)):
                missing.append((chunk, self._compute_alone(chunk, cache, rows)))
                answer.prefilled_tokens += item.tokens
            else:
                answer.loaded_bytes += item.bytes
            if item.position > 0:
                repaired.append(rows[:repair])
        rows = np.concatenate([*repaired, cache.extend(cache.length + np.arange(len(question)))])
        tokens = np.concatenate([*(chunk.tokens for chunk in chunks), question])
        state = compute(self.model, cache, tokens[rows], rows)[-1]  # what is repaired and the question in one go
        answer.prefilled_tokens += len(rows)
        self._generate(answer, began, cache, state, new_tokens, stop)
        for chunk, alone in missing:
            self._store(answer, chunk, alone)
        return answer

    def _prompt_cache(self, chunks, question, new_tokens) -> ModelCache:
        length = sum(len(chunk.tokens) for chunk in chunks) + len(question) + new_tokens
        if length > self.model.config.context or not question:
            raise ValueError(f"prompt and answer are {length} tokens, the question {len(question)}; expected at most "
                             f"{self.model.config.context}, and a question")
        return self.model.new_cache(length, self.profile.numpy_dtype)

    def _load(self, chunk, cache, rows) -> bool:
        """False if the entry is gone, damaged or out of reach by now: then it is a miss."""
        layers = 0
        try:
            for part in self.reader.get(self.profile_id, chunk.tokens, tenant=self.tenant):
                cache.write(part.layer, rows, part.k, part.v)
                layers += 1
        except (errors.NotFound, errors.DataLoss, errors.Unavailable):
            return False
        return layers == self.profile.layers

    def _compute_alone(self, chunk, cache, rows) -> ModelCache:
        alone = self.model.new_cache(len(chunk.tokens), self.profile.numpy_dtype)
        prefill(self.model, alone, chunk.tokens)
        for layer in range(self.profile.layers):
            cache.write(layer, rows, alone.k[layer], alone.v[layer])
        return alone

    def _generate(self, answer, began, cache, state, new_tokens, stop):
        answer.prompt_tokens = cache.length
        answer.logits = self.model.logits(state)
        answer.first_token_seconds = time.perf_counter() - began
        answer.tokens = continue_greedily(self.model, cache, answer.logits, new_tokens, stop)

    def _store(self, answer, chunk, alone):
        try:
            self.kv.put(self.profile_id, chunk.tokens, zip(alone.k, alone.v), owners=chunk.owners, tenant=self.tenant)
        except errors.AlreadyExists:  # another node was faster, or two chunks have the same tokens
            pass
        except errors.LarderError as error:  # the answer stands all the same
            answer.not_stored.append(str(error))

#!/usr/bin/env python3
"""The forward pass: RoPE, the cache, incremental decoding, stories260K where it is."""
import os
import unittest

import support  # first: it finds numpy and the stubs
import numpy as np

from larder.llama import Rope, continue_greedily, llama2c, prefill
from support import STORIES, tiny_llama


class RopeTest(unittest.TestCase):
    def test_turns_each_pair_by_position_times_frequency(self):
        x = np.zeros((1, 1, 8), np.float32)
        x[0, 0, :4] = 1, 0, 0, 0
        for style, partner in (("neox", 2), ("interleaved", 1)):
            y = Rope(style, 4, theta=100.0).rotate(x, [3])[0, 0]
            expected = np.zeros(8)
            expected[0], expected[partner] = np.cos(3), np.sin(3)
            np.testing.assert_allclose(y, expected, atol=1e-6, err_msg=style)

    def test_second_pair_turns_slower(self):
        x = np.array([0, 1, 0, 0], np.float32).reshape(1, 1, 4)
        y = Rope("neox", 4, theta=100.0).rotate(x, [3])[0, 0]
        np.testing.assert_allclose(y, [0, np.cos(0.3), 0, np.sin(0.3)], atol=1e-6)

    def test_scores_depend_on_distance_only(self):
        random = np.random.default_rng(1)
        q, k = random.normal(size=(2, 1, 1, 16)).astype(np.float32)
        for style in ("neox", "interleaved"):
            rope = Rope(style, 8)  # partial: half of the head
            near = np.vdot(rope.rotate(q, [9]), rope.rotate(k, [4]))
            far = np.vdot(rope.rotate(q, [309]), rope.rotate(k, [304]))
            self.assertAlmostEqual(near, far, delta=1e-4)

    def test_what_lies_beyond_rotary_dim_stays(self):
        x = np.arange(8, dtype=np.float32).reshape(1, 1, 8)
        np.testing.assert_array_equal(Rope("interleaved", 4).rotate(x, [5])[..., 4:], x[..., 4:])

    def test_effective_frequencies_replace_theta(self):
        x = np.array([1, 0], np.float32).reshape(1, 1, 2)
        y = Rope("neox", 2, frequencies=[0.25]).rotate(x, [2])[0, 0]
        np.testing.assert_allclose(y, [np.cos(0.5), np.sin(0.5)], atol=1e-6)


def naive_logits(model, tokens):
    """The textbook: every token at once, heads repeated, loops, float64, no cache."""
    c, w, n = model.config, model.weights, len(tokens)

    def norm(x, weight):
        return x / np.sqrt((x ** 2).mean(-1, keepdims=True) + c.norm_epsilon) * weight

    def rotate(vector, position):
        out, half = vector.copy(), c.head_dim // 2
        for i in range(half):
            a, b = (i, i + half) if c.rope_style == "neox" else (2 * i, 2 * i + 1)
            angle = position * c.rope_theta ** (-2 * i / c.head_dim)
            out[a] = vector[a] * np.cos(angle) - vector[b] * np.sin(angle)
            out[b] = vector[a] * np.sin(angle) + vector[b] * np.cos(angle)
        return out

    x = w.embedding[tokens].astype(np.float64)
    for layer in w.layers:
        y = norm(x, layer.attention_norm)
        q, k, v = (np.array((y @ m.T).reshape(n, -1, c.head_dim)) for m in (layer.q, layer.k, layer.v))
        attended = np.zeros_like(q)
        for head in range(c.heads):
            kv = head * c.kv_heads // c.heads
            for i in range(n):
                scores = np.array([rotate(q[i, head], i) @ rotate(k[j, kv], j) for j in range(i + 1)])
                p = np.exp(scores / np.sqrt(c.head_dim))
                attended[i, head] = (p / p.sum()) @ v[:i + 1, kv]
        x = x + attended.reshape(n, -1) @ layer.o.T
        y = norm(x, layer.ffn_norm)
        gate = y @ layer.gate.T
        x = x + (gate / (1 + np.exp(-gate)) * (y @ layer.up.T)) @ layer.down.T
    return norm(x, w.norm) @ w.output.T


class ForwardTest(unittest.TestCase):
    tokens = np.random.default_rng(3).integers(0, 64, 21)

    def test_equals_the_textbook(self):
        for style in ("neox", "interleaved"):
            model = tiny_llama(style)
            got = model.logits(prefill(model, model.new_cache(32), self.tokens))
            np.testing.assert_allclose(got, naive_logits(model, self.tokens), atol=1e-4, err_msg=style)

    def test_token_by_token_equals_one_prefill(self):
        model = tiny_llama()
        whole = model.logits(prefill(model, model.new_cache(32), self.tokens))
        cache = model.new_cache(32)
        steps = [model.logits(prefill(model, cache, [token]))[0] for token in self.tokens]
        np.testing.assert_allclose(steps, whole, atol=1e-4)

    def test_rows_may_be_computed_again_in_place(self):
        model = tiny_llama()
        cache = model.new_cache(32)
        prefill(model, cache, self.tokens)
        keys = cache.keys.copy()
        cache.write(1, np.array([4, 5]), np.zeros((2, 2, 8)), np.zeros((2, 2, 8)))
        self.assertGreater(np.abs(cache.keys - keys).max(), 0.1)
        model.forward(self.tokens[4:6], cache, np.array([4, 5]))
        np.testing.assert_allclose(cache.keys, keys, atol=1e-4)

    def test_a_chunk_alone_is_the_same_wherever_it_stands(self):
        model = tiny_llama()
        here, there = model.new_cache(32), model.new_cache(32)
        prefill(model, here, self.tokens)
        prefill(model, there, self.tokens, first_position=400)
        np.testing.assert_allclose(here.k, there.k, atol=1e-4)  # before RoPE
        self.assertGreater(np.abs(here.keys - there.keys).max(), 0.1)

    def test_the_cache_keeps_what_its_dtype_can(self):
        model = tiny_llama()
        cache = model.new_cache(32, np.float16)
        prefill(model, cache, self.tokens)
        self.assertEqual(cache.k.dtype, np.float16)
        np.testing.assert_array_equal(cache.values[1].transpose(1, 0, 2), cache.v[1].astype(np.float32))

    def test_a_full_cache_says_so(self):
        model = tiny_llama()
        with self.assertRaisesRegex(ValueError, "has 4 rows, 5 are needed"):
            prefill(model, model.new_cache(4), self.tokens[:5])


@unittest.skipUnless(os.path.exists(STORIES), "no stories260K here (LARDER_SHARED_DATA)")
class StoriesTest(unittest.TestCase):
    def test_tells_a_story(self):
        model = llama2c.load(os.path.join(STORIES, "stories260K.bin"))
        tokenizer = llama2c.Tokenizer(os.path.join(STORIES, "tok512.bin"), model.config.vocabulary)
        prompt = tokenizer.encode("Once upon a time, there was a little girl named Lily.")
        self.assertEqual(prompt, [1, 403, 407, 261, 378, 432, 383, 286, 261, 376, 298, 315, 421, 395, 317, 426])
        cache = model.new_cache(128)
        state = prefill(model, cache, prompt)[-1]
        told = tokenizer.decode(continue_greedily(model, cache, model.logits(state), 60))
        self.assertTrue(told.startswith("She loved to play outside in the park. One day, she saw a big, red ball."),
                        told)


if __name__ == "__main__":
    support.main()

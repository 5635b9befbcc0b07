#!/usr/bin/env python3
"""A node's round trip through a real larderd: what is reused, what is computed, what stays the same.

    client/python/tests/node_test.py LARDERD [unittest options]
"""
import os
import unittest

import support  # first: it finds numpy and the stubs
import numpy as np

import larder
from larder.llama import llama2c
from larder.node import Node, PromptChunk, compare, divergence
from larder.smollm2 import profile_of
from support import STORIES, ServerTest, tiny_llama


class NodeTest(ServerTest):
    def setUp(self):
        self.random = np.random.default_rng(11)
        self.models = 0

    def node(self, model=None, dtype="f32", codec="raw", **arguments):
        """With a profile of its own, so that tests share no entry."""
        model = model or tiny_llama()
        profile = profile_of(model.config, dtype=dtype, model=self.id() + str(self.models), codec=codec)
        self.models += 1
        return Node(model, self.client.kv, profile, **arguments)

    def chunks(self, *lengths):
        return [PromptChunk(self.random.integers(0, 64, length).tolist()) for length in lengths]

    def test_the_same_place_gives_the_same_bits(self):
        for dtype in ("f32", "f16"):
            for style in ("neox", "interleaved"):
                node, question = self.node(tiny_llama(style), dtype), [5, 6, 7]
                prompt = self.chunks(40)
                first = node.answer(prompt, question)
                self.assertEqual((first.prefilled_tokens, first.loaded_bytes), (43, 0))
                again = node.answer(prompt, question)
                self.assertEqual(again.prefilled_tokens, 3)
                self.assertEqual(again.loaded_bytes, 40 * 3 * 2 * 2 * 8 * (4 if dtype == "f32" else 2))
                np.testing.assert_array_equal(again.logits, node.recompute(prompt, question).logits)
                np.testing.assert_array_equal(again.logits, first.logits)
                self.assertEqual(again.tokens, first.tokens)

    def test_a_new_order_adds_no_entry_and_prefills_only_the_question(self):
        node = self.node()
        prompt = self.chunks(10, 20, 30)
        first = node.answer(prompt, [1, 2])
        self.assertEqual(first.prefilled_tokens, 62)
        entries = self.client.kv.lookup([larder.KvKey(node.profile_id, chunk.tokens) for chunk in prompt])
        self.assertTrue(all(entry.hit for entry in entries))
        moved = node.answer(prompt[::-1], [1, 2])
        self.assertEqual((moved.prefilled_tokens, moved.prompt_tokens), (2, 62))
        self.assertEqual(moved.loaded_bytes, sum(entry.bytes for entry in entries))
        self.assertEqual(node.answer(prompt, [1, 2]).logits.tobytes(), first.logits.tobytes())

    def test_loaded_and_computed_chunks_are_the_same(self):
        """What a chunk is worth does not depend on who computed it, when, or where it stood then."""
        node = self.node()
        prompt = self.chunks(10, 20, 30)
        computed = node.answer(prompt, [1, 2])
        other = self.node()
        other.answer([prompt[2], prompt[1]], [3])
        mixed = other.answer(prompt, [1, 2])
        self.assertEqual(mixed.prefilled_tokens, 12)
        np.testing.assert_allclose(mixed.logits, computed.logits, atol=1e-4)

    def test_the_same_order_gives_the_same_bits(self):
        """With all that stands before it as its context, a chunk is what a full prefill makes of it."""
        for dtype in ("f32", "f16"):
            node, prompt = self.node(dtype=dtype, context="ordered"), self.chunks(20, 30, 25, 10)
            plain = node.recompute(prompt, [5, 6])
            for loaded in (0, 85):
                answer = node.answer(prompt, [5, 6], repair=8)
                np.testing.assert_array_equal(answer.logits, plain.logits)
                self.assertEqual(answer.prefilled_tokens, 87 - loaded)  # nothing is mended: nothing needs it
            moved = [prompt[0], prompt[2], prompt[1], prompt[3]]
            answer = node.answer(moved, [5, 6])
            self.assertEqual(answer.prefilled_tokens, 67)  # another order is another context
            np.testing.assert_array_equal(answer.logits, node.recompute(moved, [5, 6]).logits)

    def test_codecs_cost_what_they_lose(self):
        """In the next token's distribution: nothing, hardly anything, something, more; averaged over prompts."""
        lost, model = [], tiny_llama("interleaved")
        for codec in ("raw", "int8", "int4", "mixed"):
            node, self.random = self.node(model, "f16", codec), np.random.default_rng(11)
            pairs = []
            for prompt in [self.chunks(60) for _ in range(8)]:
                first, loaded = node.answer(prompt, [5]), node.answer(prompt, [5])
                self.assertEqual(loaded.prefilled_tokens, 1)
                pairs.append(compare(first, loaded).divergence)
            lost.append(float(np.mean(pairs)))
        self.assertEqual(lost[0], 0)
        self.assertLess(lost[1], 1e-3)
        self.assertEqual(lost, sorted(lost))
        self.assertGreater(lost[2], 10 * lost[1])

    def test_behind_a_prefix(self):
        node, prompt = self.node(context="prefix"), self.chunks(20, 30, 25)
        first = node.answer(prompt, [5])
        self.assertEqual(first.prefilled_tokens, 76)
        pair = [prompt[0], prompt[2]]  # where it now stands directly behind the prefix
        self.assertEqual(node.answer(pair, [5]).prefilled_tokens, 1)
        np.testing.assert_allclose(node.answer(pair, [5]).logits, node.recompute(pair, [5]).logits, atol=1e-4)
        other = [self.chunks(20)[0], prompt[1]]
        self.assertEqual(node.answer(other, [5]).prefilled_tokens, 51)  # another prefix is another context
        self.assertEqual(node.answer(prompt, [5], repair=4).prefilled_tokens, 1 + 4)

    def test_repair_of_whole_chunks_is_the_full_prefill(self):
        node = self.node()
        prompt = self.chunks(12, 16, 16)
        node.answer(prompt, [1, 2])
        plain = node.recompute(prompt, [1, 2])
        unrepaired = node.answer(prompt, [1, 2])
        self.assertGreater(compare(plain, unrepaired).logit_difference, 0.01)
        repaired = node.answer(prompt, [1, 2], repair=16)
        self.assertEqual(repaired.prefilled_tokens, 34)
        np.testing.assert_allclose(repaired.logits, plain.logits, atol=1e-3)

    def test_repair_computes_only_the_first_tokens(self):
        node = self.node()
        prompt = self.chunks(12, 16, 3)
        node.answer(prompt, [1, 2])
        self.assertEqual(node.answer(prompt, [1, 2], repair=4).prefilled_tokens, 2 + 4 + 3)

    def test_tenants_share_nothing(self):
        model = tiny_llama()
        mine = self.node(model)
        theirs = Node(model, self.client.kv, mine.profile, tenant="theirs")
        prompt = self.chunks(8)
        mine.answer(prompt, [1])
        self.assertEqual(theirs.answer(prompt, [1]).prefilled_tokens, 9)

    def test_an_entry_goes_with_its_document(self):
        self.client.create_collection("docs", embedder="none", dimension=1)
        self.client.upsert("docs", [larder.Document("d", chunks=[larder.GivenChunk("x", {"default": [1]})])])
        node, prompt = self.node(), self.chunks(8)
        owned = [PromptChunk(prompt[0].tokens, [larder.KvOwner("docs", "d")])]
        node.answer(owned, [1])
        self.assertEqual(node.answer(owned, [1]).prefilled_tokens, 1)
        self.client.delete("docs", "d")
        again = node.answer(owned, [1])
        self.assertEqual(again.prefilled_tokens, 9)
        self.assertIn("d", again.not_stored[0])  # its owner is gone: said, and no reason to fail

    def test_a_reader_that_fails_is_a_miss(self):
        class Torn:
            """Gives the first layers of every entry, then an error, or nothing."""

            def __init__(self, kv, error):
                self.kv, self.error = kv, error

            def fetch(self, keys):
                for at, part in self.kv.fetch(keys):
                    if part.layer == 0:
                        yield at, part
                    elif self.error:
                        yield at, self.error

        node, prompt = self.node(), self.chunks(8, 9)
        whole = node.answer(prompt, [1])
        for error in (larder.DataLoss("damaged"), larder.NotFound("gone"), larder.Unavailable("away"), None):
            node.readers = [Torn(self.client.kv, error)]
            torn = node.answer(prompt, [1])
            self.assertEqual((torn.prefilled_tokens, torn.loaded_bytes), (18, 0))
            np.testing.assert_array_equal(torn.logits, whole.logits)
        node.readers.append(self.client.kv)
        self.assertEqual(node.answer(prompt, [1]).prefilled_tokens, 1)  # the next reader has it
        node.readers = [Torn(self.client.kv, larder.InvalidArgument("a bug"))]
        with self.assertRaises(larder.InvalidArgument):
            node.answer(prompt, [1])

    def test_prompts_that_do_not_fit_are_refused(self):
        node = self.node()
        with self.assertRaisesRegex(ValueError, "at most 512"):
            node.answer(self.chunks(500), [1])
        with self.assertRaisesRegex(ValueError, "question"):
            node.answer(self.chunks(5), [])

    @unittest.skipUnless(os.path.exists(STORIES), "no stories260K here (LARDER_SHARED_DATA)")
    def test_a_story_goes_on_the_same_way(self):
        model = llama2c.load(os.path.join(STORIES, "stories260K.bin"))
        tokenizer = llama2c.Tokenizer(os.path.join(STORIES, "tok512.bin"), model.config.vocabulary)
        node = self.node(model, "f16")
        prompt = [PromptChunk(tokenizer.encode("Once upon a time, there was a little girl named Lily."))]
        question = tokenizer.encode("She had a red ball.", bos=False)
        node.answer(prompt, question)
        plain, reused = node.recompute(prompt, question, 60), node.answer(prompt, question, 60)
        np.testing.assert_array_equal(reused.logits, plain.logits)
        self.assertEqual(reused.tokens, plain.tokens)
        self.assertEqual(reused.prefilled_tokens, len(question))


class DivergenceTest(unittest.TestCase):
    def test_known_values(self):
        even, skewed = np.log([0.5, 0.5]), np.log([0.75, 0.25])
        self.assertAlmostEqual(divergence(even, skewed + 3), 0.5 * np.log(0.5 / 0.75) + 0.5 * np.log(0.5 / 0.25))
        self.assertEqual(divergence(skewed, skewed), 0)


if __name__ == "__main__":
    support.main()

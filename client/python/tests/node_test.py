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

    def node(self, model=None, dtype="f32", **arguments):
        """With a profile of its own, so that tests share no entry."""
        model = model or tiny_llama()
        profile = profile_of(model.config, dtype=dtype, model=self.id() + str(self.models), codec="raw")
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
        entries = [node.profile_id in self.client.kv.profiles(), self.hits(node, prompt)]
        moved = node.answer(prompt[::-1], [1, 2])
        self.assertEqual((moved.prefilled_tokens, moved.prompt_tokens), (2, 62))
        self.assertEqual([node.profile_id in self.client.kv.profiles(), self.hits(node, prompt)], entries)
        self.assertEqual(entries[1], 3)

    def hits(self, node, prompt):
        return sum(found.hit for found in self.client.kv.lookup(node.profile_id, [chunk.tokens for chunk in prompt]))

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
            def __init__(self, kv, error):
                self.kv, self.error = kv, error

            def get(self, *arguments, **named):
                yield next(self.kv.get(*arguments, **named))
                if self.error:
                    raise self.error

        node, prompt = self.node(), self.chunks(8, 9)
        whole = node.answer(prompt, [1])
        for error in (larder.DataLoss("damaged"), larder.NotFound("gone"), larder.Unavailable("away"), None):
            node.reader = Torn(self.client.kv, error)
            torn = node.answer(prompt, [1])
            self.assertEqual((torn.prefilled_tokens, torn.loaded_bytes), (18, 0))
            np.testing.assert_array_equal(torn.logits, whole.logits)

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

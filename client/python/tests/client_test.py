#!/usr/bin/env python3
"""Client and KvClient against a real larderd over a real socket.

    client/python/tests/client_test.py LARDERD [unittest options]
"""
import dataclasses
import unittest

import support  # first: it finds numpy and the stubs
import numpy as np

import larder
from larder import kv
from larder.v1 import kv_pb2
from support import ServerTest

PROFILE = larder.KvProfile(model="tiny", layers=2, kv_heads=1, head_dim=4, rope_style="interleaved",
                           rope_theta=500.0, dtype="f16", weights_sha256="ab" * 32)


class DocumentsTest(ServerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.client.create_collection("docs", embedder="none", dimension=3)
        roots = [("carrots", [1, 0, 0], 1970), ("turnips", [0, 1, 0], 1980), ("beets", [0, 0, 1], 1990)]
        results = cls.client.upsert("docs", [
            larder.Document(name, title=name.title(), metadata={"year": year, "kinds": ["root", "red"], "fresh": True},
                            chunks=[larder.GivenChunk(f"Store {name} in sand.", {"default": vector}, section="A > B")])
            for name, vector, year in roots])
        assert [(r.id, r.chunks, r.error) for r in results] == [(name, 1, "") for name, _, _ in roots], results

    def test_collections(self):
        self.client.create_collection("other", embedder="none", dimension=2, metric="l2")
        self.assertEqual(self.client.collections(), ["docs", "other"])
        self.client.drop_collection("other")
        self.assertEqual(self.client.collections(), ["docs"])

    def test_search(self):
        found = self.client.search("docs", vector=[0.1, 1, 0], k=2, include_metadata=True, include_vector=True)
        self.assertEqual([hit.document_id for hit in found.hits], ["turnips", "carrots"])
        best = found.hits[0]
        self.assertEqual((best.title, best.section, best.text, best.ordinal), ("Turnips", "A > B", "Store turnips in sand.", 0))
        self.assertEqual(best.metadata, {"year": 1980, "kinds": ["root", "red"], "fresh": True})
        self.assertEqual(best.vector, [0, 1, 0])
        self.assertEqual(found.matches, 3)

    def test_filters(self):
        found = self.client.search("docs", vector=[1, 0, 0], filter="year >= 1980")
        self.assertEqual({hit.document_id for hit in found.hits}, {"turnips", "beets"})
        self.assertEqual(self.client.count("docs", filter="year < 1980"), 1)
        self.assertEqual(self.client.count("docs"), 3)

    def test_get_and_chunks(self):
        document = self.client.get("docs", "beets", include_chunks=True)
        self.assertEqual((document.title, document.metadata["year"]), ("Beets", 1990))
        self.assertEqual(document.chunks[0].vectors, {"default": [0, 0, 1]})
        self.assertEqual([chunk.text for chunk in self.client.chunks("docs", "beets")], ["Store beets in sand."])

    def test_scroll_goes_from_page_to_page(self):
        self.assertEqual([d.id for d in self.client.scroll("docs", page=2)], ["beets", "carrots", "turnips"])

    def test_deletes(self):
        self.client.upsert("docs", [larder.Document(name, tenant="t", chunks=[larder.GivenChunk("x", {"default": [1, 1, 1]})],
                                                    metadata={"gone": True}) for name in ("a", "b")])
        self.assertTrue(self.client.delete("docs", "a", tenant="t"))
        self.assertFalse(self.client.delete("docs", "a", tenant="t"))
        self.assertEqual(self.client.delete_where("docs", "gone = true", tenant="t"), 1)

    def test_a_bad_document_stops_no_other(self):
        good, bad = self.client.upsert("docs", [
            larder.Document("good", tenant="u", chunks=[larder.GivenChunk("x", {"default": [1, 1, 1]})]),
            larder.Document("bad", tenant="u", chunks=[larder.GivenChunk("x", {"default": [1, 1]})])])
        self.assertEqual(good.error, "")
        self.assertIn("2", bad.error)

    def test_errors_carry_the_servers_words(self):
        with self.assertRaisesRegex(larder.NotFound, "nowhere"):
            self.client.count("nowhere")
        with self.assertRaisesRegex(larder.AlreadyExists, "docs"):
            self.client.create_collection("docs", embedder="none", dimension=3)
        with self.assertRaises(larder.InvalidArgument) as caught:
            self.client.search("docs", vector=[1, 2])
        self.assertEqual(caught.exception.code, "INVALID_ARGUMENT")
        with self.assertRaisesRegex(ValueError, "one of cosine, dot, l2"):
            self.client.create_collection("x", metric="manhattan")

    def test_no_server(self):
        with larder.Client("127.0.0.1:1", timeout=5) as client, self.assertRaises(larder.Unavailable):
            client.collections()


class KvTest(ServerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.profile_id = cls.client.kv.register_profile(PROFILE)

    def layers(self, tokens, seed=0):
        random = np.random.default_rng(seed)
        return [tuple(random.normal(size=(2, tokens, 1, 4)).astype(np.float16)) for _ in range(2)]

    def assert_layers_equal(self, got, wanted):
        self.assertEqual(len(got), len(wanted))
        for layer, (k, v) in zip(got, wanted):
            np.testing.assert_array_equal(layer.k, k)
            np.testing.assert_array_equal(layer.v, v)

    def test_profiles_come_back_as_they_were(self):
        self.assertEqual(self.client.kv.register_profile(PROFILE), self.profile_id)
        other = larder.Client(self.server.address)
        self.addCleanup(other.close)
        self.assertEqual(other.kv.profile(self.profile_id), PROFILE)
        self.assertIn(self.profile_id, other.kv.profiles())

    def test_put_get_delete(self):
        tokens, layers = [1, 2, 3], self.layers(3)
        self.client.kv.put(self.profile_id, tokens, layers)
        got = list(self.client.kv.get(self.profile_id, tokens))
        self.assert_layers_equal(got, layers)
        self.assertEqual([layer.layer for layer in got], [0, 1])
        self.assert_layers_equal(list(self.client.kv.get(self.profile_id, tokens, first=1, count=1)), layers[1:])
        with self.assertRaises(larder.AlreadyExists):
            self.client.kv.put(self.profile_id, tokens, layers)
        self.assertTrue(self.client.kv.delete(self.profile_id, tokens))
        self.assertFalse(self.client.kv.delete(self.profile_id, tokens))
        with self.assertRaises(larder.NotFound):
            list(self.client.kv.get(self.profile_id, tokens))

    def test_layers_larger_than_a_message_travel_in_parts(self):
        wide = dataclasses.replace(PROFILE, kv_heads=64, head_dim=128, layers=1)
        tokens = list(range(150))
        k, v = np.random.default_rng(5).normal(size=(2, 150, 64, 128)).astype(np.float16)
        self.assertGreater(k.nbytes, 2 * kv.PART_BYTES)
        wide_id = self.client.kv.register_profile(wide)
        self.client.kv.put(wide_id, tokens, [(k, v)])
        self.assert_layers_equal(list(self.client.kv.get(wide_id, tokens)), [(k, v)])

    def test_lookup_and_plan(self):
        self.client.kv.put(self.profile_id, [7, 8], self.layers(2))
        hit, miss = self.client.kv.lookup(self.profile_id, [[7, 8], [8, 7]])
        self.assertEqual((hit.hit, hit.tokens, hit.bytes, miss.hit), (True, 2, 64, False))
        plan = self.client.kv.plan(self.profile_id, [[8, 7, 9], [7, 8]], first_position=10)
        self.assertEqual([(item.hit, item.position) for item in plan.items], [(False, 10), (True, 13)])
        self.assertEqual((plan.hit_tokens, plan.miss_tokens, plan.bytes), (2, 3, 64))
        self.assertFalse(self.client.kv.lookup(self.profile_id, [[7, 8]], tenant="other")[0].hit)

    def test_a_put_that_fails_leaves_nothing(self):
        wrong_shape = [(k[:1], v) for k, v in self.layers(2)]
        with self.assertRaises(larder.InvalidArgument):
            self.client.kv.put(self.profile_id, [20, 21], wrong_shape)
        with self.assertRaisesRegex(larder.LarderError, "layer"):
            self.client.kv.put(self.profile_id, [20, 21], self.layers(2)[:1])
        with self.assertRaisesRegex(ValueError, "float64"):
            self.client.kv.put(self.profile_id, [20, 21], [(k.astype(float), v) for k, v in self.layers(2)])
        self.client.kv.put(self.profile_id, [20, 21], self.layers(2))  # no session holds the key

    def test_kv_goes_with_its_document(self):
        self.client.create_collection("owners", embedder="none", dimension=1)
        self.client.upsert("owners", [larder.Document("d", chunks=[larder.GivenChunk("x", {"default": [1]})])])
        owner = larder.KvOwner("owners", "d", 0)
        self.client.kv.put(self.profile_id, [30, 31], self.layers(2), owners=[owner])
        self.assertEqual(self.client.kv.add_owners(self.profile_id, [30, 31], [owner]), 0)
        self.assertTrue(self.client.kv.lookup(self.profile_id, [[30, 31]])[0].hit)
        self.client.delete("owners", "d")
        self.assertFalse(self.client.kv.lookup(self.profile_id, [[30, 31]])[0].hit)


class AssembleTest(unittest.TestCase):
    """A stream that is not as it must be is no tensor."""

    def setUp(self):
        self.parts = list(kv.split(3, b"k" * 8, b"v" * 8))

    def refuse(self, parts, word="expected"):
        with self.assertRaisesRegex(larder.LarderError, word):
            list(kv.assemble(parts, 8))

    def test_whole(self):
        self.assertEqual(list(kv.assemble(self.parts, 8)), [(3, b"k" * 8, b"v" * 8)])

    def test_out_of_place(self):
        self.refuse(self.parts[::-1])
        self.refuse([self.parts[0]], "ended within a layer")
        self.refuse([self.parts[0], self.parts[0]])
        for change in ({"offset": 1}, {"total_bytes": 9}, {"data": b"v" * 9}, {"layer": 4}):
            part = kv_pb2.KvPart(layer=3, tensor=kv_pb2.KvPart.TENSOR_V, offset=0, total_bytes=8, data=b"v" * 8)
            part.MergeFrom(kv_pb2.KvPart(**change))
            self.refuse([self.parts[0], part])


if __name__ == "__main__":
    support.main()

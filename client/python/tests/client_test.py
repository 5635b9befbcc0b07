#!/usr/bin/env python3
"""Client and KvClient against a real larderd over a real socket.

    client/python/tests/client_test.py LARDERD [unittest options]
"""
import dataclasses
import unittest

import support  # first: it finds numpy and the stubs
import numpy as np

import larder
from larder import KvKey, KvReadRequest, KvVariant, kv, kv_parts
from larder.llama import Rope
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
        self.assertEqual((best.title, best.section, best.text, best.ordinal),
                         ("Turnips", "A > B", "Store turnips in sand.", 0))
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
        chunk = larder.GivenChunk("x", {"default": [1, 1, 1]})
        self.client.upsert("docs", [larder.Document(name, tenant="t", chunks=[chunk], metadata={"gone": True})
                                    for name in ("a", "b")])
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

    def key(self, *tokens, **named):
        return KvKey(self.profile_id, tokens, **named)

    def test_put_get_delete(self):
        key, layers = self.key(1, 2, 3), self.layers(3)
        self.client.kv.put(key, layers)
        got = list(self.client.kv.get(key))
        self.assert_layers_equal(got, layers)
        self.assertEqual([layer.layer for layer in got], [0, 1])
        with self.assertRaises(larder.AlreadyExists):
            self.client.kv.put(key, layers)
        self.assertTrue(self.client.kv.delete(key))
        self.assertFalse(self.client.kv.delete(key))
        with self.assertRaises(larder.NotFound):
            list(self.client.kv.get(key))

    def test_layers_larger_than_a_message_travel_in_parts(self):
        wide = dataclasses.replace(PROFILE, kv_heads=64, head_dim=128, layers=1)
        k, v = np.random.default_rng(5).normal(size=(2, 150, 64, 128)).astype(np.float16)
        self.assertGreater(k.nbytes, 2 * kv_parts.PART_BYTES)
        key = KvKey(self.client.kv.register_profile(wide), range(150))
        self.client.kv.put(key, [(k, v)])
        self.assert_layers_equal(list(self.client.kv.get(key)), [(k, v)])

    def test_read_goes_layer_by_layer_and_each_object_for_itself(self):
        keys = [self.key(40, 41), self.key(42), self.key(43, 44, 45)]
        layers = {0: self.layers(2, 1), 2: self.layers(3, 2)}
        for at, tensors in layers.items():
            self.client.kv.put(keys[at], tensors)
        got = list(self.client.kv.fetch(keys))
        missed = [(at, part) for at, part in got if isinstance(part, larder.LarderError)]
        self.assertEqual([(at, type(error)) for at, error in missed], [(1, larder.NotFound)])
        parts = [(at, part.layer) for at, part in got if not isinstance(part, larder.LarderError)]
        self.assertEqual(parts, [(0, 0), (2, 0), (0, 1), (2, 1)])
        for wanted in layers:
            self.assert_layers_equal([part for at, part in got if at == wanted], layers[wanted])

    def test_slices(self):
        two_heads = dataclasses.replace(PROFILE, kv_heads=2)
        key = KvKey(self.client.kv.register_profile(two_heads), range(50, 60))
        random = np.random.default_rng(9)
        layers = [tuple(random.normal(size=(2, 10, 2, 4)).astype(np.float16)) for _ in range(2)]
        self.client.kv.put(key, layers)
        for request, tokens, heads in (
                (KvReadRequest(key, first_layer=1, layers=1, first_token=3, tokens=4), slice(3, 7), slice(None)),
                (KvReadRequest(key, first_layer=1, first_head=1), slice(None), slice(1, 2)),
                (KvReadRequest(key, first_layer=1, token_list=(0, 4, 9), heads=1), [0, 4, 9], slice(0, 1))):
            (_, part), = self.client.kv.read([request])
            self.assert_layers_equal([part], [tuple(tensor[tokens][:, heads] for tensor in layers[1])])

    def test_the_server_rotates_as_the_model_does(self):
        for style in ("neox", "interleaved"):
            profile = dataclasses.replace(PROFILE, rope_style=style, dtype="f32")
            key = KvKey(self.client.kv.register_profile(profile), range(60, 70))
            layers = [tuple(np.random.default_rng(4).normal(size=(2, 10, 1, 4)).astype(np.float32))] * 2
            self.client.kv.put(key, layers)
            (_, part), _ = self.client.kv.read([KvReadRequest(key, rotate_to=123)])
            rotated = Rope(style, 4, 500.0).rotate(layers[0][0], 123 + np.arange(10))
            np.testing.assert_allclose(part.k, rotated, atol=1e-5)
            np.testing.assert_array_equal(part.v, layers[0][1])

    def test_rotated_keys_are_kept_before_rope(self):
        profile = dataclasses.replace(PROFILE, dtype="f32")
        key = KvKey(self.client.kv.register_profile(profile), range(70, 80))
        k, v = np.random.default_rng(4).normal(size=(2, 10, 1, 4)).astype(np.float32)
        rotated = Rope("interleaved", 4, 500.0).rotate(k, 200 + np.arange(10))
        self.client.kv.put(key, [(rotated, v)] * 2, rotated_from=200)
        np.testing.assert_allclose(next(self.client.kv.get(key)).k, k, atol=1e-5)

    def test_variants_are_entries_of_their_own(self):
        context = (kv.token_hash([1, 2]), kv.token_hash([3]))
        variants = [KvVariant(), KvVariant("shared_prefix", context), KvVariant("ordered_prefix", context),
                    KvVariant("ordered_prefix", context[::-1])]
        for seed, variant in enumerate(variants):
            self.client.kv.put(self.key(80, 81, variant=variant), self.layers(2, seed))
        for seed, variant in enumerate(variants):
            self.assert_layers_equal(list(self.client.kv.get(self.key(80, 81, variant=variant))), self.layers(2, seed))
        self.assertFalse(self.client.kv.lookup([self.key(80, 81, variant=KvVariant("source_set", context[:1]))])[0].hit)

    def test_sidecars(self):
        key = self.key(90, 91)
        saliency = np.array([0.5, 2], np.float32).tobytes()
        self.client.kv.put(key, self.layers(2), sidecars={"saliency": saliency, "inter_attention": b"any"})
        self.assertEqual(self.client.kv.sidecar(key, "saliency"), saliency)
        self.assertEqual(self.client.kv.sidecar(key, "inter_attention"), b"any")
        with self.assertRaises(larder.NotFound):
            self.client.kv.sidecar(key, "centroids")

    def test_lookup_and_plan(self):
        self.client.kv.put(self.key(7, 8), self.layers(2))
        hit, miss = self.client.kv.lookup([self.key(7, 8), self.key(8, 7)])
        self.assertEqual((hit.hit, hit.tokens, hit.bytes, miss.hit), (True, 2, 64, False))
        plan = self.client.kv.plan(self.profile_id, [[8, 7, 9], [7, 8]], first_position=10)
        self.assertEqual([(item.hit, item.position) for item in plan.items], [(False, 10), (True, 13)])
        self.assertEqual((plan.hit_tokens, plan.miss_tokens, plan.bytes), (2, 3, 64))
        self.assertFalse(self.client.kv.lookup([self.key(7, 8, tenant="other")])[0].hit)

    def test_a_put_that_fails_leaves_nothing(self):
        key = self.key(20, 21)
        with self.assertRaisesRegex(ValueError, r"\(1, 1, 4\), the key and its profile need float16 \(2, 1, 4\)"):
            self.client.kv.put(key, [(k[:1], v) for k, v in self.layers(2)])
        with self.assertRaisesRegex(larder.LarderError, "layer"):
            self.client.kv.put(key, self.layers(2)[:1])
        with self.assertRaisesRegex(ValueError, "float64"):
            self.client.kv.put(key, [(k.astype(float), v) for k, v in self.layers(2)])
        self.client.kv.put(key, self.layers(2))  # no session holds the key

    def test_kv_goes_with_its_document(self):
        self.client.create_collection("owners", embedder="none", dimension=1)
        self.client.upsert("owners", [larder.Document("d", chunks=[larder.GivenChunk("x", {"default": [1]})])])
        key, owner = self.key(30, 31), larder.KvOwner("owners", "d", 0)
        self.client.kv.put(key, self.layers(2), owners=[owner])
        self.assertEqual(self.client.kv.add_owners(key, [owner]), 0)
        self.assertTrue(self.client.kv.lookup([key])[0].hit)
        self.client.delete("owners", "d")
        self.assertFalse(self.client.kv.lookup([key])[0].hit)


class AssemblerTest(unittest.TestCase):
    """A stream that is not as it must be is no tensor."""

    def setUp(self):
        self.parts = list(kv_parts.split(3, b"k" * 8, b"v" * 8))

    def test_whole_layers_one_after_the_other(self):
        for expected in (8, None):
            assembler = kv_parts.Assembler(expected)
            self.assertIsNone(assembler.add(self.parts[0]))
            self.assertFalse(assembler.empty)
            self.assertEqual(assembler.add(self.parts[1]), (3, b"k" * 8, b"v" * 8))
            self.assertTrue(assembler.empty)
            self.assertIsNone(assembler.add(next(kv_parts.split(4, b"k" * 8, b"v" * 8))))

    def test_parts_out_of_place(self):
        changes = ({"offset": 1}, {"total_bytes": 9}, {"data": b"v" * 9}, {"layer": 4},
                   {"tensor": kv_pb2.KvPart.TENSOR_K})
        for change in changes:
            assembler = kv_parts.Assembler(8)
            assembler.add(self.parts[0])
            part = kv_pb2.KvPart(**{"layer": 3, "tensor": kv_pb2.KvPart.TENSOR_V, "offset": 0, "total_bytes": 8,
                                    "data": b"v" * 8, **change})
            with self.assertRaisesRegex(larder.LarderError, "expected", msg=change):
                assembler.add(part)
        with self.assertRaisesRegex(larder.LarderError, "expected"):
            kv_parts.Assembler(8).add(self.parts[1])


if __name__ == "__main__":
    support.main()

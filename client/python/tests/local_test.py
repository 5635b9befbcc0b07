#!/usr/bin/env python3
"""Entries in larderd's shared memory: views without a copy, leases that end, a node that reads there.

    client/python/tests/local_test.py LARDERD [unittest options]
"""
import os

import support  # first: it finds numpy and the stubs
import numpy as np

import larder
from larder import KvKey
from larder.local import LocalKv, StaleLease
from larder.node import Node, PromptChunk
from larder.smollm2 import profile_of
from support import ServerTest, tiny_llama

PROFILE = larder.KvProfile(model="tiny", layers=2, kv_heads=2, head_dim=8, dtype="f16", weights_sha256="ab" * 32)


class LocalTest(ServerTest):
    arguments = ("--kv-pool-mb", "64", "--kv-socket", "{folder}/kv.sock")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.path = os.path.join(cls.server.folder, "kv.sock")
        cls.profile_id = cls.client.kv.register_profile(PROFILE)
        cls.local = LocalKv(cls.path)
        cls.addClassCleanup(cls.local.close)

    def put(self, *tokens, seed=0, profile_id=None, **arguments):
        key = KvKey(profile_id or self.profile_id, tokens)
        random = np.random.default_rng(seed)
        layers = [tuple(random.normal(size=(2, len(tokens), 2, 8)).astype(np.float16)) for _ in range(2)]
        self.client.kv.put(key, layers, **arguments)
        return key, layers

    def test_views_copy_nothing(self):
        key, layers = self.put(1, 2, 3)
        lease, = self.local.acquire([key])
        with lease:
            for layer, tensors in enumerate(layers):
                for side, got, wanted in zip("kv", lease.layer(layer), tensors):
                    np.testing.assert_array_equal(got, wanted)
                    shared = np.frombuffer(lease.payload(layer, side), np.uint8)
                    self.assertEqual(got.ctypes.data, shared.ctypes.data)
                    self.assertFalse(got.flags.writeable)
            again, = self.local.acquire([key])
            with again:  # the same bytes, not another copy of them
                self.assertEqual(again.layer(0)[0].ctypes.data, lease.layer(0)[0].ctypes.data)
            lease.check()

    def test_a_lease_ends_with_its_release(self):
        key, _ = self.put(4, 5)
        lease, = self.local.acquire([key])
        k, _ = lease.layer(0)
        lease.release()
        for use in (lease.check, lambda: lease.layer(0)):
            with self.assertRaisesRegex(StaleLease, "released"):
                use()
        self.assertTrue(np.isfinite(k.astype(np.float32)).all())  # still mapped: readable, but no longer promised

    def test_a_lease_that_is_not_used_in_time_has_ended(self):
        key, _ = self.put(6, 7)
        lease, = self.local.acquire([key])
        with lease:
            lease._deadline -= self.local.lease_seconds
            with self.assertRaisesRegex(StaleLease, "not used for"):
                lease.layer(0)

    def test_memory_that_was_used_again_is_noticed(self):
        key, _ = self.put(18, 19)
        lease, = self.local.acquire([key])
        with lease:
            lease._grant.generation += 2  # as if the slot had been given away and come back
            with self.assertRaisesRegex(StaleLease, "its slot is of generation"):
                lease.layer(0)

    def test_use_renews(self):
        key, _ = self.put(8, 9)
        lease, = self.local.acquire([key])
        with lease:
            lease._deadline -= self.local.lease_seconds * 0.75
            before = lease._deadline
            lease.check()
            self.assertGreater(lease._deadline, before + self.local.lease_seconds / 2)

    def test_each_key_has_its_own_answer(self):
        key, _ = self.put(10, 11)
        lease, miss = self.local.acquire([key, KvKey(self.profile_id, (11, 10))])
        with lease:
            self.assertIsInstance(miss, larder.NotFound)
        held, none = self.local.lookup(self.profile_id, [(10, 11), (11, 10)])
        self.assertGreaterEqual(held, 2 * 2 * 2 * 2 * 8 * 2)
        self.assertEqual(none, 0)

    def test_no_hit_across_tenants(self):
        key, _ = self.put(12, 13)
        with LocalKv(self.path, tenant="other") as other:
            found, = other.acquire([KvKey(key.profile_id, key.tokens, tenant="other")])
            self.assertIsInstance(found, larder.NotFound)
            with self.assertRaisesRegex(ValueError, "tenant 'other'"):
                other.acquire([key])

    def test_deletion_ends_new_reads_not_those_under_way(self):
        self.client.create_collection("docs", embedder="none", dimension=1)
        self.client.upsert("docs", [larder.Document("d", chunks=[larder.GivenChunk("x", {"default": [1]})])])
        key, layers = self.put(14, 15, owners=[larder.KvOwner("docs", "d")])
        lease, = self.local.acquire([key])
        with lease:
            self.client.delete("docs", "d")
            self.assertIsInstance(self.local.acquire([key])[0], larder.NotFound)
            np.testing.assert_array_equal(lease.layer(1)[1], layers[1][1])

    def test_a_fetch_that_is_left_releases_all(self):
        keys = [self.put(20, 21)[0], self.put(22, 23)[0]]
        before = self.local.stats().leases
        reading = self.local.fetch(keys)
        next(reading)
        self.assertEqual(self.local.stats().leases, before + 2)
        reading.close()
        self.assertEqual(self.local.stats().leases, before)

    def test_stats(self):
        key, _ = self.put(16, 17)
        before = self.local.stats()
        lease, = self.local.acquire([key])
        with lease:
            now = self.local.stats()
            self.assertEqual((now.hits, now.leases), (before.hits + 1, before.leases + 1))
        self.assertEqual(self.local.stats().leases, before.leases)

    def test_no_socket(self):
        with self.assertRaisesRegex(larder.Unavailable, "nowhere"):
            LocalKv(os.path.join(self.server.folder, "nowhere"))

    def test_a_server_that_goes(self):
        with LocalKv(self.path) as local:
            local._socket.shutdown(2)
            with self.assertRaises(larder.Unavailable):
                local.stats()

    def test_a_node_reads_there(self):
        class NoClient:
            def fetch(self, keys):
                raise AssertionError(f"{len(keys)} entries came another way")

        model, random = tiny_llama("interleaved"), np.random.default_rng(3)
        profile = profile_of(model.config, model="local node")
        node = Node(model, self.client.kv, profile, context="ordered", local=self.local)
        prompt = [PromptChunk(random.integers(0, 64, n).tolist()) for n in (20, 30)]
        first = node.answer(prompt, [1, 2])
        node.readers[1] = NoClient()
        loaded = node.answer(prompt, [1, 2])
        self.assertEqual(loaded.prefilled_tokens, 2)
        np.testing.assert_array_equal(loaded.logits, first.logits)


if __name__ == "__main__":
    support.main()

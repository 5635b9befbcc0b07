#!/usr/bin/env python3
"""Payloads through liblarder_kv.so, held to their declared errors and to a decoder that is numpy alone.

    client/python/tests/codec_test.py LARDERD [unittest options]      LARDER_KV_LIBRARY names the library
"""
import os
import tempfile
import types
import unittest

import support  # first: it finds numpy and the stubs
import numpy as np

import codec_oracle
import larder
from larder import kv_codec, quality

CODED = kv_codec.CODECS[1:]
if kv_codec.names() != kv_codec.CODECS:
    support.skip_all("no liblarder_kv.so here (LARDER_KV_LIBRARY)")


def tensor(shape, dtype, seed=1):
    """Columns of very different ranges, and now and then a number far out."""
    random = np.random.default_rng(seed)
    out = random.normal(size=shape) * random.uniform(0.1, 9, (1, *shape[1:])) + random.normal(size=(1, *shape[1:]))
    out.flat[::97] *= 20
    return out.astype(dtype)


class CodecTest(unittest.TestCase):
    def cases(self):
        for codec in CODED:
            for side in "kv":
                for dtype in (np.float32, np.float16):
                    for tokens in (1, 5, 40, 203):
                        for heads, dim in ((3, 64), (2, 8), (5, 32), (4, 128), (1, 100)):
                            yield codec, side, tensor((tokens, heads, dim), dtype)

    def test_equals_the_numpy_decoder(self):
        for codec, side, given in self.cases():
            payload = kv_codec.encode(codec, side, given)
            self.assertEqual(codec_oracle.side(payload), side)
            got = kv_codec.decode(codec, side, payload, given.shape, given.dtype)
            rounding = np.finfo(given.dtype).eps * 4  # the products are added in another order
            np.testing.assert_allclose(got, codec_oracle.decode(payload), rtol=rounding,
                                       atol=rounding * np.abs(got).max(),
                                       err_msg=f"{codec} {side} {given.dtype} {given.shape}")

    def test_the_declared_error_is_kept(self):
        for codec, side, given in self.cases():
            payload = kv_codec.encode(codec, side, given)
            lost = kv_codec.decode(codec, side, payload, given.shape, given.dtype).astype(np.float64) - given
            max_abs, rms = kv_codec.declared_error(codec, side, payload, given.shape, given.dtype)
            rounding = np.finfo(given.dtype).eps * np.abs(given).max()
            self.assertLessEqual(np.abs(lost).max(), max_abs + rounding, (codec, side, given.shape))
            self.assertLessEqual(np.sqrt(np.square(lost).mean()), rms + rounding, (codec, side, given.shape))

    def test_raw_is_a_view(self):
        given = tensor((5, 2, 8), np.float16)
        payload = kv_codec.encode("raw", "k", given)
        got = kv_codec.decode("raw", "k", payload, given.shape, given.dtype)
        np.testing.assert_array_equal(got, given)
        self.assertEqual(got.ctypes.data, np.frombuffer(payload, np.uint8).ctypes.data)

    def test_damage_is_said(self):
        given = tensor((40, 2, 8), np.float16)
        for codec in kv_codec.CODECS:
            payload = kv_codec.encode(codec, "v", given)
            for cut in (payload[:-1], payload + b"x", payload[:10], b""):
                with self.assertRaises(larder.DataLoss):
                    kv_codec.decode(codec, "v", cut, given.shape, given.dtype)
        with self.assertRaises(larder.DataLoss):
            kv_codec.decode("int4", "k", kv_codec.encode("int4", "v", given), given.shape, given.dtype)
        with self.assertRaisesRegex(larder.InvalidArgument, "int5"):
            kv_codec.encode("int5", "k", given)

    def test_quality_dumps_what_the_benchmark_reads(self):
        k, v = (np.stack([tensor((6, 3, 8), np.float16, seed) for seed in seeds]) for seeds in ((1, 2), (3, 4)))
        prompt = types.SimpleNamespace(entries=[(k[:, :1], v[:, :1]), (k[:, 1:], v[:, 1:])])  # of one cache
        with tempfile.TemporaryDirectory() as folder:
            quality.dump(os.path.join(folder, "kv"), prompt)
            for side, expected in (("k", k), ("v", v)):
                with open(os.path.join(folder, f"kv.{side}.f16"), "rb") as file:
                    self.assertEqual(file.read(), expected[:, 1:].tobytes())  # [layer][token][head][dim]


if __name__ == "__main__":
    support.main()

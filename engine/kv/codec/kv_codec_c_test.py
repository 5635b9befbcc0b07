#!/usr/bin/env python3
"""liblarder_kv.so through ctypes, as a node written in Python loads it: kv_codec_c_test.py LIBRARY."""
import array
import ctypes
import math
import random
import sys
import unittest

LIBRARY = ctypes.CDLL(sys.argv.pop())
TOKENS, HEADS, DIM = 40, 3, 16
ROTARY = 12
FREQUENCIES = (ctypes.c_double * (ROTARY // 2))(*[10000 ** (-2 * i / ROTARY) for i in range(ROTARY // 2)])


class Shape(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("tokens", "heads", "dim", "dtype")]


class Rope(ctypes.Structure):
    _fields_ = [("style", ctypes.c_uint32), ("rotary_dim", ctypes.c_uint32),
                ("frequencies", ctypes.POINTER(ctypes.c_double)), ("position", ctypes.c_int64),
                ("move", ctypes.c_uint32)]


class Selection(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("first_token", "tokens", "first_head", "heads")] + [
        ("token_list", ctypes.POINTER(ctypes.c_uint32)), ("listed", ctypes.c_uint64)]


class Target(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("bytes", ctypes.c_uint64), ("dtype", ctypes.c_uint32),
                ("first_slot", ctypes.c_uint32), ("token_stride", ctypes.c_uint64), ("head_stride", ctypes.c_uint64),
                ("block_table", ctypes.POINTER(ctypes.c_uint32)), ("blocks", ctypes.c_uint64),
                ("block_stride", ctypes.c_uint64), ("block_tokens", ctypes.c_uint32)]


SHAPE = Shape(TOKENS, HEADS, DIM, 0)


def call(function, *arguments):
    """(status code, message)"""
    error = ctypes.create_string_buffer(300)
    code = function(*arguments, error, ctypes.c_uint64(len(error)))
    return code, error.value.decode()


def encode(codec, side, tensor, rope=None):
    data = tensor.tobytes()
    size = ctypes.c_uint64(0)
    given = (codec, side, ctypes.byref(SHAPE), data, ctypes.c_uint64(len(data)), rope and ctypes.byref(rope), None)
    assert call(LIBRARY.larder_kv_encode, *given, None, ctypes.byref(size)) == (0, "")
    payload = ctypes.create_string_buffer(size.value)
    assert call(LIBRARY.larder_kv_encode, *given, payload, ctypes.byref(size)) == (0, "")
    return payload.raw


def decode(codec, side, payload, count, selection=None, rope=None):
    out = (ctypes.c_float * count)()
    target = Target(ctypes.addressof(out), ctypes.sizeof(out))
    result = call(LIBRARY.larder_kv_decode, codec, side, ctypes.byref(SHAPE), payload, ctypes.c_uint64(len(payload)),
                  selection and ctypes.byref(selection), rope and ctypes.byref(rope), ctypes.byref(target))
    return result, list(out)


def rotated(tensor, position):
    out = array.array("f", tensor)
    for row in range(TOKENS * HEADS):
        for i in range(ROTARY // 2):
            angle = (position + row // HEADS) * FREQUENCIES[i]
            at, pair = row * DIM + i, row * DIM + i + ROTARY // 2
            a, b = tensor[at], tensor[pair]
            out[at] = a * math.cos(angle) - b * math.sin(angle)
            out[pair] = b * math.cos(angle) + a * math.sin(angle)
    return out


class KvCodecTest(unittest.TestCase):
    def setUp(self):
        source = random.Random(1)
        self.count = TOKENS * HEADS * DIM
        self.tensor = array.array("f", [source.gauss(0, 1) for _ in range(self.count)])

    def bound(self, codec, side, payload):
        max_abs, rms = ctypes.c_float(), ctypes.c_float()
        code = call(LIBRARY.larder_kv_payload_error, codec, side, ctypes.byref(SHAPE), payload,
                    ctypes.c_uint64(len(payload)), ctypes.byref(max_abs), ctypes.byref(rms))
        self.assertEqual(code, (0, ""))
        return max_abs.value

    def test_numbers_come_back_within_the_declared_error(self):
        for codec in (b"raw", b"int8", b"int4", b"mixed"):
            for side in (0, 1):
                payload = encode(codec, side, self.tensor)
                result, found = decode(codec, side, payload, self.count)
                self.assertEqual(result, (0, ""))
                worst = max(abs(a - b) for a, b in zip(found, self.tensor))
                self.assertLessEqual(worst, self.bound(codec, side, payload))

    def test_keys_are_unrotated_and_placed_elsewhere(self):
        given = Rope(1, ROTARY, FREQUENCIES, 500, 0)
        payload = encode(b"int8", 0, rotated(self.tensor, 500), given)
        _, plain = decode(b"int8", 0, payload, self.count)
        bound = self.bound(b"int8", 0, payload)
        self.assertLessEqual(max(abs(a - b) for a, b in zip(plain, self.tensor)), bound + 1e-5)
        result, found = decode(b"int8", 0, payload, self.count, rope=Rope(1, ROTARY, FREQUENCIES, 70, 0))
        self.assertEqual(result, (0, ""))
        expected = rotated(self.tensor, 70)
        self.assertLessEqual(max(abs(a - b) for a, b in zip(found, expected)), 1.5 * bound + 1e-5)
        # A plain tensor that moves from 500 to 70.
        _, moved = decode(b"raw", 0, rotated(self.tensor, 500).tobytes(), self.count,
                          rope=Rope(1, ROTARY, FREQUENCIES, 70 - 500, 1))
        self.assertLessEqual(max(abs(a - b) for a, b in zip(moved, expected)), 1e-5)

    def test_tokens_and_heads_are_selected(self):
        payload = encode(b"int4", 1, self.tensor)
        _, whole = decode(b"int4", 1, payload, self.count)
        tokens = (ctypes.c_uint32 * 3)(30, 2, 7)
        result, found = decode(b"int4", 1, payload, 3 * 2 * DIM, Selection(0, 0, 1, 2, tokens, 3))
        self.assertEqual(result, (0, ""))
        self.assertEqual(found, [whole[(t * HEADS + 1) * DIM + i] for t in tokens for i in range(2 * DIM)])

    def test_what_is_wrong_is_named(self):
        payload = encode(b"int4", 0, self.tensor)
        self.assertEqual(decode(b"int4", 0, payload[:-1], self.count)[0][0], 15)
        self.assertEqual(decode(b"int4", 0, payload, self.count - 1)[0][0], 3)
        code, message = decode(b"int5", 0, payload, self.count)[0]
        self.assertEqual(code, 3)
        self.assertIn("int5", message)
        size = ctypes.c_uint64(10)
        data = self.tensor.tobytes()
        code, message = call(LIBRARY.larder_kv_encode, b"int4", 0, ctypes.byref(SHAPE), data, ctypes.c_uint64(len(data)),
                             None, None, ctypes.create_string_buffer(10), ctypes.byref(size))
        self.assertEqual((code, size.value), (11, len(payload)))
        self.assertIn("room for 10", message)
        self.assertEqual(call(LIBRARY.larder_kv_decode, None, 0, None, None, ctypes.c_uint64(0), None, None, None)[0], 3)


if __name__ == "__main__":
    unittest.main()

"""Payloads of liblarder_kv.so decoded by numpy alone (engine/kv/codec/payload.h): what the library is held to."""
import struct

import numpy as np

_HEADER = struct.Struct("<I4B6I4f")  # up to the reserved bytes
_BLOCK, _STRIPE, _SECTION = 16, 256, 16
_NARROW_STEP = np.float32(2.75)
_ELEMENTS = (np.dtype("<f4"), np.dtype("<f2"))  # by KvDtype; numpy has no bf16
_CODECS = {1: 8, 2: 4, 3: 4}  # bits of wide rows


def _codes(rows, bits, columns):
    """A block is 16 bytes: byte i holds, from its lowest bits up, columns i, 16 + i, 32 + i, ..."""
    blocks = rows.reshape(len(rows), rows.shape[1] // _BLOCK, 1, _BLOCK)
    shifts = np.arange(0, 8, bits, dtype=np.uint8).reshape(1, 1, -1, 1)
    codes = (blocks >> shifts) & (2 ** bits - 1)
    return codes.reshape(len(rows), rows.shape[1] * 8 // bits)[:, :columns].astype(np.float32)


class _Sections:
    def __init__(self, payload):
        self.payload, self.end = payload, 64

    def take(self, dtype, count, aligned=True):
        if aligned:
            self.end = -(-self.end // _SECTION) * _SECTION
        out = np.frombuffer(self.payload, dtype, count, self.end)
        self.end += out.nbytes
        return out


def side(payload):
    """"k" or "v", as the payload says itself."""
    return "kv"[_HEADER.unpack_from(payload)[3]]


def decode(payload):
    """[token][head][dim] as float32, before it is rounded to the dtype."""
    (_, _, codec, _, dtype, tokens, heads, dim, exact, wide, outliers, _, _, column_unit,
     group_unit) = _HEADER.unpack_from(payload)
    columns, coded, keys, bits = heads * dim, tokens - exact, side(payload) == "k", _CODECS[codec]
    mixed = codec == 3
    sections = _Sections(payload)
    exact_rows = sections.take(_ELEMENTS[dtype], exact * columns).reshape(exact, columns)
    if coded == 0:
        return exact_rows.astype(np.float32).reshape(tokens, heads, dim)
    columns_at = sections.take("<f2", columns * (2 if keys else 1)).astype(np.float32) * column_unit
    groups = sections.take(np.uint8, 0 if keys else coded * heads * 2).reshape(-1, heads, 2).astype(np.float32)
    classes = np.unpackbits(sections.take(np.uint8, (coded + 7) // 8 if mixed else 0), bitorder="little")[:coded]
    is_wide = classes.astype(bool) if mixed else np.ones(coded, bool)

    def rows(count, bits):
        width = -(-columns // (_BLOCK * 8 // bits)) * _BLOCK
        return _codes(sections.take(np.uint8, count * width).reshape(count, width), bits, columns)

    out = np.empty((coded, columns), np.float32)
    for mask, count, width in ((is_wide, wide, bits), (~is_wide, coded - wide, 2)):
        codes = rows(count, width)
        if keys:
            out[mask] = codes * _key_scale(columns_at, width) + _key_zero(columns_at, width)
        else:
            step = np.float32(group_unit) * np.exp2((groups[mask, :, 0] - 255) / 16)
            zero = step * groups[mask, :, 1] * ((2 ** width - 1) / 255)
            out[mask] = columns_at + codes * np.repeat(step, dim, 1) - np.repeat(zero, dim, 1)
    _patch(out, sections, outliers, _ELEMENTS[dtype])
    return np.concatenate([exact_rows.astype(np.float32), out]).reshape(tokens, heads, dim)


def _key_scale(columns_at, bits):
    scale = columns_at[0::2]
    return scale * _NARROW_STEP if bits == 2 else scale


def _key_zero(columns_at, bits):
    scale, zero = columns_at[0::2], columns_at[1::2]
    return zero + (np.float32(7.5) - np.float32(1.5) * _NARROW_STEP) * scale if bits == 2 else zero


def _patch(out, sections, outliers, dtype):
    stripes = -(-out.shape[1] // _STRIPE)
    counts = sections.take(np.uint8, len(out) * stripes).astype(np.int64)
    places = sections.take(np.uint8, outliers, aligned=False)
    values = sections.take(dtype, outliers)
    at = np.repeat(np.arange(len(counts)), counts)
    out[at // stripes, at % stripes * _STRIPE + places] = values

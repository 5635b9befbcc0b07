"""Payloads of KV entries, encoded and decoded by liblarder_kv.so (engine/kv_codec_c.h); "raw" needs no library.

The library: $LARDER_KV_LIBRARY, else the build folder of this checkout, else where the system's loader looks.
"""
import ctypes
import functools
import os

import numpy as np

from larder import errors

CODECS = ("raw", "int8", "int4", "mixed")
_BUILT = os.path.join(os.path.dirname(__file__), "..", "..", "..", "build", "engine", "kv", "codec", "liblarder_kv.so")
_DTYPES = {np.dtype("<f4"): 0, np.dtype("<f2"): 1, np.dtype("<u2"): 2}  # bf16 as its bits
_TOO_SMALL, _ERROR_BYTES = 11, 512


class _Shape(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("tokens", "heads", "dim", "dtype")]


class _Target(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("bytes", ctypes.c_uint64), ("dtype", ctypes.c_uint32),
                ("first_slot", ctypes.c_uint32), ("token_stride", ctypes.c_uint64), ("head_stride", ctypes.c_uint64),
                ("block_table", ctypes.c_void_p), ("blocks", ctypes.c_uint64), ("block_stride", ctypes.c_uint64),
                ("block_tokens", ctypes.c_uint32)]


@functools.cache
def _library():
    named = os.environ.get("LARDER_KV_LIBRARY") or (_BUILT if os.path.exists(_BUILT) else "liblarder_kv.so")
    try:
        return ctypes.CDLL(named)
    except OSError as error:
        raise errors.FailedPrecondition(f"no codec library ({error}); LARDER_KV_LIBRARY may name it") from error


def names() -> tuple[str, ...]:
    """The codecs that can be used here."""
    try:
        _library()
    except errors.FailedPrecondition:
        return CODECS[:1]
    return CODECS


def encode(codec: str, side: str, tensor: np.ndarray) -> bytes:
    """side: "k" (before RoPE) or "v"; tensor: [token][kv_head][head_dim]."""
    tensor = np.ascontiguousarray(tensor)
    if codec == "raw":
        return tensor.tobytes()
    room = tensor.nbytes + (64 << 10)
    while True:
        size, payload = ctypes.c_uint64(room), np.empty(room, np.uint8)
        code, message = _call(_library().larder_kv_encode, codec, side, tensor.shape, tensor.dtype,
                              ctypes.c_void_p(tensor.ctypes.data), ctypes.c_uint64(tensor.nbytes), None, None,
                              ctypes.c_void_p(payload.ctypes.data), ctypes.byref(size))
        if code != _TOO_SMALL:
            _raise_for(code, message)
            return payload[:size.value].tobytes()
        room = size.value


def decode(codec: str, side: str, payload, shape: tuple[int, int, int], dtype) -> np.ndarray:
    """K before RoPE, or V. A view of the payload where the codec is raw; DataLoss if it is damaged."""
    data = np.frombuffer(payload, np.uint8)
    dtype = np.dtype(dtype)
    if codec == "raw":
        if data.nbytes != np.prod(shape) * dtype.itemsize:
            raise errors.DataLoss(f"kv payload: {data.nbytes} bytes, expected {shape} of {dtype}")
        return data.view(dtype).reshape(shape)
    out = np.empty(shape, dtype)
    target = _Target(data=out.ctypes.data, bytes=out.nbytes, dtype=_DTYPES[dtype])
    _raise_for(*_call(_library().larder_kv_decode, codec, side, shape, dtype, ctypes.c_void_p(data.ctypes.data),
                      ctypes.c_uint64(data.nbytes), None, None, ctypes.byref(target)))
    return out


def declared_error(codec: str, side: str, payload, shape: tuple[int, int, int], dtype) -> tuple[float, float]:
    """(largest absolute, root of the mean square) of what the payload says it lost."""
    data = np.frombuffer(payload, np.uint8)
    max_abs, rms = ctypes.c_float(), ctypes.c_float()
    _raise_for(*_call(_library().larder_kv_payload_error, codec, side, shape, np.dtype(dtype),
                      ctypes.c_void_p(data.ctypes.data), ctypes.c_uint64(data.nbytes), ctypes.byref(max_abs),
                      ctypes.byref(rms)))
    return max_abs.value, rms.value


def _call(function, codec, side, shape, dtype, *arguments):
    error = ctypes.create_string_buffer(_ERROR_BYTES)
    described = _Shape(*shape, _DTYPES[dtype])
    code = function(codec.encode(), ctypes.c_uint32("kv".index(side)), ctypes.byref(described), *arguments, error,
                    ctypes.c_uint64(_ERROR_BYTES))
    return code, error.value.decode(errors="replace")


def _raise_for(code, message):
    if code:
        raise errors.from_number(code, message)

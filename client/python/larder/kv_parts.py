"""One layer's K and V as parts of bounded size, as streams carry them, and back."""
from collections.abc import Iterator

from larder.errors import LarderError
from larder.v1 import kv_pb2

PART_BYTES = 1 << 20
_ORDER = (kv_pb2.KvPart.TENSOR_K, kv_pb2.KvPart.TENSOR_V)


def split(layer: int, k: bytes, v: bytes) -> Iterator[kv_pb2.KvPart]:
    """K, then V, each in order of offset."""
    for tensor, data in zip(_ORDER, (k, v)):
        for offset in range(0, max(1, len(data)), PART_BYTES):
            yield kv_pb2.KvPart(layer=layer, tensor=tensor, offset=offset, total_bytes=len(data),
                                data=bytes(data[offset:offset + PART_BYTES]))


class Assembler:
    """Puts the layers of one object together, one after the other."""

    def __init__(self, tensor_bytes: int | None):
        """tensor_bytes: what each tensor must weigh; None where only the sender knows."""
        self._expected = tensor_bytes
        self._start()

    def _start(self):
        self._layer, self._total = None, None
        self._tensors = [bytearray()]

    @property
    def empty(self) -> bool:
        return self._layer is None

    def add(self, part: kv_pb2.KvPart) -> tuple[int, bytearray, bytearray] | None:
        """(layer, K, V) once the layer is whole. LarderError for a part out of place."""
        current = self._tensors[-1]
        if not current:
            self._total = part.total_bytes if self._expected is None else self._expected
        self._layer = part.layer if self._layer is None else self._layer
        found = (part.layer, part.tensor, part.offset, part.total_bytes)
        expected = (self._layer, _ORDER[len(self._tensors) - 1], len(current), self._total)
        if found != expected or len(current) + len(part.data) > self._total:
            raise LarderError(f"the server's answer: part (layer, tensor, offset, bytes) {found} of {len(part.data)} "
                              f"bytes, expected {expected}", "INTERNAL")
        current += part.data
        if len(current) < self._total:
            return None
        if len(self._tensors) < len(_ORDER):
            self._tensors.append(bytearray())
            return None
        whole = (self._layer, *self._tensors)
        self._start()
        return whole

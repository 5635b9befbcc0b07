"""LocalKv: KV entries in larderd's shared memory, from the same host, without a copy.

    with LocalKv("/run/larder.sock") as local, local.acquire([KvKey(profile_id, tokens)])[0] as lease:
        k, v = lease.layer(0)      # read-only numpy views of the shared bytes, as torch.from_numpy takes them
        ...                        # compute
        lease.check()              # StaleLease if the bytes were not the entry's all the time

The server: larderd --kv-socket PATH. The messages: proto/larder/v1/kv_local.proto; the memory:
engine/kv/pool/segment_layout.h.
"""
import contextlib
import fcntl
import hashlib
import mmap
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence

import numpy as np

from larder import errors, kv_codec
from larder.kv import KvKey, KvLayer, KvProfile
from larder.v1 import kv_local_pb2

PACKET_BYTES = 256 << 10
MAX_DESCRIPTORS = 128  # with one packet
SEGMENT_MAGIC, SEGMENT_VERSION = 0x3147455356444C00, 1
_PAGE, _SLOT_BYTES = 4096, 64
_HEADER = struct.Struct("<QIIQQ")  # magic, version, slots, id, bytes
_TABLE = struct.Struct("<QII")     # generation, payloads, reserved


class StaleLease(errors.Unavailable):
    """The lease has ended: what was read since may be another entry's."""

    code = "FAILED_PRECONDITION"


def _raise_for(status):
    if status.code:
        raise errors.from_number(status.code, status.message)


def _token_bytes(tokens):
    return np.asarray(tokens, "<i4").tobytes()


class Segment:
    """One mapped run of shared memory, read-only. Lives as long as any view of it."""

    def __init__(self, descriptor, segment_id, size):
        if not fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK:  # or reading could kill us
            raise errors.DataLoss(f"shared memory: segment {segment_id} is not sealed against shrinking")
        self.memory = mmap.mmap(descriptor, size, prot=mmap.PROT_READ)
        magic, version, self.slots, found_id, found_size = _HEADER.unpack_from(self.memory)
        if (magic, version, found_id, found_size) != (SEGMENT_MAGIC, SEGMENT_VERSION, segment_id, size):
            raise errors.DataLoss(f"shared memory: segment {segment_id} of {size} bytes has a header of version "
                                  f"{version}, segment {found_id}, {found_size} bytes")

    def retired(self):
        """Nothing is kept here any more: it is unmapped with its last view."""
        return self.memory[_HEADER.size] != 0

    def generation(self, slot):
        return struct.unpack_from("<Q", self.memory, _PAGE + slot * _SLOT_BYTES)[0]

    def ranges(self, offset, length, generation):
        """(offset, length) of each payload in the segment, checked against the entry's bounds."""
        if offset % _PAGE or length < _TABLE.size or offset + length > len(self.memory):
            raise errors.DataLoss(f"shared memory: an entry at {offset} of {length} bytes, the segment has "
                                  f"{len(self.memory)}")
        found, payloads, _ = _TABLE.unpack_from(self.memory, offset)
        end = _TABLE.size + 16 * payloads
        if found != generation or end > length:
            raise StaleLease(f"shared memory: the entry at {offset} is of generation {found}, expected {generation}")
        table = np.frombuffer(self.memory, "<u8", 2 * payloads, offset + _TABLE.size).reshape(-1, 2).tolist()
        if any(at < end or at + size > length for at, size in table):
            raise errors.DataLoss(f"shared memory: the entry at {offset} has a payload beyond its {length} bytes")
        return [(offset + at, size) for at, size in table]


class Lease:
    """One entry, held in shared memory until release(), or lease_seconds after it was last used.

    Views stay readable for ever, but their bytes are the entry's only while the lease lasts: call check() after
    the last use. Not thread-safe."""

    def __init__(self, local, profile, shape, grant, segment, granted):
        self.rotated_from = grant.rotated_from if grant.HasField("rotated_from") else None
        self.codec = grant.codec
        self.layers = grant.layers
        self._local, self._profile, self._shape = local, profile, shape
        self._grant, self._segment = grant, segment
        self._deadline = granted + local.lease_seconds
        self._check_generation()
        self._ranges = segment.ranges(grant.offset, grant.length, grant.generation)
        self._check_generation()
        if len(self._ranges) != 2 * grant.layers or grant.tokens != shape[0]:
            raise errors.DataLoss(f"shared memory: {len(self._ranges)} payloads and {grant.tokens} tokens, expected "
                                  f"{2 * grant.layers} and {shape[0]}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.release()

    def payload(self, layer: int, side: str) -> memoryview:
        """As it is kept, by the codec. side: "k" or "v"."""
        self.check()
        offset, size = self._ranges[2 * layer + "kv".index(side)]
        return memoryview(self._segment.memory)[offset:offset + size]

    def layer(self, layer: int) -> tuple[np.ndarray, np.ndarray]:
        """(K, V), [token][kv_head][head_dim] of the profile's dtype; views where the codec is raw, else decoded."""
        return tuple(kv_codec.decode(self.codec, side, self.payload(layer, side), self._shape,
                                     self._profile.numpy_dtype) for side in "kv")

    def check(self) -> None:
        """StaleLease unless the entry was held until now; renews the lease when half of it has passed."""
        if self._grant is None:
            raise StaleLease("kv lease: it was released")
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise StaleLease(f"kv lease {self._grant.lease} has ended: it was not used for "
                             f"{self._local.lease_seconds - left:.1f} s")
        if left < self._local.lease_seconds / 2:
            self.renew()
        self._check_generation()

    def _check_generation(self):
        found = self._segment.generation(self._grant.slot)
        if found != self._grant.generation:
            raise StaleLease(f"kv lease {self._grant.lease} has ended: its slot is of generation {found}, expected "
                             f"{self._grant.generation}")

    def renew(self) -> None:
        asked = time.monotonic()
        self._local.renew([self._grant.lease])
        self._deadline = asked + self._local.lease_seconds

    def release(self) -> None:
        if self._grant is not None:
            lease, self._grant = self._grant.lease, None
            self._local.release([lease])


class LocalKv:
    """One connection, for one tenant. Thread-safe; leases end with the connection."""

    def __init__(self, path: str, *, tenant: str = "", timeout: float = 10.0):
        self.tenant = tenant
        self._mutex = threading.Lock()
        self._segments: dict[int, Segment] = {}
        self._profiles: dict[str, KvProfile] = {}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(path)
        except OSError as error:
            self.close()
            raise errors.Unavailable(f"{path}: {error}") from error
        hello = self._call(hello=kv_local_pb2.LocalHello(version=1, tenant=tenant)).hello
        self.lease_seconds = hello.lease_ms / 1000
        self.max_keys = hello.max_keys

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        self._socket.close()

    def profile(self, profile_id: str) -> KvProfile:
        if profile_id not in self._profiles:
            reply = self._call(get_profile=kv_local_pb2.LocalGetProfile(profile_id=profile_id))
            self._profiles[profile_id] = KvProfile.from_proto(reply.get_profile.profile)
        return self._profiles[profile_id]

    def lookup(self, profile_id: str, token_lists: Sequence[Sequence[int]]) -> list[int]:
        """Bytes of each entry in shared memory, 0 where there is none. Advisory: only hashes are compared."""
        hashes = b"".join(hashlib.sha256(_token_bytes(tokens)).digest() for tokens in token_lists)
        request = kv_local_pb2.LocalLookup(profile_id=profile_id, token_hashes=hashes,
                                           token_counts=map(len, token_lists))
        return list(self._call(lookup=request).lookup.bytes)

    def acquire(self, keys: Sequence[KvKey]) -> list[Lease | errors.LarderError]:
        """A lease of each key of one profile, or why there is none: NotFound on a miss."""
        profile = self.profile(keys[0].profile_id)
        self._segments = {number: segment for number, segment in self._segments.items() if not segment.retired()}
        request = kv_local_pb2.LocalAcquire(profile_id=keys[0].profile_id, keys=map(self._key, keys))
        asked = time.monotonic()
        grants = self._call(acquire=request).acquire.grants
        return [self._lease(profile, key, grant, asked) for key, grant in zip(keys, grants, strict=True)]

    def _key(self, key):
        if key.tenant != self.tenant:
            raise ValueError(f"this connection is tenant {self.tenant!r}'s, not {key.tenant!r}'s")
        variant = key.variant.to_proto()
        return kv_local_pb2.LocalAcquire.Key(tokens=_token_bytes(key.tokens), variant_kind=variant.kind,
                                             context=variant.context)

    def _lease(self, profile, key, grant, granted):
        if grant.status.code:
            return errors.from_number(grant.status.code, grant.status.message)
        try:
            return Lease(self, profile, (len(key.tokens), profile.kv_heads, profile.head_dim), grant,
                         self._segments[grant.segment], granted)
        except errors.LarderError as error:
            self.release([grant.lease])
            return error

    def fetch(self, keys: Sequence[KvKey]) -> Iterator[tuple[int, KvLayer | errors.LarderError]]:
        """As KvClient.fetch, without a copy, one entry after the other. Use a layer before the next is taken."""
        batch = max(1, self.max_keys // 8)
        for begin in range(0, len(keys), batch):
            leases = self.acquire(keys[begin:begin + batch])
            with contextlib.ExitStack() as held:
                for lease in leases:
                    if isinstance(lease, Lease):
                        held.enter_context(lease)
                for at, lease in enumerate(leases, begin):
                    yield from ((at, part) for part in self._layers(lease))

    @staticmethod
    def _layers(lease):
        if isinstance(lease, errors.LarderError):
            yield lease
            return
        try:
            for layer in range(lease.layers):
                yield KvLayer(layer, *lease.layer(layer))
                lease.check()
        except errors.LarderError as error:
            yield error

    def renew(self, leases: Sequence[int]) -> None:
        for status in self._call(renew=kv_local_pb2.LocalRenew(leases=leases)).renew.statuses:
            _raise_for(status)

    def release(self, leases: Sequence[int]) -> int:
        """How many were still held."""
        return self._call(release=kv_local_pb2.LocalRelease(leases=leases)).release.released

    def stats(self) -> kv_local_pb2.LocalStatsReply:
        return self._call(stats=kv_local_pb2.LocalStats()).stats

    def _call(self, **call):
        with self._mutex:
            packet, descriptors = self._exchange(kv_local_pb2.LocalRequest(**call).SerializeToString())
            try:
                if not packet:
                    raise errors.Unavailable("shared memory: larderd closed the connection")
                reply = kv_local_pb2.LocalReply.FromString(packet)
                for descriptor, segment in zip(descriptors, reply.acquire.segments, strict=True):
                    self._segments[segment.id] = Segment(descriptor, segment.id, segment.bytes)
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)
        _raise_for(reply.status)
        return reply

    def _exchange(self, packet):
        """The reply and the file descriptors that came with it."""
        try:
            self._socket.send(packet)
            return socket.recv_fds(self._socket, PACKET_BYTES, MAX_DESCRIPTORS)[:2]
        except OSError as error:  # a late reply would answer the next request
            self.close()
            raise errors.Unavailable(f"shared memory: {error}") from error

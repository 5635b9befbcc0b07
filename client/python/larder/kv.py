"""KvClient: chunk KV caches on a server. Meanings and limits: engine/kv.h, engine/kv_types.h.

Tensors are numpy arrays [token][kv_head][head_dim] of the profile's dtype, K before RoPE unless the
profile says otherwise. numpy has no bfloat16: such tensors are arrays of uint16 with the same bits.
"""
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from larder import errors
from larder.v1 import kv_pb2, kv_pb2_grpc

PART_BYTES = 1 << 20  # of one message of a stream
DTYPES = {"f32": np.dtype("<f4"), "f16": np.dtype("<f2"), "bf16": np.dtype("<u2")}


@dataclass(frozen=True)
class KvProfile:
    """Everything that decides whether KV can be reused: what differs in any field is never shared."""

    model: str
    layers: int
    kv_heads: int
    head_dim: int
    dtype: str = "f16"       # f32, f16, bf16
    rope_style: str = "neox"  # none, neox (halves), interleaved (pairs)
    rope_theta: float = 10_000.0
    rotary_dim: int = 0      # 0 = head_dim
    rope_scaling: str = ""
    k_before_rope: bool = True
    sliding_window: int = 0  # 0 = full attention
    model_revision: str = ""
    weights_sha256: str = ""
    tokenizer: str = ""
    tokenizer_revision: str = ""
    adapter: str = ""
    prompt_template: str = ""
    codec: str = "raw"

    @property
    def numpy_dtype(self) -> np.dtype:
        return DTYPES[self.dtype]

    def to_proto(self) -> kv_pb2.KvProfile:
        fields = asdict(self)
        for name in ("dtype", "rope_style"):
            fields[name] = getattr(kv_pb2.KvProfile, f"{name}_{fields[name]}".upper())
        return kv_pb2.KvProfile(**fields)

    @classmethod
    def from_proto(cls, proto: kv_pb2.KvProfile) -> "KvProfile":
        fields = {name: getattr(proto, name) for name in cls.__dataclass_fields__}
        fields["dtype"] = kv_pb2.KvProfile.Dtype.Name(proto.dtype).removeprefix("DTYPE_").lower()
        fields["rope_style"] = kv_pb2.KvProfile.RopeStyle.Name(proto.rope_style).removeprefix("ROPE_STYLE_").lower()
        return cls(**fields)


@dataclass(frozen=True)
class KvOwner:
    """The chunk that an entry belongs to; deleting its last owner deletes the entry."""

    collection: str
    document_id: str
    ordinal: int = 0


@dataclass(frozen=True)
class KvLookup:
    hit: bool
    bytes: int
    tokens: int


@dataclass(frozen=True)
class KvPlanItem:
    hit: bool
    position: int  # of its first token
    tokens: int
    bytes: int     # to load; 0 on a miss


@dataclass(frozen=True)
class KvPlan:
    items: list[KvPlanItem]
    hit_tokens: int
    miss_tokens: int
    bytes: int


@dataclass(frozen=True)
class KvLayer:
    layer: int
    k: np.ndarray
    v: np.ndarray


def split(layer: int, k: bytes, v: bytes) -> Iterator[kv_pb2.KvPart]:
    """K, then V, each as parts in order of offset."""
    for tensor, data in ((kv_pb2.KvPart.TENSOR_K, k), (kv_pb2.KvPart.TENSOR_V, v)):
        for offset in range(0, max(1, len(data)), PART_BYTES):
            yield kv_pb2.KvPart(layer=layer, tensor=tensor, offset=offset, total_bytes=len(data),
                                data=bytes(data[offset:offset + PART_BYTES]))


def assemble(parts: Iterable[kv_pb2.KvPart], tensor_bytes: int) -> Iterator[tuple[int, bytearray, bytearray]]:
    """(layer, K, V) of each layer as soon as it is whole. LarderError for a part out of place."""
    order = (kv_pb2.KvPart.TENSOR_K, kv_pb2.KvPart.TENSOR_V)
    done, layer = [], None
    current = bytearray()
    for part in parts:
        at = (part.layer, part.tensor, part.offset, part.total_bytes)
        layer = part.layer if layer is None else layer
        expected = (layer, order[len(done)], len(current), tensor_bytes)
        if at != expected or len(current) + len(part.data) > tensor_bytes:
            raise errors.LarderError(f"the server's answer: part (layer, tensor, offset, bytes) {at} of "
                                     f"{len(part.data)} bytes, expected {expected}", "INTERNAL")
        current += part.data
        if len(current) == tensor_bytes:
            done.append(current)
            current = bytearray()
        if len(done) == 2:
            yield layer, *done
            done, layer = [], None
    if layer is not None:
        raise errors.LarderError("the server's answer ended within a layer", "INTERNAL")


class KvClient:
    """The KV verbs of a Client, as `client.kv`. Thread-safe."""

    def __init__(self, channel):
        self._channel = channel
        self._stub = kv_pb2_grpc.KvStub(channel.grpc)
        self._profiles: dict[str, KvProfile] = {}

    def register_profile(self, profile: KvProfile) -> str:
        """Idempotent: the same profile gets the same id."""
        request = kv_pb2.RegisterProfileRequest(profile=profile.to_proto())
        profile_id = self._channel.write(self._stub.RegisterProfile, request).profile_id
        self._profiles[profile_id] = profile
        return profile_id

    def profile(self, profile_id: str) -> KvProfile:
        if profile_id not in self._profiles:
            reply = self._channel.read(self._stub.GetProfile, kv_pb2.GetProfileRequest(profile_id=profile_id))
            self._profiles[profile_id] = KvProfile.from_proto(reply.profile)
        return self._profiles[profile_id]

    def profiles(self) -> list[str]:
        return list(self._channel.read(self._stub.ListProfiles, kv_pb2.ListProfilesRequest()).profile_ids)

    def put(self, profile_id: str, tokens: Sequence[int], layers: Iterable[tuple[np.ndarray, np.ndarray]], *,
            owners: Sequence[KvOwner] = (), tenant: str = "") -> None:
        """All layers' (K, V) in order. Durable when it returns, invisible before; AlreadyExists if it is there."""
        request = kv_pb2.PutBeginRequest(key=self._key(profile_id, tokens, tenant), owners=map(_owner, owners))
        handle = self._channel.write(self._stub.PutBegin, request).handle
        dtype = self.profile(profile_id).numpy_dtype
        try:
            for layer, (k, v) in enumerate(layers):
                self._put_layer(handle, layer, _bytes(k, dtype), _bytes(v, dtype))
            self._channel.write(self._stub.PutCommit, kv_pb2.PutCommitRequest(handle=handle))
        except BaseException:
            self._abort(handle)
            raise

    def _put_layer(self, handle, layer, k, v):
        parts = (kv_pb2.PutLayerRequest(handle=handle, part=part) for part in split(layer, k, v))
        self._channel.write(self._stub.PutLayer, parts)

    def _abort(self, handle):
        try:
            self._channel.write(self._stub.PutAbort, kv_pb2.PutAbortRequest(handle=handle))
        except errors.LarderError:
            pass  # ended already; what failed first is what the caller must hear

    def add_owners(self, profile_id: str, tokens: Sequence[int], owners: Sequence[KvOwner], *,
                   tenant: str = "") -> int:
        """How many were new. NotFound on a miss."""
        request = kv_pb2.AddOwnersRequest(key=self._key(profile_id, tokens, tenant), owners=map(_owner, owners))
        return self._channel.write(self._stub.AddOwners, request).added

    def lookup(self, profile_id: str, token_lists: Iterable[Sequence[int]], *, tenant: str = "") -> list[KvLookup]:
        """One answer for each, in order; a miss is no error."""
        request = kv_pb2.LookupRequest(keys=[self._key(profile_id, tokens, tenant) for tokens in token_lists])
        return [KvLookup(hit=answer.hit, bytes=answer.bytes, tokens=answer.tokens)
                for answer in self._channel.read(self._stub.Lookup, request).answers]

    def plan(self, profile_id: str, chunks: Iterable[Sequence[int]], *, first_position: int = 0,
             tenant: str = "") -> KvPlan:
        """For a prompt's chunks in order: what is here, where it goes, what it weighs."""
        request = kv_pb2.PlanRequest(tenant=tenant, profile_id=profile_id, first_position=first_position,
                                     chunks=[kv_pb2.PlanRequest.Tokens(tokens=tokens) for tokens in chunks])
        reply = self._channel.read(self._stub.Plan, request)
        items = [KvPlanItem(hit=item.hit, position=item.position, tokens=item.tokens, bytes=item.bytes)
                 for item in reply.items]
        return KvPlan(items=items, hit_tokens=reply.hit_tokens, miss_tokens=reply.miss_tokens, bytes=reply.bytes)

    def get(self, profile_id: str, tokens: Sequence[int], *, first: int = 0, count: int = 0,
            tenant: str = "") -> Iterator[KvLayer]:
        """Layers [first, first + count) as they arrive; count 0 = all that follow. NotFound on a miss.

        A failure in mid-stream raises where it happens: use no layer of an entry that did not end."""
        profile = self.profile(profile_id)
        shape = (len(tokens), profile.kv_heads, profile.head_dim)
        request = kv_pb2.KvGetRequest(key=self._key(profile_id, tokens, tenant), first_layer=first, layers=count)
        tensor_bytes = int(np.prod(shape)) * profile.numpy_dtype.itemsize
        for layer, k, v in assemble(self._channel.stream(self._stub.Get, request), tensor_bytes):
            k, v = (np.frombuffer(data, profile.numpy_dtype).reshape(shape) for data in (k, v))
            yield KvLayer(layer, k, v)

    def delete(self, profile_id: str, tokens: Sequence[int], *, tenant: str = "") -> bool:
        """Whether it was there."""
        request = kv_pb2.KvDeleteRequest(key=self._key(profile_id, tokens, tenant))
        return self._channel.write(self._stub.Delete, request).existed

    @staticmethod
    def _key(profile_id, tokens, tenant):
        return kv_pb2.KvKey(tenant=tenant, profile_id=profile_id, tokens=tokens)


def _owner(owner):
    return kv_pb2.KvOwner(collection=owner.collection, document_id=owner.document_id, ordinal=owner.ordinal)


def _bytes(tensor, dtype):
    if tensor.dtype != dtype:
        raise ValueError(f"kv put: a tensor of {tensor.dtype}, the profile's are {dtype}")
    return memoryview(np.ascontiguousarray(tensor)).cast("B")

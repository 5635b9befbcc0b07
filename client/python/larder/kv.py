"""KvClient: chunk KV caches on a server. Meanings and limits: engine/kv.h, engine/kv_types.h.

Tensors are numpy arrays [token][kv_head][head_dim] of the profile's dtype, K before RoPE unless the
profile says otherwise. numpy has no bfloat16: such tensors are arrays of uint16 with the same bits.
"""
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from larder import errors
from larder.kv_parts import Assembler, split
from larder.v1 import kv_pb2, kv_pb2_grpc

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
    rope_frequencies: tuple[float, ...] = ()  # effective, one a rotated pair; none: those of rope_theta
    rope_scaling: str = ""
    k_before_rope: bool = True
    sliding_window: int = 0  # 0 = full attention
    model_revision: str = ""
    weights_sha256: str = ""
    tokenizer: str = ""
    tokenizer_revision: str = ""
    adapter: str = ""
    prompt_template: str = ""
    codec: str = "raw"       # raw, int8, int4, mixed

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
        fields["rope_frequencies"] = tuple(proto.rope_frequencies)
        fields["dtype"] = kv_pb2.KvProfile.Dtype.Name(proto.dtype).removeprefix("DTYPE_").lower()
        fields["rope_style"] = kv_pb2.KvProfile.RopeStyle.Name(proto.rope_style).removeprefix("ROPE_STYLE_").lower()
        return cls(**fields)


def token_hash(tokens: Sequence[int]) -> str:
    """What names a chunk in a variant's context."""
    return hashlib.sha256(np.asarray(tokens, "<i4").tobytes()).hexdigest()


@dataclass(frozen=True)
class KvVariant:
    """What stood before the tokens when their KV was computed: `context` holds token_hash() of each chunk."""

    kind: str = "none"  # none, shared_prefix, ordered_prefix, source_set
    context: tuple[str, ...] = ()

    def to_proto(self) -> kv_pb2.KvVariant:
        return kv_pb2.KvVariant(kind=kv_pb2.KvVariant.Kind.Value(f"KIND_{self.kind}".upper()), context=self.context)


@dataclass(frozen=True)
class KvKey:
    profile_id: str
    tokens: Sequence[int]
    variant: KvVariant = KvVariant()
    tenant: str = ""

    def to_proto(self) -> kv_pb2.KvKey:
        return kv_pb2.KvKey(tenant=self.tenant, profile_id=self.profile_id, tokens=self.tokens,
                            variant=self.variant.to_proto())


@dataclass(frozen=True)
class KvOwner:
    """The chunk that an entry belongs to; deleting its last owner deletes the entry."""

    collection: str
    document_id: str
    ordinal: int = 0

    def to_proto(self) -> kv_pb2.KvOwner:
        return kv_pb2.KvOwner(**asdict(self))


@dataclass(frozen=True)
class KvLookup:
    hit: bool
    bytes: int  # as kept
    tokens: int
    rotated_from: int | None = None  # position of K's first token, where K is kept rotated


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


@dataclass(frozen=True)
class KvReadRequest:
    """An entry or a part of it; a count of 0 = all that follow."""

    key: KvKey
    first_layer: int = 0
    layers: int = 0
    first_token: int = 0
    tokens: int = 0
    token_list: tuple[int, ...] = ()  # instead of a range, strictly ascending
    first_head: int = 0
    heads: int = 0                    # one rank's part of a tensor-parallel split
    rotate_to: int | None = None      # new position of the entry's first token; None: K as it is kept
    encoded: bool = False             # payloads as they are kept, as arrays of bytes: whole layers, unrotated

    def to_proto(self) -> kv_pb2.KvReadRequest.Object:
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return kv_pb2.KvReadRequest.Object(**{**fields, "key": self.key.to_proto()})

    def shape(self, profile: KvProfile) -> tuple[int, int, int]:
        tokens = len(self.token_list) or self.tokens or len(self.key.tokens) - self.first_token
        return tokens, self.heads or profile.kv_heads - self.first_head, profile.head_dim


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

    def put(self, key: KvKey, layers: Iterable[tuple[np.ndarray, np.ndarray]], *, owners: Sequence[KvOwner] = (),
            rotated_from: int | None = None, sidecars: Mapping[str, bytes] | None = None) -> None:
        """All layers' (K, V) in order. Durable when it returns, invisible before; AlreadyExists if it is there.

        rotated_from: position of K's first token as given; None: K is before RoPE. sidecars, by kind: saliency,
        inter_attention, centroids."""
        profile = self.profile(key.profile_id)
        form = kv_pb2.KvForm(tokens=len(key.tokens), kv_heads=profile.kv_heads, head_dim=profile.head_dim,
                             dtype=profile.to_proto().dtype)
        request = kv_pb2.PutBeginRequest(key=key.to_proto(), owners=[owner.to_proto() for owner in owners],
                                         rotated_from=rotated_from, form=form)
        handle = self._channel.write(self._stub.PutBegin, request).handle
        shape = (len(key.tokens), profile.kv_heads, profile.head_dim)
        try:
            for layer, tensors in enumerate(layers):
                self._put_layer(handle, layer, *(_bytes(tensor, shape, profile.numpy_dtype) for tensor in tensors))
            for kind, data in (sidecars or {}).items():
                self._channel.write(self._stub.PutSidecar, kv_pb2.PutSidecarRequest(
                    handle=handle, kind=_sidecar_kind(kind), data=data))
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

    def add_owners(self, key: KvKey, owners: Sequence[KvOwner]) -> int:
        """How many were new. NotFound on a miss."""
        request = kv_pb2.AddOwnersRequest(key=key.to_proto(), owners=[owner.to_proto() for owner in owners])
        return self._channel.write(self._stub.AddOwners, request).added

    def lookup(self, keys: Iterable[KvKey]) -> list[KvLookup]:
        """One answer for each, in order; a miss is no error."""
        request = kv_pb2.LookupRequest(keys=[key.to_proto() for key in keys])
        return [KvLookup(answer.hit, answer.bytes, answer.tokens,
                         answer.rotated_from if answer.HasField("rotated_from") else None)
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

    def read(self, requests: Sequence[KvReadRequest]) -> Iterator[tuple[int, KvLayer | errors.LarderError]]:
        """(index of the request, layer): all objects of a layer before the next, as they arrive.

        An object that fails gives its error once, and no more layers: use none of those it gave before."""
        profiles = [self.profile(request.key.profile_id) for request in requests]
        shapes = [request.shape(profile) for request, profile in zip(requests, profiles)]
        assemblers = [Assembler(None if request.encoded else int(np.prod(shape)) * profile.numpy_dtype.itemsize)
                      for request, profile, shape in zip(requests, profiles, shapes)]
        message = kv_pb2.KvReadRequest(objects=[request.to_proto() for request in requests])
        for reply in self._channel.stream(self._stub.Read, message):
            at = reply.object
            if reply.code:
                assemblers[at] = Assembler(None)
                yield at, errors.from_number(reply.code, reply.message)
            elif whole := assemblers[at].add(reply.part):
                layer, *tensors = whole
                if requests[at].encoded:
                    yield at, KvLayer(layer, *(np.frombuffer(tensor, np.uint8) for tensor in tensors))
                else:
                    yield at, KvLayer(layer, *(np.frombuffer(tensor, profiles[at].numpy_dtype).reshape(shapes[at])
                                               for tensor in tensors))
        if not all(assembler.empty for assembler in assemblers):
            raise errors.LarderError("the server's answer ended within a layer", "INTERNAL")

    def fetch(self, keys: Sequence[KvKey]) -> Iterator[tuple[int, KvLayer | errors.LarderError]]:
        """read() of whole entries."""
        return self.read([KvReadRequest(key) for key in keys])

    def get(self, key: KvKey) -> Iterator[KvLayer]:
        """All layers of one entry as they arrive; NotFound on a miss."""
        for _, found in self.fetch([key]):
            if isinstance(found, errors.LarderError):
                raise found
            yield found

    def sidecar(self, key: KvKey, kind: str) -> bytes:
        """NotFound if there is no such entry, or none of that kind beside it."""
        request = kv_pb2.GetSidecarRequest(key=key.to_proto(), kind=_sidecar_kind(kind))
        return self._channel.read(self._stub.GetSidecar, request).data

    def delete(self, key: KvKey) -> bool:
        """Whether it was there."""
        return self._channel.write(self._stub.Delete, kv_pb2.KvDeleteRequest(key=key.to_proto())).existed


def _sidecar_kind(name):
    return kv_pb2.KvSidecarKind.Value(f"KV_SIDECAR_KIND_{name.upper()}")


def _bytes(tensor, shape, dtype):
    if tensor.dtype != dtype or tensor.shape != shape:
        raise ValueError(f"kv put: a tensor of {tensor.dtype} {tensor.shape}, the key and its profile need "
                         f"{dtype} {shape}")
    return memoryview(np.ascontiguousarray(tensor)).cast("B")

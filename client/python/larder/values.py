"""The values of collections, documents and search. Meanings and limits: engine/types.h, engine/options.h."""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from larder.v1 import larder_pb2, types_pb2

Scalar = bool | int | float | str
MetadataValue = Scalar | list[Scalar]


@dataclass
class Document:
    id: str
    text: str = ""
    title: str = ""
    tenant: str = ""
    uri: str = ""
    media_type: str = "text/plain"
    metadata: dict[str, MetadataValue] = field(default_factory=dict)
    chunks: list["GivenChunk"] = field(default_factory=list)  # none: Larder cuts the text
    expires_at_ms: int = 0                                    # Unix time; 0 = never
    version: int = 0                                          # set by Larder


@dataclass
class GivenChunk:
    """A chunk that the caller has cut; a vector space without a vector is embedded by the server."""

    text: str
    vectors: Mapping[str, Sequence[float]] = field(default_factory=dict)  # by vector space
    section: str = ""
    metadata: dict[str, MetadataValue] = field(default_factory=dict)


@dataclass(frozen=True)
class Chunk:
    document_id: str
    ordinal: int
    text: str
    section: str
    token_count: int  # by the embedder's tokenizer
    span: tuple[int, int]
    metadata: dict[str, MetadataValue]


@dataclass(frozen=True)
class Hit:
    document_id: str
    ordinal: int
    score: float  # larger is better
    title: str
    section: str
    uri: str
    text: str
    metadata: dict[str, MetadataValue]
    vector: list[float]  # empty unless asked for


@dataclass(frozen=True)
class SearchResult:
    hits: list[Hit]  # best first, min(k, matches)
    plan: str        # how it was answered
    matches: int     # chunks that passed filter and tenant
    ef: int
    recall_estimate: float | None


@dataclass(frozen=True)
class UpsertResult:
    id: str
    version: int
    chunks: int
    error: str  # empty = stored


def _scalar(value, into):
    name = {bool: "bool_value", int: "int_value", float: "double_value", str: "string_value"}.get(type(value))
    if name is None:
        raise TypeError(f"metadata value {value!r} is {type(value).__name__}, expected bool, int, float or str")
    setattr(into, name, value)


def metadata_to_proto(metadata, into):
    for key, value in metadata.items():
        if isinstance(value, (list, tuple)):
            into[key].list_value.SetInParent()
            for element in value:
                _scalar(element, into[key].list_value.values.add())
        else:
            _scalar(value, into[key])


def _value(proto):
    kind = proto.WhichOneof("kind")
    if kind == "list_value":
        return [_value(element) for element in proto.list_value.values]
    return getattr(proto, kind) if kind else None


def metadata_from_proto(proto):
    return {key: _value(value) for key, value in proto.items()}


def document_to_proto(document: Document) -> types_pb2.Document:
    out = types_pb2.Document(
        id=document.id, tenant=document.tenant, title=document.title, text=document.text, uri=document.uri,
        media_type=document.media_type, expires_at_ms=document.expires_at_ms)
    metadata_to_proto(document.metadata, out.metadata)
    for given in document.chunks:
        chunk = out.chunks.add(text=given.text, section=given.section)
        metadata_to_proto(given.metadata, chunk.metadata)
        for space, vector in given.vectors.items():
            chunk.vectors[space].values.extend(vector)
    return out


def document_from_proto(proto: types_pb2.Document) -> Document:
    chunks = [GivenChunk(text=chunk.text, section=chunk.section, metadata=metadata_from_proto(chunk.metadata),
                         vectors={space: list(vector.values) for space, vector in chunk.vectors.items()})
              for chunk in proto.chunks]
    return Document(
        id=proto.id, text=proto.text, title=proto.title, tenant=proto.tenant, uri=proto.uri,
        media_type=proto.media_type, metadata=metadata_from_proto(proto.metadata), chunks=chunks,
        expires_at_ms=proto.expires_at_ms, version=proto.version)


def chunk_from_proto(proto: types_pb2.Chunk) -> Chunk:
    return Chunk(document_id=proto.document_id, ordinal=proto.ordinal, text=proto.text, section=proto.section,
                 token_count=proto.token_count, span=(proto.span.begin, proto.span.end),
                 metadata=metadata_from_proto(proto.metadata))


def result_from_proto(proto: larder_pb2.SearchReply) -> SearchResult:
    hits = [Hit(document_id=hit.document_id, ordinal=hit.ordinal, score=hit.score, title=hit.title,
                section=hit.section, uri=hit.uri, text=hit.text, metadata=metadata_from_proto(hit.metadata),
                vector=list(hit.vector.values)) for hit in proto.hits]
    recall = proto.recall_estimate if proto.HasField("recall_estimate") else None
    return SearchResult(hits=hits, plan=proto.plan, matches=proto.matches, ef=proto.ef, recall_estimate=recall)

"""Client: larderd's collections, documents, search and KV cache from Python."""
from collections.abc import Iterable, Iterator, Sequence

from larder.channel import Channel
from larder.kv import KvClient
from larder.v1 import larder_pb2, larder_pb2_grpc
from larder.values import (Chunk, Document, SearchResult, UpsertResult, chunk_from_proto, document_from_proto,
                           document_to_proto, result_from_proto)


def _enum(kind, prefix, name):
    try:
        return kind.Value(f"{prefix}_{name.upper()}")
    except ValueError:
        known = [value.lower().removeprefix(prefix.lower() + "_") for value in kind.keys()[1:]]
        raise ValueError(f"{prefix.lower()} is {name!r}, expected one of {', '.join(known)}") from None


class Client:
    """Thread-safe; one connection. Failed calls raise larder.LarderError.

        with larder.Client("127.0.0.1:7614") as client:
            client.create_collection("docs")
            client.upsert("docs", [larder.Document("1", "Carrots keep for months in damp sand.")])
            for hit in client.search("docs", "how do I store root vegetables?").hits:
                print(hit.score, hit.text)
    """

    def __init__(self, address: str = "127.0.0.1:7614", *, timeout: float = 60.0,
                 max_message_bytes: int = 64 << 20):
        self._channel = Channel(address, timeout, max_message_bytes)
        self._collections = larder_pb2_grpc.CollectionsStub(self._channel.grpc)
        self._documents = larder_pb2_grpc.DocumentsStub(self._channel.grpc)
        self._search = larder_pb2_grpc.SearchStub(self._channel.grpc)
        self.kv = KvClient(self._channel)

    def close(self) -> None:
        self._channel.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    # Collections

    def create_collection(self, name: str, *, embedder: str = "minilm", dimension: int = 0, metric: str = "cosine",
                          index: str = "auto", max_tokens: int | None = None,
                          overlap_tokens: int | None = None) -> None:
        """One vector space. embedder: minilm, or none with a dimension; metric: cosine, dot, l2."""
        options = larder_pb2.CollectionOptions(
            embedder=_enum(larder_pb2.EmbedderKind, "EMBEDDER_KIND", embedder),
            spaces=[larder_pb2.VectorSpaceOptions(
                dimension=dimension, metric=_enum(larder_pb2.Metric, "METRIC", metric),
                index=_enum(larder_pb2.IndexKind, "INDEX_KIND", index))],
            chunking=larder_pb2.ChunkingOptions(max_tokens=max_tokens, overlap_tokens=overlap_tokens))
        self._channel.write(self._collections.Create,
                            larder_pb2.CreateCollectionRequest(name=name, options=options))

    def collections(self) -> list[str]:
        return list(self._channel.read(self._collections.List, larder_pb2.ListCollectionsRequest()).names)

    def drop_collection(self, name: str) -> None:
        """With its documents, vectors and KV entries."""
        self._channel.write(self._collections.Drop, larder_pb2.DropCollectionRequest(name=name))

    # Documents

    def upsert(self, collection: str, documents: Iterable[Document], *, sync: bool = True) -> list[UpsertResult]:
        """One result a document, in order; a bad one does not stop the others."""
        request = larder_pb2.UpsertRequest(collection=collection, sync=sync,
                                           documents=[document_to_proto(document) for document in documents])
        reply = self._channel.write(self._documents.Upsert, request)
        return [UpsertResult(id=result.id, version=result.version, chunks=result.chunks, error=result.error)
                for result in reply.results]

    def get(self, collection: str, id: str, *, tenant: str = "", include_chunks: bool = False) -> Document:
        request = larder_pb2.GetDocumentRequest(collection=collection, id=id, tenant=tenant,
                                                include_chunks=include_chunks)
        return document_from_proto(self._channel.read(self._documents.Get, request).document)

    def chunks(self, collection: str, id: str, *, tenant: str = "") -> list[Chunk]:
        request = larder_pb2.ChunksRequest(collection=collection, id=id, tenant=tenant)
        return [chunk_from_proto(chunk) for chunk in self._channel.read(self._documents.Chunks, request).chunks]

    def delete(self, collection: str, id: str, *, tenant: str = "", sync: bool = True) -> bool:
        """Whether it was there. Its vectors and KV entries go with it."""
        request = larder_pb2.DeleteDocumentRequest(collection=collection, id=id, tenant=tenant, sync=sync)
        return self._channel.write(self._documents.Delete, request).existed

    def delete_where(self, collection: str, filter: str, *, tenant: str = "", sync: bool = True) -> int:
        request = larder_pb2.DeleteWhereRequest(collection=collection, filter=filter, tenant=tenant, sync=sync)
        return self._channel.write(self._documents.DeleteWhere, request).documents

    def scroll(self, collection: str, *, filter: str | None = None, tenant: str = "", page: int = 100,
               include_text: bool = False) -> Iterator[Document]:
        """All documents in order of id, fetched page by page."""
        request = larder_pb2.ScrollRequest(collection=collection, tenant=tenant, filter=filter, limit=page,
                                           include_text=include_text)
        while True:
            reply = self._channel.read(self._documents.Scroll, request)
            yield from map(document_from_proto, reply.documents)
            if not reply.cursor:
                return
            request.cursor = reply.cursor

    def count(self, collection: str, *, filter: str | None = None, tenant: str = "") -> int:
        request = larder_pb2.CountRequest(collection=collection, tenant=tenant, filter=filter)
        return self._channel.read(self._documents.Count, request).documents

    # Search

    def search(self, collection: str, text: str | None = None, *, vector: Sequence[float] | None = None,
               k: int = 10, filter: str | None = None, tenant: str = "", ef: int = 0, exact: bool = False,
               target_recall: float = 0.0, include_metadata: bool = False,
               include_vector: bool = False, prefetch_kv: str = "") -> SearchResult:
        """By text, which the collection's embedder embeds, or by vector. prefetch_kv: a KV profile's id, under which
        the hits' entries are brought into shared memory meanwhile."""
        if (text is None) == (vector is None):
            raise ValueError("search: give either text or vector")
        request = larder_pb2.SearchRequest(
            collection=collection, text=text, k=k, filter=filter, tenant=tenant, ef=ef, exact=exact,
            target_recall=target_recall, include_metadata=include_metadata, include_vector=include_vector,
            prefetch_kv=prefetch_kv)
        if vector is not None:
            request.vector.values.extend(vector)
        return result_from_proto(self._channel.read(self._search.Search, request))

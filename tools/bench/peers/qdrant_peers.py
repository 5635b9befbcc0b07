"""Qdrant Edge: a shard in process, 8-bit codes with rescoring, or none."""
import os

from peer import Peer, variant

BATCH = 1_000


class Qdrant(Peer):
    name, modules = "qdrant-edge-int8", ("qdrant_edge",)
    quantized = True

    def build(self, base):
        import qdrant_edge as edge
        self.edge = edge
        distance = {"cosine": edge.Distance.Cosine, "dot": edge.Distance.Dot, "l2": edge.Distance.Euclid}[self.metric]
        codes = edge.ScalarQuantizationConfig(edge.ScalarType.Int8, quantile=0.99, always_ram=True)
        codes = codes if self.quantized else None
        path = os.path.join(self.directory, "qdrant")
        os.makedirs(path)
        self.shard = edge.EdgeShard.create(path, edge.EdgeConfig(
            vectors=edge.EdgeVectorParams(self.dimension, distance, quantization_config=codes),
            hnsw_config=edge.HnswIndexConfig(16, 200, 1_000, max_indexing_threads=self.build_threads),
            optimizers=edge.EdgeOptimizersConfig(default_segment_number=1, indexing_threshold=1_000,
                                                 max_segment_size=1 << 30)))
        for first in range(0, len(base), BATCH):
            rows = base[first:first + BATCH]
            self.shard.update(edge.UpdateOperation.upsert_points(
                [edge.Point(first + i, row.tolist(), None) for i, row in enumerate(rows)]))
        self.shard.optimize()

    def request(self, query, k, setting):
        edge = self.edge
        rescored = edge.QuantizationSearchParams(rescore=True, oversampling=2.0) if self.quantized else None
        return edge.QueryRequest(
            limit=k, query=edge.Query.Nearest(query.tolist()), with_payload=False, with_vector=False,
            params=edge.SearchParams(hnsw_ef=max(setting["ef"], k), quantization=rescored))

    def search(self, query, k, setting):
        return self.shard.query(self.request(query, k, setting))

    def search_many(self, queries, k, setting, threads):
        return self.shard.query_batch(self.edge.QueryBatchRequest([self.request(q, k, setting) for q in queries]))

    def ids(self, answer):
        return [point.id for point in answer]


PEERS = [Qdrant, variant(Qdrant, "qdrant-edge-f32", quantized=False)]

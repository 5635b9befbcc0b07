"""USearch in each of its storage types."""
from peer import Peer, variant

METRICS = {"cosine": "cos", "dot": "ip", "l2": "l2sq"}


class Usearch(Peer):
    name, modules = "usearch-bf16", ("usearch.index",)
    dtype = "bf16"

    def build(self, base):
        import numpy as np
        from usearch.index import Index
        self.index = Index(ndim=self.dimension, metric=METRICS[self.metric], dtype=self.dtype, connectivity=16,
                           expansion_add=200, enable_key_lookups=False)
        self.index.add(np.arange(len(base), dtype=np.uint64), base, threads=self.build_threads)

    def search(self, query, k, setting):
        self.index.expansion_search = max(setting["ef"], k)
        return self.index.search(query, k, threads=1).keys

    def search_many(self, queries, k, setting, threads):
        self.index.expansion_search = max(setting["ef"], k)
        return self.index.search(queries, k, threads=threads).keys


PEERS = [Usearch] + [variant(Usearch, f"usearch-{dtype}", dtype=dtype) for dtype in ("f32", "f16", "i8")]

"""VSAG's HGraph with 8-bit codes and exact reordering."""
import json

from peer import Peer, variant


class Vsag(Peer):
    name, modules = "vsag-hgraph-sq8", ("pyvsag",)
    codes = "sq8"

    def build(self, base):
        import numpy as np
        import pyvsag
        metric = {"cosine": "ip", "dot": "ip", "l2": "l2"}[self.metric]  # rows are normalized for cosine
        self.index = pyvsag.Index("hgraph", json.dumps({
            "dtype": "float32", "metric_type": metric, "dim": self.dimension,
            "index_param": {"base_quantization_type": self.codes, "use_reorder": True,
                            "precise_quantization_type": "fp32", "max_degree": 32, "ef_construction": 200,
                            "build_thread_count": self.build_threads}}))
        self.index.build(base.reshape(-1), np.arange(len(base), dtype=np.int64), len(base), self.dimension)

    def search(self, query, k, setting):
        return self.index.knn_search(query, k, f'{{"hgraph": {{"ef_search": {max(setting["ef"], k)}}}}}')[0]


PEERS = [Vsag, variant(Vsag, "vsag-hgraph-sq8-uniform", codes="sq8_uniform"),
         variant(Vsag, "vsag-hgraph-rabitq", codes="rabitq")]

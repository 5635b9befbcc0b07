"""LanceDB: graphs with scalar codes inside inverted lists, PQ and RaBitQ lists, all refined."""
import os

from peer import Peer

METRICS = {"cosine": "cosine", "dot": "dot", "l2": "l2"}


class LanceDb(Peer):
    modules = ("lancedb", "lancedb.index", "pyarrow")

    def config(self, index, rows):
        raise NotImplementedError

    def build(self, base):
        os.environ["LANCE_CPU_THREADS"] = str(self.build_threads)
        import lancedb
        import lancedb.index
        import numpy as np
        import pyarrow
        vectors = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(base.reshape(-1)), self.dimension)
        rows = pyarrow.table({"id": np.arange(len(base), dtype=np.int64), "vector": vectors})
        self.table = lancedb.connect(self.directory).create_table("peers", rows)
        self.table.create_index("vector", config=self.config(lancedb.index, len(base)))

    def search(self, query, k, setting):
        found = self.table.search(query).distance_type(METRICS[self.metric]).limit(k).nprobes(setting["nprobe"])
        if "ef" in setting:
            found = found.ef(setting["ef"])
        if setting.get("refine"):
            found = found.refine_factor(setting["refine"])
        return found.select(["id"]).to_arrow()

    def ids(self, answer):
        return answer["id"].to_pylist()


class LanceHnswSq(LanceDb):
    name = "lancedb-hnsw-sq"

    def config(self, index, rows):
        return index.HnswSq(distance_type=METRICS[self.metric], num_partitions=1, m=16, ef_construction=200)

    def settings(self):
        return [{"nprobe": 1, "ef": ef, "refine": refine} for ef, refine in (
            (20, 0), (40, 0), (80, 2), (160, 2), (320, 2), (640, 4))]


class LanceIvfPq(LanceDb):
    name = "lancedb-ivf-pq"

    def config(self, index, rows):
        width = max(w for w in (2, 4, 8, 1) if self.dimension % w == 0 and w <= 8)
        return index.IvfPq(distance_type=METRICS[self.metric], num_partitions=max(1, round(rows ** 0.5)),
                           num_sub_vectors=self.dimension // width)

    def settings(self):
        return [{"nprobe": nprobe, "refine": refine} for nprobe, refine in (
            (10, 10), (20, 10), (20, 30), (50, 30), (100, 30), (200, 50))]


class LanceIvfRq(LanceIvfPq):
    name = "lancedb-ivf-rq"

    def config(self, index, rows):
        return index.IvfRq(distance_type=METRICS[self.metric], num_partitions=max(1, round(rows ** 0.5)))


PEERS = [LanceHnswSq, LanceIvfPq, LanceIvfRq]

"""What every peer looks like to the benchmark, and which there are."""
import importlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np

# Files with peers in them; each lists its classes in PEERS.
MODULES = ("hnswlib_peers", "faiss_peers", "usearch_peers", "zvec_peers", "qdrant_peers", "lancedb_peers",
           "rabitq_peers", "scann_peers", "svs_peers", "vsag_peers", "voyager_peers", "diskann_peers")
HNSW_EF = (10, 20, 40, 60, 80, 120, 160, 240, 400, 800)


class Unsupported(Exception):
    """This peer cannot do what is asked (a metric, a dimension). The message says what."""


class Peer:
    """One index of one library, at its best documented setting. Rows and queries are normalized for cosine."""

    name = ""  # family-variant, as --systems knows it
    modules = ()  # what build() imports, so that its code does not count as the index's memory
    metrics = ("cosine", "dot", "l2")

    def __init__(self, metric, dimension, build_threads, directory):
        if metric not in self.metrics:
            raise Unsupported(f"{self.name} has no metric {metric}")
        self.metric, self.dimension = metric, dimension
        self.build_threads, self.directory = build_threads, directory

    def build(self, base):
        """Indexes all rows; row i has id i."""
        raise NotImplementedError

    def settings(self):
        """Search settings, from fast and inexact to slow and exact; each prints as a name."""
        return [{"ef": ef} for ef in HNSW_EF]

    def search(self, query, k, setting):
        """Ids of one query's nearest, nearest first, as whatever `ids` understands."""
        raise NotImplementedError

    def ids(self, answer):
        """The answer of `search` as integers; not timed."""
        return np.asarray(answer, dtype=np.int64).reshape(-1)

    def search_many(self, queries, k, setting, threads):
        """All queries with so many threads, by the fastest way that the library has. One answer a query."""
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(lambda query: self.search(query, k, setting), queries))


def setting_name(setting):
    return ",".join(f"{key}={value}" for key, value in setting.items())


def variant(parent, name, **fields):
    """A subclass with other parameters."""
    return type(name, (parent,), {"name": name, **fields})


def all_peers():
    """Name -> class, in the order of MODULES. The libraries themselves are imported by build()."""
    return {peer.name: peer for module in MODULES for peer in importlib.import_module(module).PEERS}

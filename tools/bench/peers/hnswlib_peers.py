"""hnswlib's Python package. Its source package compiles for the machine that installs it."""
from peer import Peer, variant

SPACES = {"cosine": "ip", "dot": "ip", "l2": "l2"}  # rows are normalized for cosine


class Hnswlib(Peer):
    name, modules = "hnswlib", ("hnswlib",)
    links = 16

    def build(self, base):
        import hnswlib
        self.index = hnswlib.Index(space=SPACES[self.metric], dim=self.dimension)
        self.index.init_index(max_elements=len(base), M=self.links, ef_construction=200)
        self.index.add_items(base, num_threads=self.build_threads)

    def search(self, query, k, setting):
        self.index.set_ef(max(setting["ef"], k))
        return self.index.knn_query(query, k, num_threads=1)[0]

    def search_many(self, queries, k, setting, threads):
        self.index.set_ef(max(setting["ef"], k))
        return self.index.knn_query(queries, k, num_threads=threads)[0]


PEERS = [Hnswlib, variant(Hnswlib, "hnswlib-m32", links=32)]

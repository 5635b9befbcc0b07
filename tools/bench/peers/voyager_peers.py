"""Spotify's Voyager: hnswlib with other storage."""
from peer import Peer, variant


class Voyager(Peer):
    name, modules = "voyager-f32", ("voyager",)
    storage = "Float32"

    def build(self, base):
        import voyager
        space = voyager.Space.Euclidean if self.metric == "l2" else voyager.Space.InnerProduct
        self.index = voyager.Index(space, self.dimension, M=16, ef_construction=200, max_elements=len(base),
                                   storage_data_type=getattr(voyager.StorageDataType, self.storage))
        self.index.add_items(base, num_threads=self.build_threads)

    def search(self, query, k, setting):
        return self.index.query(query, k, num_threads=1, query_ef=max(setting["ef"], k))[0]

    def search_many(self, queries, k, setting, threads):
        return self.index.query(queries, k, num_threads=threads, query_ef=max(setting["ef"], k))[0]


PEERS = [Voyager, variant(Voyager, "voyager-e4m3", storage="E4M3")]

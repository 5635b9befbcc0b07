"""Intel's Scalable Vector Search: Vamana over floats and over its locally adaptive codes."""
import os

from peer import HNSW_EF, Peer, variant


class Svs(Peer):
    name, modules = "svs-f32", ("svs",)
    bits = None  # of LVQ: primary and residual

    def rows(self, svs, base):
        if self.bits is None:
            return base
        path = os.path.join(self.directory, "base.fvecs")
        svs.write_vecs(base, path)
        loader = svs.VectorDataLoader(path, svs.DataType.float32, self.dimension)
        return svs.LVQLoader(loader, primary=self.bits[0], residual=self.bits[1])

    def build(self, base):
        import svs
        distance = {"cosine": svs.DistanceType.MIP, "dot": svs.DistanceType.MIP, "l2": svs.DistanceType.L2}[self.metric]
        graph = svs.VamanaBuildParameters(graph_max_degree=32, window_size=200)
        self.index = svs.Vamana.build(graph, self.rows(svs, base), distance, num_threads=self.build_threads)

    def settings(self):
        return [{"window": ef} for ef in HNSW_EF]

    def search(self, query, k, setting):
        return self.search_many(query, k, setting, 1)[0]

    def search_many(self, queries, k, setting, threads):
        if self.index.num_threads != threads:
            self.index.num_threads = threads
        if self.index.search_window_size != max(setting["window"], k):
            self.index.search_window_size = max(setting["window"], k)
        return self.index.search(queries, k)[0]


PEERS = [Svs, variant(Svs, "svs-lvq8", bits=(8, 0)), variant(Svs, "svs-lvq4x8", bits=(4, 8))]

"""FAISS: graphs with and without scalar quantization, and inverted lists with 4-bit PQ and refinement."""
from peer import HNSW_EF, Peer, variant


class Faiss(Peer):
    modules = ("faiss",)

    def make(self, base):
        """An index_factory string."""
        raise NotImplementedError

    def parameters(self, setting):
        raise NotImplementedError

    def build(self, base):
        import faiss
        self.faiss = faiss
        faiss.omp_set_num_threads(self.build_threads)
        metric = faiss.METRIC_L2 if self.metric == "l2" else faiss.METRIC_INNER_PRODUCT
        self.index = faiss.index_factory(self.dimension, self.make(base), metric)
        graph = faiss.try_extract_index_hnsw(self.index) if hasattr(faiss, "try_extract_index_hnsw") else self.graph()
        if graph is not None:
            graph.hnsw.efConstruction = 200
        self.index.train(base)
        self.index.add(base)

    def graph(self):
        index = self.faiss.downcast_index(getattr(self.index, "base_index", self.index))
        return index if isinstance(index, self.faiss.IndexHNSW) else None

    def search(self, query, k, setting):
        self.faiss.omp_set_num_threads(1)
        return self.index.search(query.reshape(1, -1), k, params=self.parameters(setting))[1]

    def search_many(self, queries, k, setting, threads):
        self.faiss.omp_set_num_threads(threads)
        return self.index.search(queries, k, params=self.parameters(setting))[1]


class FaissHnsw(Faiss):
    name, factory = "faiss-hnsw", "HNSW16,Flat"

    def make(self, base):
        return self.factory

    def parameters(self, setting):
        return self.faiss.SearchParametersHNSW(efSearch=setting["ef"])


class FaissHnswSq(FaissHnsw):
    """8-bit codes in the graph, the exact vectors for the last word."""

    name, factory = "faiss-hnsw-sq8", "HNSW16,SQ8,RFlat"

    def settings(self):
        return [{"ef": ef, "refine": refine} for ef in HNSW_EF for refine in (2,)]

    def parameters(self, setting):
        return self.faiss.IndexRefineSearchParameters(
            k_factor=setting["refine"], base_index_params=self.faiss.SearchParametersHNSW(efSearch=setting["ef"]))


class FaissIvfPq(Faiss):
    """IVF with FastScan PQ of 4 bits for two dimensions, as FAISS's wiki advises for speed, refined."""

    name = "faiss-ivfpq-fastscan"

    def make(self, base):
        lists = 1 << max(4, round(len(base) ** 0.5 * 2).bit_length() - 1)
        return f"IVF{lists},PQ{-(-self.dimension // 2)}x4fs,RFlat"

    def settings(self):
        return [{"nprobe": nprobe, "refine": refine} for nprobe, refine in (
            (4, 5), (8, 10), (16, 10), (32, 10), (32, 20), (64, 20), (128, 20), (128, 50), (256, 50))]

    def parameters(self, setting):
        return self.faiss.IndexRefineSearchParameters(
            k_factor=setting["refine"], base_index_params=self.faiss.SearchParametersIVF(nprobe=setting["nprobe"]))


PEERS = [FaissHnsw, FaissHnswSq, variant(FaissHnswSq, "faiss-hnsw-fp16", factory="HNSW16,SQfp16,RFlat"), FaissIvfPq]

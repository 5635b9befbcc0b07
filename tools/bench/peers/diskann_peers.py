"""DiskANN's index in memory: Vamana over floats."""
from peer import Peer


class DiskAnnMemory(Peer):
    name, modules = "diskann-memory", ("diskannpy",)

    def build(self, base):
        import diskannpy
        metric = {"cosine": "cosine", "dot": "mips", "l2": "l2"}[self.metric]
        diskannpy.build_memory_index(base, metric, self.directory, complexity=200, graph_degree=32,
                                     num_threads=self.build_threads)
        self.index = diskannpy.StaticMemoryIndex(self.directory, num_threads=self.build_threads,
                                                 initial_search_complexity=100)

    def search(self, query, k, setting):
        return self.search_many(query.reshape(1, -1), k, setting, 1)[0]  # search() repeats the nearest one k times

    def search_many(self, queries, k, setting, threads):
        return self.index.batch_search(queries, k, max(setting["ef"], k), num_threads=threads).identifiers


PEERS = [DiskAnnMemory]

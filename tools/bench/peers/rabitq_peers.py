"""The RaBitQ authors' library: inverted lists, a graph on codes, and SymphonyQG."""
from peer import HNSW_EF, Peer, variant


class RabitqLib(Peer):
    modules = ("rabitqlib",)

    def space(self):
        return "l2" if self.metric in ("l2", "cosine") else "ip"  # the same order for rows of length 1

    def clusters(self, base, number):
        import rabitqlib
        kmeans = rabitqlib.RaBitQKMeans(self.dimension, number, num_threads=self.build_threads,
                                        final_assignment=rabitqlib.FinalAssignmentMode.Exact)
        kmeans.train(base)
        return kmeans.centroids, kmeans.assignments


class RabitqIvf(RabitqLib):
    name, bits = "rabitq-ivf-7bit", 7

    def build(self, base):
        import rabitqlib
        number = max(1, round(len(base) ** 0.5 * 2))
        self.index = rabitqlib.IvfIndex(self.dimension, len(base), number, self.bits, self.space())
        self.index.build(base, *self.clusters(base, number), num_threads=self.build_threads)

    def settings(self):
        return [{"nprobe": nprobe} for nprobe in (5, 10, 20, 40, 60, 100, 160, 300)]

    def search(self, query, k, setting):
        return self.search_many(query.reshape(1, -1), k, setting, 1)[0]

    def search_many(self, queries, k, setting, threads):
        return self.index.search(queries, k, setting["nprobe"], num_threads=threads)[0]


class RabitqHnsw(RabitqLib):
    name, bits = "rabitq-hnsw-7bit", 7

    def build(self, base):
        import rabitqlib
        self.index = rabitqlib.HnswIndex(self.dimension, len(base), M=16, ef_construction=200, nbits=self.bits,
                                         metric=self.space())
        self.index.build(base, *self.clusters(base, 16), num_threads=self.build_threads)

    def search(self, query, k, setting):
        return self.search_many(query.reshape(1, -1), k, setting, 1)[0]

    def search_many(self, queries, k, setting, threads):
        return self.index.search(queries, k, max(setting["ef"], k), num_threads=threads)[0]


class SymphonyQg(RabitqLib):
    name = "symqg"

    def build(self, base):
        import rabitqlib
        self.index = rabitqlib.SymqgIndex(self.dimension, 32, self.space())
        self.index.build(base, 200, num_threads=self.build_threads)

    def settings(self):
        return [{"ef": ef} for ef in HNSW_EF]

    def search(self, query, k, setting):
        return self.index.search(query.reshape(1, -1), k, max(setting["ef"], k))[0]

    def search_many(self, queries, k, setting, threads):
        return self.index.search_batch(queries, k, max(setting["ef"], k), num_threads=threads)[0]


PEERS = [RabitqIvf, variant(RabitqIvf, "rabitq-ivf-4bit", bits=4), RabitqHnsw, SymphonyQg]

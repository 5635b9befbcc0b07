"""ScaNN: a tree, anisotropic 4-bit codes, exact reordering, as its guide says for this size."""
from peer import Peer


class Scann(Peer):
    name, modules = "scann", ("scann",)

    def build(self, base):
        import scann
        distance = "squared_l2" if self.metric == "l2" else "dot_product"
        builder = scann.scann_ops_pybind.builder(base, 10, distance)
        leaves = max(1, round(len(base) ** 0.5 * 2))
        self.index = (builder.set_n_training_threads(self.build_threads)
                      .tree(num_leaves=leaves, num_leaves_to_search=100, training_sample_size=min(len(base), 250_000))
                      .score_ah(2, anisotropic_quantization_threshold=0.2).reorder(100).build())
        self.index.set_num_threads(self.build_threads)

    def settings(self):
        return [{"leaves": leaves, "reorder": reorder} for leaves, reorder in (
            (10, 50), (20, 100), (40, 100), (60, 150), (100, 200), (150, 300), (250, 400), (400, 600))]

    def search(self, query, k, setting):
        return self.index.search(query, k, setting["reorder"], setting["leaves"])[0]

    def search_many(self, queries, k, setting, threads):
        self.index.set_num_threads(threads)
        return self.index.search_batched_parallel(queries, k, setting["reorder"], setting["leaves"])[0]


PEERS = [Scann]

"""zvec through its collection, the only way in that its package has."""
import os

from peer import HNSW_EF, Peer, variant

BATCH = 1_000


class Zvec(Peer):
    name, modules = "zvec-hnsw-f32", ("zvec",)
    quantize, refine = "UNDEFINED", False

    def index_parameters(self, zvec, metric):
        return zvec.HnswIndexParam(metric_type=metric, m=16, ef_construction=200, use_contiguous_memory=True,
                                   quantize_type=getattr(zvec.QuantizeType, self.quantize))

    def build(self, base):
        import zvec
        self.zvec = zvec
        zvec.init(log_level=zvec.LogLevel.ERROR, optimize_threads=self.build_threads, query_threads=self.build_threads)
        metric = {"cosine": zvec.MetricType.COSINE, "dot": zvec.MetricType.IP, "l2": zvec.MetricType.L2}[self.metric]
        schema = zvec.CollectionSchema(name="peers", vectors=zvec.VectorSchema(
            "v", zvec.DataType.VECTOR_FP32, self.dimension, index_param=self.index_parameters(zvec, metric)))
        self.collection = zvec.create_and_open(os.path.join(self.directory, "zvec"), schema)
        for first in range(0, len(base), BATCH):
            rows = base[first:first + BATCH]
            self.collection.insert([zvec.Doc(id=str(first + i), vectors={"v": row}) for i, row in enumerate(rows)])
        self.collection.optimize(zvec.OptimizeOption(concurrency=self.build_threads))

    def query_parameters(self, setting):
        return self.zvec.HnswQueryParam(ef=setting["ef"], is_using_refiner=self.refine)

    def search(self, query, k, setting):
        return self.collection.query(
            self.zvec.Query(field_name="v", vector=query, param=self.query_parameters(setting)), topk=k,
            output_fields=[])

    def ids(self, answer):
        return [int(doc.id) for doc in answer]


class ZvecIvfRabitq(Zvec):
    name = "zvec-ivf-rabitq"

    def index_parameters(self, zvec, metric):
        return zvec.IvfRabitqIndexParam(metric_type=metric)

    def settings(self):
        return [{"nprobe": nprobe} for nprobe in (5, 10, 20, 40, 80, 160)]

    def query_parameters(self, setting):
        return self.zvec.IvfRabitqQueryParam(nprobe=setting["nprobe"], is_using_refiner=True)


class ZvecVamana(Zvec):
    name = "zvec-vamana-int8"
    quantize, refine = "INT8", True

    def index_parameters(self, zvec, metric):
        return zvec.VamanaIndexParam(metric_type=metric, use_contiguous_memory=True,
                                     quantize_type=getattr(zvec.QuantizeType, self.quantize))

    def settings(self):
        return [{"ef": ef} for ef in HNSW_EF]

    def query_parameters(self, setting):
        return self.zvec.VamanaQueryParam(ef_search=setting["ef"], is_using_refiner=self.refine)


PEERS = [Zvec, variant(Zvec, "zvec-hnsw-int8", quantize="INT8"),
         variant(Zvec, "zvec-hnsw-int8-refine", quantize="INT8", refine=True),
         variant(Zvec, "zvec-hnsw-fp16", quantize="FP16"), ZvecVamana, ZvecIvfRabitq]

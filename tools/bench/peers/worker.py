"""One peer in a process of its own: builds, then measures as told.

Reads one JSON command a line from stdin, answers one JSON line each on the descriptor that --answers
names, so that what a library prints on stdout disturbs nothing.
"""
import argparse
import gc
import importlib
import json
import os
import sys
import tempfile
import time

import numpy as np
from matrix_files import read_ids, read_vectors
from peer import all_peers, setting_name
from process_memory import peak_rss_bytes, release_free, rss_bytes
from truth import normalized, recall

PASSES = 3  # inside one measurement; the median counts
ENOUGH_S = 3  # no further pass after so long
WARM_UP = 50


class Worker:
    def __init__(self, options, directory):
        self.options = options
        self.queries = read_vectors(options.query)
        self.truth = read_ids(options.gt)
        if options.metric == "cosine":
            self.queries = normalized(self.queries)
        self.peer = all_peers()[options.system](options.metric, self.queries.shape[1], options.build_threads, directory)

    def build(self):
        for module in self.peer.modules:
            importlib.import_module(module)
        before = rss_bytes()
        base = read_vectors(self.options.base)
        if self.options.metric == "cosine":
            base = normalized(base)
        rows = len(base)
        start = time.perf_counter()
        self.peer.build(base)
        build_s = time.perf_counter() - start
        del base
        gc.collect()
        self.peer_settings = self.peer.settings()
        for query in self.queries[:WARM_UP]:
            self.peer.search(query, self.options.k, self.peer_settings[-1])
        release_free()
        return {"build_s": build_s, "build_threads": self.options.build_threads,
                "bytes_per_vector": max(0, rss_bytes() - before) / rows, "peak_rss_mb": peak_rss_bytes() / 1e6,
                "settings": [setting_name(setting) for setting in self.peer_settings]}

    def measure(self, command):
        """The median of PASSES over all queries."""
        setting = next(s for s in self.peer_settings if setting_name(s) == command["setting"])
        for query in self.queries[:WARM_UP]:
            self.peer.search(query, self.options.k, setting)
        one = self.pass_of_one_thread if command["threads"] == 1 else self.pass_of_threads
        passes, start = [], time.perf_counter()
        while not passes or len(passes) < PASSES and time.perf_counter() - start < ENOUGH_S:
            passes.append(one(setting, command["threads"]))
        passes.sort(key=lambda each: each["qps"])
        return {**passes[len(passes) // 2], "peak_rss_mb": peak_rss_bytes() / 1e6}

    def pass_of_one_thread(self, setting, _):
        answers, micros = [], np.empty(len(self.queries))
        cpu, start = time.process_time(), time.perf_counter()
        for i, query in enumerate(self.queries):
            before = time.perf_counter()
            answers.append(self.peer.search(query, self.options.k, setting))
            micros[i] = (time.perf_counter() - before) * 1e6
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        return {**self.figures(answers, seconds, cpu), "p50_us": float(np.quantile(micros, 0.5)),
                "p99_us": float(np.quantile(micros, 0.99))}

    def pass_of_threads(self, setting, threads):
        cpu, start = time.process_time(), time.perf_counter()
        answers = self.peer.search_many(self.queries, self.options.k, setting, threads)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        return {**self.figures(answers, seconds, cpu), "p50_us": None, "p99_us": None}

    def figures(self, answers, seconds, cpu):
        found = [np.asarray(self.peer.ids(answer), dtype=np.int64) for answer in answers]
        return {"qps": len(self.queries) / seconds, "recall": recall(found, self.truth, self.options.k),
                "cores": cpu / seconds}


def arguments():
    parser = argparse.ArgumentParser()
    for name in ("system", "base", "query", "gt", "metric"):
        parser.add_argument("--" + name, required=True)
    for name in ("k", "build-threads", "answers"):
        parser.add_argument("--" + name, type=int, required=True)
    return parser.parse_args()


def main():
    options = arguments()
    with os.fdopen(options.answers, "w") as answers, tempfile.TemporaryDirectory(prefix="larder-peer-") as directory:
        def answer(line):
            print(json.dumps(line), file=answers, flush=True)
        try:
            worker = Worker(options, directory)
            answer(worker.build())
            for line in sys.stdin:
                answer(worker.measure(json.loads(line)))
        except Exception as error:  # whatever a foreign library may raise
            answer({"error": f"{type(error).__name__}: {error}"[:400]})
    os._exit(0)  # some libraries hang when they are torn down


if __name__ == "__main__":
    main()

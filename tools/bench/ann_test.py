#!/usr/bin/env python3
"""larder-bench ann on little data: a line a setting with every field, and memory of its own for each index.

    tools/bench/ann_test.py LARDER_BENCH
"""
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import unittest

BENCH = sys.argv[1]
FIELDS = {"index", "code", "params", "recall", "qps", "p50_us", "p99_us", "build_s", "bytes_per_vector",
          "peak_rss_mb"}


def write_fvecs(path, rows, dimension, seed):
    numbers = random.Random(seed)
    with open(path, "wb") as file:
        for _ in range(rows):
            file.write(struct.pack(f"<i{dimension}f", dimension, *(numbers.random() for _ in range(dimension))))


class AnnTest(unittest.TestCase):
    def test_each_index_has_its_own_figures(self):
        with tempfile.TemporaryDirectory(prefix="larder_ann_test") as folder:
            base, query = os.path.join(folder, "base.fvecs"), os.path.join(folder, "query.fvecs")
            write_fvecs(base, 4000, 16, 1)
            write_fvecs(query, 50, 16, 2)
            done = subprocess.run([BENCH, "ann", "--base", base, "--query", query, "--index", "hnsw,hnswlib,flat",
                                   "--ef", "20,100", "--passes", "2", "--rpc", "--json",
                                   "--threads", "1", "--build-threads", "2"], capture_output=True,
                                  text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        settings = [line for line in lines if "index" in line]
        self.assertEqual([s["index"] for s in settings], ["hnsw", "hnsw-rpc", "hnswlib", "flat", "flat-rpc"] * 2)
        for setting in settings:
            self.assertLessEqual(FIELDS, set(setting))
            self.assertGreater(setting["recall"], 0.5)
            self.assertGreater(setting["p99_us"], 0)
        # hnswlib in memory is smaller than a database, though it comes second.
        peak = {s["index"]: s["peak_rss_mb"] for s in settings}
        self.assertLess(peak["hnswlib"], peak["hnsw"])
        self.assertEqual(len(lines) - len(settings), 2)

    def test_what_arrives_is_found(self):
        with tempfile.TemporaryDirectory(prefix="larder_ann_test") as folder:
            base, query = os.path.join(folder, "base.fvecs"), os.path.join(folder, "query.fvecs")
            write_fvecs(base, 1500, 16, 1)
            write_fvecs(query, 50, 16, 2)
            command = [BENCH, "arrivals", "--base", base, "--query", query, "--seconds", "1", "--json"]
            done = subprocess.run(command + ["--rate", "500"], capture_output=True, text=True, timeout=60, check=False)
            many = subprocess.run(command + ["--rate", "1500"], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        figures = json.loads(done.stdout)
        self.assertLessEqual(figures["rate"], 520)
        self.assertGreater(figures["idle_p99_us"], figures["idle_p50_us"] / 2)
        self.assertGreater(figures["found_max_ms"], 0)
        self.assertEqual(many.returncode, 1)
        self.assertIn("expected more than 1500 rows, found 1500", many.stderr)

    def test_a_failure_is_said(self):
        with tempfile.TemporaryDirectory(prefix="larder_ann_test") as folder:
            base, query = os.path.join(folder, "base.fvecs"), os.path.join(folder, "query.fvecs")
            write_fvecs(base, 10, 8, 1)
            write_fvecs(query, 2, 8, 2)
            os.mkdir(os.path.join(folder, "hnsw"))
            with open(os.path.join(folder, "hnsw", "FORMAT"), "w", encoding="utf-8") as file:
                file.write("not ours")
            done = subprocess.run([BENCH, "ann", "--base", base, "--query", query, "--db", folder, "--json"],
                                  capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, "larder-bench: .*hnsw")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])

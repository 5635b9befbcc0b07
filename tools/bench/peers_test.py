#!/usr/bin/env python3
"""What peers.py computes: recall, exact neighbours, Pareto fronts, ratios, files and the results file."""
import os
import sys
import tempfile
import unittest

try:
    import numpy as np
except ImportError:
    DEBIAN = "/usr/bin/python3"
    if os.path.exists(DEBIAN) and os.path.realpath(sys.executable) != os.path.realpath(DEBIAN):
        os.execv(DEBIAN, [DEBIAN, *sys.argv])  # whatever comes first in PATH may have no numpy
    print("peers_test: SKIPPED, no numpy here (Debian: apt-get install python3-numpy)")
    sys.exit(77)  # CTest's SKIP_RETURN_CODE

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "peers"))
import matrix_files  # noqa: E402
import pareto  # noqa: E402
import results  # noqa: E402
import setup_venv  # noqa: E402
import truth  # noqa: E402


class RecallTest(unittest.TestCase):
    def test_counts_the_true_among_the_first_k(self):
        wanted = np.array([[1, 2, 3], [4, 5, 6]])
        self.assertEqual(truth.recall([[1, 2], [5, 9]], wanted, 2), 0.75)
        self.assertEqual(truth.recall([[9, 9, 1], [4, 5]], wanted, 2), 0.5)  # the third answer is late

    def test_short_repeated_and_missing_answers_gain_nothing(self):
        wanted = np.array([[1, 2, 3, 4]])
        self.assertEqual(truth.recall([[]], wanted, 4), 0)
        self.assertEqual(truth.recall([[1, 1, 1, 1]], wanted, 4), 0.25)
        self.assertEqual(truth.recall([[-1, 2]], wanted, 4), 0.25)

    def test_more_truth_than_answers(self):
        self.assertEqual(truth.recall([[1, 2]], np.array([[1, 2], [3, 4]]), 2), 1)


class ExactTest(unittest.TestCase):
    def setUp(self):
        rng = np.random.default_rng(7)
        self.base = rng.standard_normal((500, 12)).astype(np.float32) * rng.uniform(0.1, 3, (500, 1)).astype(np.float32)
        self.queries = rng.standard_normal((20, 12)).astype(np.float32)

    def expected(self, metric):
        if metric == "l2":
            scores = -((self.queries[:, None] - self.base[None]) ** 2).sum(2)
        elif metric == "dot":
            scores = self.queries @ self.base.T
        else:
            scores = self.queries @ truth.normalized(self.base).T
        return np.argsort(-scores, axis=1, kind="stable")[:, :10]

    def test_equals_a_full_sort_whatever_the_block(self):
        self.addCleanup(setattr, truth, "BLOCK_ROWS", truth.BLOCK_ROWS)
        for block in (7, 100, 10_000):
            truth.BLOCK_ROWS = block
            for metric in truth.METRICS:
                found = truth.exact_neighbors(self.base, self.queries, metric, 10)
                np.testing.assert_array_equal(found, self.expected(metric), f"{metric}, blocks of {block}")

    def test_equal_rows_go_by_number_and_k_may_exceed_the_rows(self):
        base = np.ones((5, 3), np.float32)
        np.testing.assert_array_equal(truth.exact_neighbors(base, base[:1], "l2", 9), [[0, 1, 2, 3, 4]])

    def test_a_zero_row_has_no_direction(self):
        self.assertFalse(np.isnan(truth.normalized(np.zeros((2, 3), np.float32))).any())


class ParetoTest(unittest.TestCase):
    POINTS = [(0.90, 1000), (0.94, 400), (0.96, 800), (0.98, 200)]

    def test_front_drops_what_is_beaten(self):
        self.assertEqual(pareto.front(self.POINTS), [(0.90, 1000), (0.96, 800), (0.98, 200)])

    def test_interpolates_in_log_space(self):
        self.assertAlmostEqual(pareto.qps_at(self.POINTS, 0.97), 400)
        self.assertEqual(pareto.qps_at(self.POINTS, 0.96), 800)

    def test_the_fastest_counts_where_all_are_better(self):
        self.assertEqual(pareto.qps_at(self.POINTS, 0.5), 1000)

    def test_none_where_it_is_not_reached(self):
        self.assertIsNone(pareto.qps_at(self.POINTS, 0.99))
        self.assertIsNone(pareto.qps_at([], 0.5))


class RatioTest(unittest.TestCase):
    @staticmethod
    def lines(**systems):
        return [{"system": name.replace("_", "-"), "recall": recall, "qps": qps}
                for name, points in systems.items() for recall, qps in points]

    def test_the_faster_hnswlib_and_the_best_of_all(self):
        line = pareto.ratio_line(self.lines(larder=[(0.95, 300), (0.99, 100)], hnswlib=[(0.95, 50), (0.99, 20)],
                                            hnswlib_m32=[(0.95, 100), (0.99, 10)], fast=[(0.95, 200)]), 1)
        self.assertEqual(line, {
            "threads": 1, "ratio_hnswlib_095": 3.0, "ratio_best_peer_095": 1.5, "best_peer_095": "fast",
            "ratio_hnswlib_099": 5.0, "ratio_best_peer_099": 5.0, "best_peer_099": "hnswlib", "best_peer": "fast"})

    def test_null_where_someone_does_not_get_there(self):
        line = pareto.ratio_line(self.lines(larder=[(0.96, 300)], hnswlib=[(0.9, 50)]), 2)
        self.assertIsNone(line["ratio_hnswlib_095"])
        self.assertIsNone(line["best_peer"])
        line = pareto.ratio_line(self.lines(hnswlib=[(1.0, 50)]), 2)
        self.assertIsNone(line["ratio_best_peer_099"])
        self.assertEqual(line["best_peer"], "hnswlib")


class MatrixFilesTest(unittest.TestCase):
    ROWS = np.arange(12, dtype=np.float32).reshape(3, 4)

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name

    def file(self, name, *parts):
        path = os.path.join(self.directory, name)
        with open(path, "wb") as file:
            for part in parts:
                file.write(part if isinstance(part, bytes) else np.asarray(part).tobytes())
        return path

    def test_every_format_gives_the_same_rows(self):
        rows = self.ROWS
        length = np.full((3, 1), 4, np.int32)
        whole = np.int32([3, 4])
        files = [self.file("a.fvecs", np.hstack([length, rows.view(np.int32)])), self.file("a.fbin", whole, rows)]
        for dtype in (np.float16, np.float32):
            path = os.path.join(self.directory, f"{np.dtype(dtype)}.npy")
            matrix_files.write_npy(path, rows.astype(dtype))
            files.append(path)
        for path in files:
            np.testing.assert_array_equal(matrix_files.read_vectors(path), rows, path)
        ids = rows.astype(np.int32)
        for path in (self.file("a.ivecs", np.hstack([length, ids])), self.file("a.ibin", whole, ids)):
            np.testing.assert_array_equal(matrix_files.read_ids(path), ids, path)

    def test_bad_files_are_refused_by_name(self):
        bad = {"a.npy": [b"no numpy"], "b.npy": [b""], "a.fvecs": [np.int32([4, 1, 2])], "b.fvecs": [b"abc"],
               "c.fvecs": [np.int32([-1, 0])], "d.fvecs": [np.int32([1, 5, 2, 5])],
               "a.fbin": [np.int32([3, 4]), b"abcd"], "b.fbin": [b""], "c.fbin": [np.int32([0, 4])],
               "a.txt": [b"1 2 3"]}
        for name, parts in bad.items():
            with self.assertRaises(matrix_files.BadFile, msg=name) as raised:
                matrix_files.read_vectors(self.file(name, *parts))
            self.assertIn(name, str(raised.exception))

    def test_integers_are_no_vectors_nor_floats_ids(self):
        with self.assertRaisesRegex(matrix_files.BadFile, "expected floats"):
            matrix_files.read_vectors(self.file("a.ibin", np.int32([1, 2, 3, 4])))
        with self.assertRaisesRegex(matrix_files.BadFile, "expected integers"):
            matrix_files.read_ids(self.file("a.fbin", np.int32([1, 2]), np.float32([3, 4])))


class ResultsTest(unittest.TestCase):
    LINE = {"system": "a", "setting": "ef=1", "threads": 1, "recall": 0.9, "build_s": 1.0, "build_threads": 1,
            "bytes_per_vector": 8.0}

    def test_goes_on_after_a_stop_and_gives_medians(self):
        with tempfile.TemporaryDirectory() as directory:
            kept = results.Results(directory, {"data": "x"})
            for number, qps in enumerate((10, 30, 20)):
                kept.add({**self.LINE, "round": number, "qps": qps})
            with open(kept.path, "a", encoding="utf-8") as file:
                file.write('{"system": "a", "set')  # killed while it wrote
            again = results.Results(directory, {"data": "x"})
            self.assertEqual(set(again.done("a", 1)), {("ef=1", 0), ("ef=1", 1), ("ef=1", 2)})
            again.add({**self.LINE, "setting": "ef=2", "round": 0, "qps": 5})
            line = results.Results(directory, {"data": "x"}).medians(1)[0]
            self.assertEqual((line["qps"], line["qps_min"], line["qps_max"], line["rounds"]), (20, 10, 30, 3))
            self.assertIsNone(line["p50_us"])

    def test_another_run_is_refused_unless_fresh(self):
        with tempfile.TemporaryDirectory() as directory:
            results.Results(directory, {"data": "x"}).add({**self.LINE, "round": 0, "qps": 1})
            with self.assertRaises(SystemExit):
                results.Results(directory, {"data": "y"})
            self.assertEqual(results.Results(directory, {"data": "y"}, fresh=True).lines, [])


class RequirementsTest(unittest.TestCase):
    def test_every_requirement_is_pinned_and_on_one_line(self):
        with open(setup_venv.REQUIREMENTS, encoding="utf-8") as file:
            blocks = setup_venv.blocks(file.read())
        self.assertGreater(len(blocks), 10)
        for block in blocks:
            self.assertRegex(block, r"^[A-Za-z0-9_.-]+==[0-9][^ ]*( --hash=sha256:[0-9a-f]{64})*$")


if __name__ == "__main__":
    unittest.main()

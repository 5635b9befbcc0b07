"""Larder, and hnswlib in plain C++, through `larder-bench ann`, taking turns with the peers.

larder-bench measures a list of ef from the first to the last and cannot be told to wait. So the list
holds every round's settings, with a spare one between rounds: as soon as the line before a spare one
is read the process is stopped (SIGSTOP), in the middle of the spare one, whose figures are dropped.
"""
import json
import os
import shutil
import signal
import subprocess
import tempfile

from runner import Failed, Lines, stop

EF = (10, 20, 40, 60, 80, 120, 160, 240, 400, 800)
SPARE = EF[-1]  # slow enough to be stopped in
INDEXES = {"larder": "hnsw", "hnswlib-c++": "hnswlib"}
PASSES = 3


class LarderBenchRunner:
    def __init__(self, system, files, threads, rounds, options, log):
        if not os.access(options.larder_bench, os.X_OK):
            raise Failed(f"no program {options.larder_bench}: build Larder, or say --larder-bench PATH")
        self.system, self.ef, self.stopped = system, options.larder_ef or EF, False
        self.directory = tempfile.mkdtemp(prefix="larder-peer-")
        schedule = [SPARE, SPARE] + (list(self.ef) + [SPARE]) * rounds
        command = [options.larder_bench, "ann", "--base", files.base, "--query", files.query, "--gt", files.gt,
                   "--metric", files.metric, "--index", INDEXES[system], "--k", str(files.k),
                   "--ef", ",".join(map(str, schedule)), "--threads", str(threads), "--passes", str(PASSES),
                   "--db", self.directory, "--json"]
        if system.startswith("larder"):
            command += options.larder_args
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                                        start_new_session=True)
        self.lines = Lines(self.process, self.process.stdout.fileno(), options.timeout, log)
        self.threads, self.position = threads, (-1, 0)

    def build(self):
        first = self._line()  # of the first spare setting: the index is built
        self._pause()
        return {"build_s": first["build_s"], "build_threads": self.threads,
                "bytes_per_vector": first["bytes_per_vector"], "peak_rss_mb": first["peak_rss_mb"],
                "settings": [f"ef={ef}" for ef in self.ef]}

    def measure(self, setting, _threads, round_number):
        """Reads on until this setting of this round, and past what was measured in an earlier run."""
        wanted = (round_number, [f"ef={ef}" for ef in self.ef].index(setting))
        while True:
            if self.stopped:
                self._resume()
                self._line()  # the spare one
                self.position = (self.position[0] + 1, 0)
            here, line = self.position, self._line()
            self.position = (here[0], here[1] + 1)
            if self.position[1] == len(self.ef):
                self._pause()
            if here == wanted:
                return {field: line[field] for field in ("recall", "qps", "p50_us", "p99_us", "peak_rss_mb")}

    def end_round(self):
        """Lets what is left of the round pass, so that nothing runs while others are measured."""
        while not self.stopped:
            self._line()
            self.position = (self.position[0], self.position[1] + 1)
            if self.position[1] == len(self.ef):
                self._pause()

    def close(self):
        stop(self.process)
        self.process.stdout.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _line(self):
        line = json.loads(self.lines.next())
        if "recall" not in line:
            raise Failed(f"unexpected line {line}")
        return line

    def _pause(self):
        os.killpg(self.process.pid, signal.SIGSTOP)
        self.stopped = True

    def _resume(self):
        os.killpg(self.process.pid, signal.SIGCONT)
        self.stopped = False

"""Builds every system, then measures them in turn: A B C, A B C, so that a noisy minute hits all."""
import sys

from larder_bench import INDEXES, LarderBenchRunner
from runner import Failed, PeerRunner

ENOUGH_RECALL = 0.998  # slower settings than this one tell nothing


def say(text):
    print(f"peers: {text}", file=sys.stderr, flush=True)


def is_ours(system):
    return system in INDEXES


class Entry:
    """A system and the thread counts that one start of it can measure."""

    def __init__(self, system, threads):
        self.system, self.threads, self.runner, self.built = system, threads, None, None

    def label(self):
        return f"{self.system} ({'/'.join(map(str, self.threads))} threads)"


def entries(options):
    """A peer is built once for all thread counts. larder-bench builds and searches with the same number."""
    out = []
    for system in options.systems:
        out += ([Entry(system, [threads]) for threads in options.threads] if is_ours(system)
                else [Entry(system, options.threads)])
    return out


class Schedule:
    def __init__(self, options, files, results, log):
        self.options, self.files, self.results, self.log = options, files, results, log
        self.failed = {}  # label -> why

    def run(self):
        waiting = [entry for entry in entries(self.options) if not self._finished(entry)]
        started = []
        try:
            for number, entry in enumerate(waiting, 1):
                started.append(entry)
                self._start(entry, number, len(waiting))
            for round_number in range(self.options.rounds):
                for threads in self.options.threads:
                    for entry in started:
                        if threads in entry.threads and entry.runner:
                            self._round(entry, threads, round_number)
        finally:
            for entry in started:
                self._close(entry)

    def _finished(self, entry):
        """Whether an earlier run measured all rounds of this system."""
        last = self.options.rounds - 1
        for threads in entry.threads:
            done = self.results.done(entry.system, threads)
            first = {setting for setting, number in done if number == 0}
            if not first or any((setting, number) not in done for setting in first for number in range(last + 1)):
                return False
        return True

    def _start(self, entry, number, of):
        say(f"build {number}/{of}: {entry.label()}")
        try:
            if is_ours(entry.system):
                entry.runner = LarderBenchRunner(entry.system, self.files, entry.threads[0], self.options.rounds,
                                                 self.options, self.log)
            else:
                entry.runner = PeerRunner(entry.system, self.files, self.options.build_threads, self.options.timeout,
                                          self.log)
            entry.built = entry.runner.build()
        except (Failed, OSError) as error:
            self._fail(entry, error)
            return
        say(f"  {entry.built['build_s']:.1f} s, {entry.built['bytes_per_vector']:.0f} bytes a vector")

    def _round(self, entry, threads, round_number):
        done = self.results.done(entry.system, threads)
        fields = {key: entry.built[key] for key in ("build_s", "build_threads", "bytes_per_vector")}
        measured = []
        try:
            for setting in self._settings(entry, done, round_number):
                recall = done.get((setting, round_number))
                if recall is None:
                    line = entry.runner.measure(setting, threads, round_number)
                    self.results.add({"system": entry.system, "setting": setting, "threads": threads,
                                      "round": round_number, **fields, **line})
                    recall = line["recall"]
                    measured.append(f"{recall:.3f}@{line['qps']:,.0f}")
                if recall >= ENOUGH_RECALL:
                    break
            entry.runner.end_round()
        except (Failed, OSError) as error:
            self._fail(entry, error)
        say(f"round {round_number + 1}/{self.options.rounds}, {threads} thread(s), {entry.system}: "
            + (" ".join(measured) or "nothing new"))

    def _settings(self, entry, done, round_number):
        """In later rounds those of the first."""
        first = [setting for setting in entry.built["settings"] if (setting, 0) in done]
        return first if round_number > 0 and first else entry.built["settings"]

    def _fail(self, entry, error):
        self.failed[entry.label()] = str(error)
        say(f"{entry.label()} FAILED: {error} (more in {self.log.name})")
        self._close(entry)

    def _close(self, entry):
        if entry.runner:
            entry.runner.close()
            entry.runner = None

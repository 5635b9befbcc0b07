"""The results file: one JSON line a measured pass, appended as it comes, so that a stopped run goes on."""
import json
import os
import statistics

KEY = ("system", "threads", "setting", "round")


class Results:
    """DIR/results.jsonl. Its first line says of which files it speaks; another run's lines are refused."""

    def __init__(self, directory, header, fresh=False):
        os.makedirs(directory, exist_ok=True)
        self.path = os.path.join(directory, "results.jsonl")
        self.lines = []
        if fresh and os.path.exists(self.path):
            os.remove(self.path)
        if os.path.exists(self.path):
            self._load(header)
        else:
            self._append(header)

    def _load(self, header):
        with open(self.path, encoding="utf-8") as file:
            text = file.read()
        whole = text[:text.rfind("\n") + 1]  # a run that was killed may leave half a line
        if whole != text:
            with open(self.path, "w", encoding="utf-8") as file:
                file.write(whole)
        first, *rest = [json.loads(line) for line in whole.splitlines()] or [None]
        if first is None:
            self._append(header)
        elif first != header:
            raise SystemExit(f"peers: {self.path} holds another run: {json.dumps(first)}. "
                             "Take another --out, or --fresh to start anew")
        self.lines = rest

    def _append(self, line):
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def add(self, line):
        self._append(line)
        self.lines.append(line)

    def done(self, system, threads):
        """(setting, round) -> recall of what was measured already."""
        return {(line["setting"], line["round"]): line["recall"] for line in self.lines
                if line["system"] == system and line["threads"] == threads}

    def medians(self, threads):
        """One line a system and setting: the median over rounds, with the least and the most QPS."""
        groups = {}
        for line in self.lines:
            if line["threads"] == threads:
                groups.setdefault((line["system"], line["setting"]), []).append(line)
        return [_median(rounds) for rounds in groups.values()]


def _middle(rounds, field):
    values = [line[field] for line in rounds if line.get(field) is not None]
    return statistics.median(values) if values else None


def _median(rounds):
    line = {key: rounds[0][key] for key in ("system", "setting", "threads")}
    for field in ("recall", "qps", "build_s", "bytes_per_vector", "p50_us", "p99_us", "peak_rss_mb", "cores"):
        line[field] = _middle(rounds, field)
    line["build_threads"] = rounds[0]["build_threads"]
    line["qps_min"], line["qps_max"] = min(r["qps"] for r in rounds), max(r["qps"] for r in rounds)
    line["rounds"] = len(rounds)
    return line

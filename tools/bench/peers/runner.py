"""A system under measurement: started once, which builds it, then measured one setting at a time."""
import json
import os
import select
import signal
import subprocess
import sys
import time

from venv_python import thread_environment

HERE = os.path.dirname(os.path.abspath(__file__))


class Failed(Exception):
    """A system gave up, or was given up. The message says why."""


class Lines:
    """Lines from a process's pipe, each within the process's own time allowance."""

    def __init__(self, process, pipe, timeout_s, log):
        self.process, self.pipe, self.left_s, self.buffer, self.log = process, pipe, timeout_s, b"", log
        self.log_start = os.path.getsize(log.name)

    def next(self):
        start = time.monotonic()
        try:
            while b"\n" not in self.buffer:
                left = self.left_s - (time.monotonic() - start)
                if left <= 0 or not select.select([self.pipe], [], [], left)[0]:
                    raise Failed("took longer than --timeout allows")
                chunk = os.read(self.pipe, 65_536)
                if not chunk:
                    raise Failed(f"ended early, exit code {self.process.wait()}: {self.last_words()}")
                self.buffer += chunk
        finally:
            self.left_s -= time.monotonic() - start
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line.decode()

    def last_words(self):
        with open(self.log.name, encoding="utf-8", errors="replace") as log:
            log.seek(self.log_start)
            said = [line.strip() for line in log if line.strip()]
        return said[-1][:300] if said else "it said nothing"


class PeerRunner:
    """A peer in a process of its own (worker.py)."""

    def __init__(self, system, files, build_threads, timeout_s, log):
        read_end, write_end = os.pipe()
        command = [sys.executable, os.path.join(HERE, "worker.py"), "--system", system, "--k", str(files.k),
                   "--base", files.base, "--query", files.query, "--gt", files.gt, "--metric", files.metric,
                   "--build-threads", str(build_threads), "--answers", str(write_end)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, pass_fds=[write_end],
                                        env=thread_environment(build_threads), start_new_session=True)
        os.close(write_end)
        self.lines = Lines(self.process, read_end, timeout_s, log)
        self.system = system

    def build(self):
        """Fields that every line of this system has. `settings` names what can be measured."""
        return self._answer()

    def measure(self, setting, threads, _round):
        self.process.stdin.write(json.dumps({"setting": setting, "threads": threads}).encode() + b"\n")
        self.process.stdin.flush()
        return self._answer()

    def end_round(self):
        """Nothing runs between measurements."""

    def close(self):
        stop(self.process)
        os.close(self.lines.pipe)

    def _answer(self):
        answer = json.loads(self.lines.next())
        if "error" in answer:
            raise Failed(answer["error"])
        return answer


def stop(process):
    """Ends a process with all that it started, and waits."""
    for end in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, signal.SIGCONT)  # a stopped process would not notice
            os.killpg(process.pid, end)
        except ProcessLookupError:
            break
        try:
            process.wait(timeout=10)
            break
        except subprocess.TimeoutExpired:
            continue
    process.wait()

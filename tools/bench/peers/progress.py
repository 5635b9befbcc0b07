"""One line of progress on stderr: how far, how fast, how long still."""
import sys
import time


class Progress:
    def __init__(self, label, total, unit="rows", done=0):
        self.label, self.total, self.unit = label, total, unit
        self.start, self.first, self.last = time.monotonic(), done, 0.0

    def __call__(self, done):
        now = time.monotonic()
        live = sys.stderr.isatty()
        if done < self.total and now - self.last < (0.2 if live else 10):
            return
        self.last = now
        rate = (done - self.first) / max(now - self.start, 1e-9)
        left = (self.total - done) / rate if rate > 0 else 0
        line = f"{self.label}: {done:,}/{self.total:,} {self.unit}, {rate:,.0f}/s, {left:,.0f} s left"
        print(("\r\x1b[K" if live else "") + line, file=sys.stderr, end="" if live and done < self.total else "\n",
              flush=True)

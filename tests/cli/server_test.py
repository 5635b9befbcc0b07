#!/usr/bin/env python3
"""The same answers from a directory (--db) and from a server (--server).

    tests/cli/server_test.py LARDER LARDERD [unittest options]
"""
import json
import os
import signal
import subprocess
import time

from support import CliTest, LARDERD, PROFILE, lines, main, read_tensors, run, write_tensors

# What may differ between two databases that hold the same.
VOLATILE = {"created_ms", "bytes", "bytes_before", "bytes_after", "store_bytes", "extent_bytes",
            "extent_live_bytes", "index_bytes", "resident_index_bytes", "resident_bytes", "resident_store_bytes", "commit",
            "records", "timings_us", "vid"}


def stable(value):
    """`value` without what may differ between two databases that hold the same."""
    if isinstance(value, dict):
        return {k: stable(v) for k, v in value.items() if k not in VOLATILE}
    return [stable(v) for v in value] if isinstance(value, list) else value


class Server:
    """A larderd on a free port, for one database."""

    def __init__(self, folder, db):
        port_file = os.path.join(folder, "port")
        os.makedirs(os.path.join(folder, "backups"), exist_ok=True)
        self.process = subprocess.Popen(
            [LARDERD, "--db", db, "--create", "--listen", "127.0.0.1:0", "--port-file", port_file,
             "--backup-root", os.path.join(folder, "backups")],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for _ in range(600):
            if os.path.exists(port_file) or self.process.poll() is not None:
                break
            time.sleep(0.05)
        if not os.path.exists(port_file):
            self.process.kill()
            raise AssertionError(f"larderd did not start: {self.process.communicate()[1]}")
        with open(port_file, encoding="utf-8") as file:
            self.address = file.read().strip()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=60)


class ServerTest(CliTest):
    def conversation(self, where, backups):
        """The same commands at one place; their JSON."""
        said = []

        def say(*args, **kwargs):
            said.append(stable(lines(run(*args, *where, "--json", **kwargs)[0])))
            return said[-1]

        say("create", "docs", "--embedder", "none", "--dimension", "3", "--index", "hnsw", "--m", "8",
            "--row-code", "f32", "--prefix", "2")
        for i in range(5):
            say("put", "docs", "--id", f"d{i}", "--vector", f"1,{i},0.25", "--text", f"Number {i}.", "--meta",
                f"i={i}", "--title", f"D{i}", "--tenant", "t" if i == 4 else "")
        say("list")
        say("describe", "docs")
        say("get", "docs", "d1", "--chunks")
        say("chunks", "docs", "d1")
        say("search", "docs", "--vector", "1,2,0", "-k", "3", "--with-metadata", "--with-vector")
        say("search", "docs", "--vector", "1,2,0", "--where", "i in (0, 3)", "--exact")
        say("search", "docs", "--vector", "1,2,0", "--tenant", "t")
        say("scroll", "docs", "--where", "i >= 1", "--limit", "2", "--with-text")
        say("count", "docs", "--where", "not i = 2")
        say("delete", "docs", "d0")
        say("delete", "docs", "--where", "i = 1")
        profile = say("kv", "profile", "--register", "-", stdin=json.dumps(PROFILE))[0]["profile_id"]
        write_tensors(self.path("in"), 3, 1)
        key = ("--profile", profile, "--tokens", "1,2,3")
        say("kv", "put", self.path("in"), *key, "--owner", "docs/d2#0")
        say("kv", "lookup", *key, "--tokens", "9")
        say("kv", "plan", *key, "--tokens", "9")
        say("kv", "get", self.path("out"), *key)
        said.append(read_tensors(self.path("out")))
        say("kv", "delete", *key)
        say("kv", "profile")
        say("stats")
        say("verify")
        say("compact")
        say("backup", backups)
        say("backups", backups)
        say("create", "gone", "--embedder", "none", "--dimension", "1")
        say("drop", "gone")
        for args in (["count", "nope"], ["get", "docs", "gone"], ["search", "docs", "--vector", "1"],
                     ["search", "docs", "--vector", "1,2,3", "--where", "i >"],
                     ["create", "docs", "--embedder", "none", "--dimension", "3"], ["drop", "nope"],
                     ["kv", "get", self.path("out"), *key], ["search", "docs", "words"]):
            said.append(run(*args, *where, code=1)[1])
        return said

    def test_directory_and_server_answer_alike(self):
        server = Server(self.folder, self.db)
        try:
            remote = self.conversation(("--server", server.address), "nightly")
        finally:
            server.stop()
        local = self.conversation(("--db", self.path("local")), self.path("local_backups"))
        self.assertEqual(local[0][0]["options"]["spaces"][0]["row_code"], "f32")
        self.assertEqual(local[0][0]["options"]["spaces"][0]["prefix"], 2)
        self.assertEqual(len(local), len(remote))
        for ours, theirs in zip(local, remote):
            self.assertEqual(ours, theirs)

    def test_a_directory_in_use_is_refused(self):
        server = Server(self.folder, self.db)
        try:
            _, err = run("list", "--db", self.db, code=1)
            self.assertIn(self.db, err)
        finally:
            server.stop()
        self.assertEqual(run("list", "--db", self.db)[0], "no collections\n")

    def test_nobody_listens(self):
        _, err = run("list", "--server", "127.0.0.1:1", code=1)
        self.assertIn("127.0.0.1:1", err)


if __name__ == "__main__":
    main()

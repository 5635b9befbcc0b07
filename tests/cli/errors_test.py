#!/usr/bin/env python3
"""What larder says to wrong usage and bad input, its exit codes, its help.

    tests/cli/errors_test.py LARDER LARDERD [unittest options]
"""
import json
import os
import subprocess

from support import CliTest, LARDER, PROFILE, main, run


class ErrorTest(CliTest):
    def expect(self, code, text, *args, **kwargs):
        out, err = run(*args, code=code, **kwargs)
        self.assertIn(text, err if code != 2 else err + out, args)
        if code == 1:
            self.assertTrue(err.startswith("larder: ") and err.count("\n") == 1, err)

    def test_wrong_usage_is_two(self):
        self.expect(2, "", )
        self.expect(2, "which database?", "list")
        self.expect(2, "--frobnicate", "list", "--frobnicate", "--db", self.db)
        self.expect(2, "collection", "count", "--db", self.db)
        self.expect(2, "excludes", "list", "--db", self.db, "--server", "x")
        self.expect(2, "both $LARDER_DB and $LARDER_SERVER", "list", env={"LARDER_DB": "a", "LARDER_SERVER": "b"})
        self.expect(2, "hamming", "create", "docs", "--metric", "hamming", "--db", self.db)
        self.expect(2, "search for what?", "search", "docs", "--db", self.db)
        self.expect(2, "delete what?", "delete", "docs", "--db", self.db)
        self.expect(2, "which tokens?", "kv", "lookup", "--profile", "x", "--db", self.db)
        self.assertFalse(os.path.exists(self.db))

    def test_reading_creates_nothing(self):
        for command in (["list"], ["count", "docs"], ["stats"], ["verify"], ["describe", "docs"],
                        ["search", "docs", "--vector", "1"], ["put", "docs", "--id", "a", "--text", "x"],
                        ["kv", "profile"], ["backup", self.path("b")]):
            self.expect(1, self.db, *command, "--db", self.db)
            self.assertEqual(os.listdir(self.folder), [])
        self.expect(1, self.db, "repair", self.db)
        self.expect(1, self.path("b"), "backups", self.path("b"))
        self.assertEqual(os.listdir(self.folder), [])

    def test_messages_name_place_and_value(self):
        self.fill()
        db = ("--db", self.db)
        self.expect(1, '"nope"', "count", "nope", *db)
        self.expect(1, '"docs"', "create", "docs", "--embedder", "none", "--dimension", "3", *db)
        self.expect(1, "No Such", "create", "No Such", "--embedder", "none", "--dimension", "3", *db)
        self.expect(1, "--space a", "create", "d2", "--space", "a", *db)
        self.expect(1, '"gone"', "get", "docs", "gone", *db)
        self.expect(1, "2", "search", "docs", "--vector", "1,2", *db)
        self.expect(1, "element 1", "search", "docs", "--vector", "1,x,2", *db)
        self.expect(1, "byte", "search", "docs", "--vector", "1,2,3", "--where", "year >=", *db)
        self.expect(1, "byte", "count", "docs", "--where", "year ~ 3", *db)
        self.expect(1, "k", "search", "docs", "--vector", "1,2,3", "-k", "0", *db)
        self.expect(1, "embedder", "search", "docs", "some words", *db)
        self.expect(1, 'unknown field "document.txt"', "put", "docs", "--document", "-", *db,
                    stdin='{"id": "a", "txt": "b"}')
        self.expect(1, "standard input: not JSON", "put", "docs", "--document", "-", *db, stdin="{")
        self.expect(1, "--meta year", "put", "docs", "--id", "a", "--text", "x", "--meta", "year", *db)
        self.expect(1, 'expected one of f32, f16, bf16; found "f8"', "kv", "profile", "--register", "-", *db,
                    stdin=json.dumps({**PROFILE, "dtype": "f8"}))
        self.expect(1, "layers", "kv", "profile", "--register", "-", *db, stdin=json.dumps({**PROFILE, "layers": 0}))

    def test_environment_names_the_database(self):
        self.fill()
        self.assertEqual(run("count", "docs", env={"LARDER_DB": self.db})[0], "3\n")
        self.expect(1, self.path("other"), "count", "docs", "--db", self.path("other"), env={"LARDER_DB": self.db})

    def test_help_explains(self):
        commands = ["create", "describe", "list", "drop", "put", "get", "chunks", "search", "delete", "scroll", "count",
                    "stats", "verify", "backup", "backups", "restore", "compact", "repair", "kv"]
        out, _ = run("--help")
        for command in commands:
            self.assertIn(f"\n  {command} ", out)
            self.assertIn("Example:\n  larder " if command != "kv" else "plan", run(command, "--help")[0])
        for command in ("profile", "put", "get", "lookup", "plan", "delete"):
            self.assertIn(f"Example:\n  larder kv {command} ", run("kv", command, "--help")[0])
        self.assertRegex(run("--version")[0], r"^larder \d+\.\d+\.\d+\n$")

    def test_a_closed_pipe_is_an_error_not_a_crash(self):
        self.fill()
        done = subprocess.run(f"'{LARDER}' scroll docs --db '{self.db}' >/dev/full", shell=True, capture_output=True,
                              text=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (1, "larder: could not write to standard output\n"))


if __name__ == "__main__":
    main()

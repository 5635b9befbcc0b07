#!/usr/bin/env python3
"""Looking after a database, from the shell: statistics, verify, backups, repair.

    tests/cli/admin_test.py LARDER LARDERD [unittest options]
"""
import json
import os
import shutil

from support import CliTest, PROFILE, lines, main, run, write_tensors


class AdminTest(CliTest):
    def test_stats_verify_compact(self):
        self.fill()
        stats = self.json("stats")[0]
        self.assertEqual((stats["collections"], stats["documents"], stats["chunks"]), (1, 3, 3))
        self.assertEqual([(r["collection"], r["space"], r["estimate"]) for r in stats["recall"]],
                         [("docs", "default", 1.0)])
        self.assertIn("documents    3\n", self.larder("stats"))
        self.assertIn("recall       exact  docs/default\n", self.larder("stats"))
        report = self.json("verify")[0]
        self.assertEqual(report["problems"], [])
        self.assertGreater(report["records"], 0)
        self.assertTrue(self.larder("verify").startswith("clean: checked "))
        self.larder("delete", "docs", "carrots")
        self.assertIn("bytes_after", self.json("compact")[0])
        self.assertEqual(self.larder("count", "docs"), "2\n")

    def test_backup_and_restore(self):
        self.fill()
        first = self.json("backup", self.path("backups"))[0]
        self.larder("delete", "docs", "carrots")
        second = self.json("backup", self.path("backups"))[0]
        listed = lines(run("backups", self.path("backups"), "--json")[0])
        self.assertEqual([b["id"] for b in listed], [first["id"], second["id"]])
        self.assertIn("UTC", run("backups", self.path("backups"))[0])
        run("restore", self.path("backups"), self.path("new"))
        self.assertEqual(run("count", "docs", "--db", self.path("new"))[0], "2\n")
        run("restore", self.path("backups"), self.path("old"), "--id", first["id"])
        self.assertEqual(run("count", "docs", "--db", self.path("old"))[0], "3\n")
        _, err = run("restore", self.path("backups"), self.path("old"), code=1)
        self.assertIn(self.path("old"), err)
        _, err = run("restore", self.path("backups"), self.path("other"), "--id", "99", code=1)
        self.assertIn("99", err)
        self.assertFalse(os.path.exists(self.path("other")))

    def test_verify_finds_a_flipped_byte(self):
        self.fill()
        run("kv", "profile", "--register", "-", "--db", self.db, stdin=json.dumps(PROFILE))
        profile = self.json("kv", "profile")[0]["profile_id"]
        write_tensors(self.path("t"), 3, 7)
        self.larder("kv", "put", self.path("t"), "--profile", profile, "--tokens", "1,2,3")
        extents = os.path.join(self.db, "extents")
        name = os.path.join(extents, sorted(n for n in os.listdir(extents) if n.endswith(".ext"))[0])
        with open(name, "r+b") as file:
            data = file.read()
            at = data.index(bytes([7]) * 16)
            file.seek(at)
            file.write(b"\x08")
        out, _ = run("verify", "--db", self.db, code=3)
        self.assertIn("problem: ", out)
        self.assertIn(os.path.basename(name), out)
        report = lines(run("verify", "--db", self.db, "--json", code=3)[0])[0]
        self.assertGreater(len(report["problems"]), 0)

    def test_repair_needs_consent(self):
        self.fill()
        self.assertEqual(run("repair", self.db)[0], "nothing to repair: it opens as it is\n")
        store = os.path.join(self.db, "store")
        logs = [os.path.join(store, n) for n in os.listdir(store) if n.endswith(".log")]
        older = self.path("older")
        shutil.copytree(self.db, older)
        self.larder("delete", "docs", "carrots")
        shutil.copy(os.path.join(self.db, "COMMITTED"), os.path.join(older, "COMMITTED"))
        self.assertGreaterEqual(len(logs), 1)
        _, refused = run("count", "docs", "--db", older, code=1)
        self.assertIn(f"larder repair --accept-data-loss {older}", refused)
        _, diagnosis = run("repair", older, code=1)
        self.assertEqual(diagnosis, refused)
        repaired = lines(run("repair", "--accept-data-loss", older, "--json")[0])[0]
        self.assertTrue(repaired["repaired"])
        self.assertEqual(repaired["left"]["documents"], 3)
        self.assertEqual(repaired["verify"]["problems"], [])
        self.assertEqual(run("count", "docs", "--db", older)[0], "3\n")


if __name__ == "__main__":
    main()

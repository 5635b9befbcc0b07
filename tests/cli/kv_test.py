#!/usr/bin/env python3
"""KV entries, from the shell.

    tests/cli/kv_test.py LARDER LARDERD [unittest options]
"""
import json

from support import CliTest, PROFILE, main, read_tensors, run, write_tensors


class KvTest(CliTest):
    def setUp(self):
        super().setUp()
        self.fill()
        with open(self.path("profile.json"), "w", encoding="utf-8") as file:
            json.dump(PROFILE, file)
        self.profile = self.json("kv", "profile", "--register", self.path("profile.json"))[0]["profile_id"]

    def put(self, tokens="1,2,3", *more):
        path = self.path("in.safetensors")
        write_tensors(path, len(tokens.split(",")), 1)
        return self.json("kv", "put", path, "--profile", self.profile, "--tokens", tokens, *more)[0]

    def test_tiers(self):
        key = ("--profile", self.profile, "--tokens", "1,2,3")
        self.put()
        self.assertEqual(self.json("kv", "pin", *key), [{"pinned": True}])
        stats = self.json("kv", "stats")[0]
        self.assertEqual(stats["tiers"][0]["name"], "disk")
        self.assertEqual(stats["tiers"][0]["entries"], 1)
        self.assertEqual(stats["tiers"][0]["pinned_entries"], 1)
        self.assertTrue(stats["directory_filled"])
        self.assertIn("entries served, 0.0 s of prefill saved", self.larder("kv", "stats"))
        self.assertEqual(self.json("kv", "pin", "--undo", *key), [{"pinned": False}])
        self.larder("kv", "quota", "--tenant", "", "--bytes", "1")
        path = self.path("in.safetensors")
        _, err = run("kv", "put", path, "--profile", self.profile, "--tokens", "4,5,6", "--db", self.db, code=1)
        self.assertIn("quota is 1 bytes", err)
        self.larder("kv", "quota", "--tenant", "", "--bytes", "default")
        self.assertIn("does not expire", self.larder("kv", "ttl", "--seconds", "0", *key))
        self.json("kv", "ttl", "--seconds", "0.001", *key)
        self.assertFalse(self.json("kv", "lookup", *key)[0]["hit"])

    def test_profiles(self):
        shown = self.json("kv", "profile", self.profile)[0]
        self.assertEqual(shown["profile"]["layers"], 2)
        self.assertEqual(self.json("kv", "profile"), [shown])
        self.assertEqual(self.json("kv", "profile", "--register", "-", stdin=json.dumps(PROFILE)), [shown])
        self.assertIn("tiny, 2 layers, 1 KV heads of 4, f16", self.larder("kv", "profile"))

    def test_put_get_delete(self):
        self.assertEqual(self.put(), {"tokens": 3, "layers": 2, "bytes": 96})
        out = self.path("out.safetensors")
        self.larder("kv", "get", out, "--profile", self.profile, "--tokens", "[1, 2, 3]")
        self.assertEqual(read_tensors(out)[0], read_tensors(self.path("in.safetensors"))[0])
        self.assertEqual(read_tensors(out)[1], {"profile_id": self.profile, "tokens": "[1,2,3]"})
        self.larder("kv", "get", out, "--profile", self.profile, "--tokens", "1,2,3", "--first", "1", "--count", "1")
        self.assertEqual(sorted(read_tensors(out)[0]), ["layers.1.k", "layers.1.v"])
        self.assertEqual(self.json("kv", "delete", "--profile", self.profile, "--tokens", "1,2,3"), [{"deleted": 1}])
        _, err = run("kv", "get", out, "--profile", self.profile, "--tokens", "1,2,3", "--db", self.db, code=1)
        self.assertTrue(err.startswith("larder: "), err)

    def test_a_file_that_was_written_needs_no_options(self):
        self.put()
        out = self.path("out.safetensors")
        self.larder("kv", "get", out, "--profile", self.profile, "--tokens", "1,2,3")
        self.larder("kv", "delete", "--profile", self.profile, "--tokens", "1,2,3")
        self.larder("kv", "put", out)
        self.assertTrue(self.json("kv", "lookup", "--profile", self.profile, "--tokens", "1,2,3")[0]["hit"])
        _, err = run("kv", "put", out, "--tokens", "1,2,4", "--db", self.db, code=1)
        self.assertIn("its header names another profile or other tokens", err)

    def test_parts(self):
        self.put()
        out = self.path("out.safetensors")
        key = ("--profile", self.profile, "--tokens", "1,2,3")
        whole = read_tensors(self.path("in.safetensors"))[0]
        self.larder("kv", "get", out, *key, "--layers", "1:2", "--tokens-range", "1:", "--heads", "0:1")
        tensors, header = read_tensors(out)
        self.assertEqual(sorted(tensors), ["layers.1.k", "layers.1.v"])
        self.assertEqual(tensors["layers.1.v"], whole["layers.1.v"][8:])  # 8 bytes a token
        self.assertEqual(header["tokens"], "[2,3]")
        for option, text, message in (("--layers", "2:3", "layers 2 to 2, expected within 0 to 1"),
                                      ("--tokens-range", "0:4", "tokens 0 to 3, expected within 0 to 2"),
                                      ("--heads", "1:2", "heads 1 to 1, expected within 0 to 0"),
                                      ("--layers", "2:1", "expected BEGIN:END")):
            _, err = run("kv", "get", out, *key, option, text, "--db", self.db, code=1)
            self.assertIn(message, err)

    def test_rotation(self):
        self.put("1,2,3", "--rotated-from", "100")
        out, again = self.path("out.safetensors"), self.path("again.safetensors")
        key = ("--profile", self.profile, "--tokens", "1,2,3")
        self.larder("kv", "get", out, *key, "--rotate-to", "40")
        self.assertEqual(read_tensors(out)[1]["rotated_from"], "40")
        self.larder("kv", "get", again, *key)
        before = read_tensors(again)
        self.assertNotIn("rotated_from", before[1])
        self.assertNotEqual(before[0]["layers.0.k"], read_tensors(out)[0]["layers.0.k"])
        self.assertEqual(before[0]["layers.0.v"], read_tensors(out)[0]["layers.0.v"])

    def test_lookup_and_plan(self):
        self.put()
        self.assertEqual(self.json("kv", "lookup", "--profile", self.profile, "--tokens", "1,2,3", "--tokens", "4,5"),
                         [{"hit": True, "tokens": 3, "bytes": 96}, {"hit": False, "tokens": 0, "bytes": 0}])
        with open(self.path("prompt.json"), "w", encoding="utf-8") as file:
            json.dump([[4, 5], [1, 2, 3]], file)
        plan = self.json("kv", "plan", "--profile", self.profile, "--tokens-file", self.path("prompt.json"),
                         "--position", "10")[0]
        self.assertEqual((plan["hit_tokens"], plan["miss_tokens"], plan["bytes"]), (3, 2, 96))
        self.assertEqual([(i["hit"], i["position"], i["tokens"]) for i in plan["items"]],
                         [(False, 10, 2), (True, 12, 3)])
        self.assertIn("3 tokens to load (96 B), 2 to compute",
                      self.larder("kv", "plan", "--profile", self.profile, "--tokens", "1,2,3", "--tokens", "4,5"))

    def test_an_entry_goes_with_its_document(self):
        self.put("1,2,3", "--owner", "docs/carrots#0")
        self.larder("delete", "docs", "carrots")
        self.assertFalse(self.json("kv", "lookup", "--profile", self.profile, "--tokens", "1,2,3")[0]["hit"])

    def test_wrong_tensors_are_refused(self):
        path = self.path("bad.safetensors")
        write_tensors(path, 3, 1, shape=[3, 2, 4])
        key = ("--profile", self.profile, "--tokens", "1,2,3", "--db", self.db)
        _, err = run("kv", "put", path, *key, code=1)
        self.assertIn('tensor "layers.0.k": expected F16 [3, 1, 4], found F16 [3, 2, 4]', err)
        _, err = run("kv", "put", self.path("none"), *key, code=1)
        self.assertIn(self.path("none"), err)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""The larder tool as a person runs it: every command, its errors and exit codes, and the same
answers from a directory (--db) and from a server (--server).

    tests/cli_test.py LARDER LARDERD [unittest options]
"""
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

LARDER, LARDERD = sys.argv[1:3]

PROFILE = {"model": "tiny", "model_revision": "1", "weights_sha256": "ab" * 32, "tokenizer": "t",
           "tokenizer_revision": "1", "dtype": "f16", "layers": 2, "kv_heads": 1, "head_dim": 4}
# What may differ between two databases that hold the same.
VOLATILE = {"created_ms", "bytes", "bytes_before", "bytes_after", "store_bytes", "extent_bytes",
            "extent_live_bytes", "index_bytes", "resident_index_bytes", "resident_bytes", "commit", "records",
            "timings_us", "vid"}


def run(*args, code=0, stdin="", env=None):
    """Runs larder, checks its exit code; returns (stdout, stderr)."""
    clean = {k: v for k, v in os.environ.items() if k not in ("LARDER_DB", "LARDER_SERVER")}
    done = subprocess.run([LARDER, *map(str, args)], input=stdin, capture_output=True, text=True,
                          timeout=120, check=False, env={**clean, **(env or {})})
    if done.returncode != code:
        raise AssertionError(f"larder {' '.join(map(str, args))}: exit code {done.returncode}, expected "
                             f"{code}\n{done.stdout}\n{done.stderr}")
    return done.stdout, done.stderr


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def stable(value):
    """`value` without what may differ between two databases that hold the same."""
    if isinstance(value, dict):
        return {k: stable(v) for k, v in value.items() if k not in VOLATILE}
    return [stable(v) for v in value] if isinstance(value, list) else value


def write_tensors(path, tokens, fill, shape=None, metadata=None):
    """A safetensors file with K and V of two layers; `fill` is the first byte value."""
    shape = shape or [tokens, 1, 4]
    header, data = {}, b""
    for index, name in enumerate(f"layers.{layer}.{which}" for layer in range(2) for which in "kv"):
        tensor = bytes([fill + index]) * (2 * shape[0] * shape[1] * shape[2])
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [len(data), len(data) + len(tensor)]}
        data += tensor
    if metadata:
        header["__metadata__"] = metadata
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def read_tensors(path):
    with open(path, "rb") as file:
        size, = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
        data = file.read()
    metadata = header.pop("__metadata__", {})
    return {name: data[slice(*entry["data_offsets"])] for name, entry in header.items()}, metadata


def write_npy(path, values):
    text = str({"descr": "<f4", "fortran_order": False, "shape": (len(values),)}).encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text +
                   struct.pack(f"<{len(values)}f", *values))


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


class CliTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="larder_cli_test")
        self.addCleanup(shutil.rmtree, self.folder)
        self.db = os.path.join(self.folder, "db")

    def path(self, name):
        return os.path.join(self.folder, name)

    def larder(self, *args, **kwargs):
        return run(*args, "--db", self.db, **kwargs)[0]

    def json(self, *args, **kwargs):
        return lines(self.larder(*args, "--json", **kwargs))

    def fill(self):
        """Three documents with given vectors."""
        self.larder("create", "docs", "--embedder", "none", "--dimension", "3")
        for name, vector, year in (("carrots", "1,0,0", 1970), ("turnips", "0,1,0", 1980), ("beets", "0,0,1", 1990)):
            self.larder("put", "docs", "--id", name, "--text", f"Store {name} in sand.", "--title", name.title(),
                        "--vector", vector, "--meta", f"year={year}", "--meta", "kind=root")


class DocumentsTest(CliTest):
    def test_create_describes_what_it_made(self):
        made = self.json("create", "docs", "--embedder", "none", "--space", "a:3:l2:flat", "--space", "b:2",
                         "--chunk-tokens", "64", "--chunk-overlap", "8", "--m", "24")[0]
        self.assertEqual(made["name"], "docs")
        self.assertEqual([(s["name"], s["dimension"], s["metric"], s["index"]) for s in made["spaces"]],
                         [("a", 3, "l2", "flat"), ("b", 2, "cosine", "auto")])
        self.assertEqual(made["options"]["chunking"]["max_tokens"], 64)
        self.assertEqual(made["options"]["spaces"][1]["m"], 24)
        self.assertEqual(self.json("describe", "docs")[0], made)
        self.assertEqual([c["name"] for c in self.json("list")], ["docs"])

    def test_put_then_get(self):
        self.larder("create", "docs", "--embedder", "none", "--dimension", "2")
        stored = self.json("put", "docs", "--id", "a", "--vector", "0.1,-2", "--uri", "u", "--title", "T",
                           "--section", "S > U", "--meta", "year=1970", "--meta", 'tags=["x","y"]', "--meta",
                           "name=a b", "--text", "Grüße", "--expires-in", "1h")[0]
        self.assertEqual(stored, {"id": "a", "version": 1, "chunks": 1})
        document = self.json("get", "docs", "a", "--chunks")[0]
        self.assertEqual(document["text"], "Grüße")
        self.assertEqual(document["metadata"], {"name": "a b", "tags": ["x", "y"], "year": 1970})
        self.assertEqual(document["chunks"][0]["vectors"], {"default": [0.1, -2.0]})
        self.assertAlmostEqual(document["expires_at_ms"] / 1000, time.time() + 3600, delta=60)
        chunk = self.json("chunks", "docs", "a")[0]
        self.assertEqual((chunk["ordinal"], chunk["section"], chunk["text"], chunk["span"]),
                         (0, "S > U", "Grüße", [0, 7]))
        # The same document elsewhere, from its own JSON.
        self.larder("create", "copy", "--embedder", "none", "--dimension", "2")
        self.larder("put", "copy", "--document", "-", stdin=json.dumps(document))
        self.assertEqual(self.json("get", "copy", "a", "--chunks")[0], document)

    def test_search(self):
        self.fill()
        reply = self.json("search", "docs", "--vector", "1,0.5,0", "-k", "2", "--with-metadata", "--with-vector")[0]
        self.assertEqual([h["document_id"] for h in reply["hits"]], ["carrots", "turnips"])
        self.assertAlmostEqual(reply["hits"][0]["score"], 1 / 1.25 ** 0.5, places=5)
        self.assertEqual(reply["hits"][0]["text"], "Store carrots in sand.")
        self.assertEqual(reply["hits"][0]["metadata"], {"kind": "root", "year": 1970})
        self.assertEqual(reply["matches"], 3)
        write_npy(self.path("query.npy"), [1, 0.5, 0])
        from_file = self.json("search", "docs", "--vector-file", self.path("query.npy"), "-k", "2",
                              "--with-metadata", "--with-vector")[0]
        self.assertEqual(from_file, reply)
        filtered = self.json("search", "docs", "--vector", "1,0,0", "--where", "year > 1970", "--exact")[0]
        self.assertEqual(sorted(h["document_id"] for h in filtered["hits"]), ["beets", "turnips"])
        bare = self.json("search", "docs", "--vector", "1,0,0", "--no-text", "--timings", "-k", "1")[0]
        self.assertNotIn("text", bare["hits"][0])
        self.assertIn("search", bare["timings_us"])
        sure = self.json("search", "docs", "--vector", "1,0.5,0", "--target-recall", "0.95")[0]
        self.assertEqual((sure["plan"], sure["recall_estimate"]), ("flat", 1.0))
        _, err = run("search", "docs", "--vector", "1,0,0", "--target-recall", "1.5", "--db", self.db, code=1)
        self.assertIn("target_recall is 1.5", err)
        run("search", "docs", "--vector", "1,0,0", "--target-recall", "0.9", "--ef", "20", "--db", self.db, code=2)

    def test_search_for_people(self):
        self.fill()
        text = self.larder("search", "docs", "--vector", "1,0.5,0", "-k", "2")
        self.assertRegex(text, r"(?m)^  1\. 0\.8944  carrots  Carrots  \(chunk 0\)$")
        self.assertIn("     Store carrots in sand.\n", text)
        self.assertRegex(text, r"(?m)^2 of 3 chunks in ")

    def test_scroll_count_delete(self):
        self.fill()
        page = self.json("scroll", "docs", "--limit", "2", "--with-text")
        self.assertEqual([d.get("id") for d in page], ["beets", "carrots", None])
        self.assertEqual(page[0]["text"], "Store beets in sand.")
        rest = self.json("scroll", "docs", "--cursor", page[2]["cursor"])
        self.assertEqual([d["id"] for d in rest], ["turnips"])
        self.assertNotIn("text", rest[0])
        self.assertEqual(len(self.json("scroll", "docs", "--limit", "1", "--all")), 3)
        self.assertIn("more: --cursor '", self.larder("scroll", "docs", "--limit", "1"))
        self.assertEqual(self.json("count", "docs")[0], {"count": 3})
        self.assertEqual(self.larder("count", "docs", "--where", "year >= 1980"), "2\n")
        self.assertEqual(self.json("delete", "docs", "beets")[0], {"deleted": 1})
        out, err = run("delete", "docs", "beets", "carrots", "--db", self.db, code=1)
        self.assertEqual(out, "deleted 1 document\n")
        self.assertEqual(err, 'larder: collection "docs" has no document "beets"\n')
        self.assertEqual(self.json("delete", "docs", "--where", 'kind = "root"')[0], {"deleted": 1})
        self.assertEqual(self.larder("count", "docs"), "0\n")

    def test_tenants_do_not_meet(self):
        self.larder("create", "docs", "--embedder", "none", "--dimension", "2")
        for tenant in ("a", "b"):
            self.larder("put", "docs", "--id", "x", "--vector", "1,0", "--text", f"of {tenant}", "--tenant", tenant)
        self.assertEqual(self.json("get", "docs", "x", "--tenant", "b")[0]["text"], "of b")
        hits = self.json("search", "docs", "--vector", "1,0", "--tenant", "a")[0]["hits"]
        self.assertEqual([h["text"] for h in hits], ["of a"])
        self.assertEqual(self.json("count", "docs", "--tenant", "a")[0], {"count": 1})
        self.larder("delete", "docs", "x", "--tenant", "a")
        self.assertEqual(self.json("get", "docs", "x", "--tenant", "b")[0]["text"], "of b")

    @unittest.skipIf(os.environ.get("LARDER_MINILM") == "OFF", "built without MiniLM")
    def test_words_find_meaning(self):
        self.larder("create", "docs")
        self.larder("put", "docs", "--id", "carrots", stdin="Carrots keep for months in damp sand.")
        with open(self.path("bikes.md"), "w", encoding="utf-8") as file:
            file.write("# Bicycles\n\n## Chain\n\nOil the chain after each ride in the rain.\n")
        self.larder("put", "docs", "--file", self.path("bikes.md"), "--title", "Bicycles")
        hits = self.json("search", "docs", "how", "do I store root vegetables?")[0]["hits"]
        self.assertEqual(hits[0]["document_id"], "carrots")
        self.assertGreater(hits[0]["score"], hits[1]["score"] + 0.2)
        self.assertEqual(hits[1]["document_id"], self.path("bikes.md"))
        self.assertIn("Chain", hits[1]["section"])


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


class ServerTest(CliTest):
    def conversation(self, where, backups):
        """The same commands at one place; their JSON."""
        said = []

        def say(*args, **kwargs):
            said.append(stable(lines(run(*args, *where, "--json", **kwargs)[0])))
            return said[-1]

        say("create", "docs", "--embedder", "none", "--dimension", "3", "--index", "hnsw", "--m", "8")
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
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])

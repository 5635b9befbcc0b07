#!/usr/bin/env python3
"""Collections and documents, from the shell.

    tests/cli/documents_test.py LARDER LARDERD [unittest options]
"""
import json
import os
import time
import unittest

from support import CliTest, main, run, write_npy


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


if __name__ == "__main__":
    main()

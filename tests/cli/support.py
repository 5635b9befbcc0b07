"""What the tests of the larder tool share: running it, its input files, a folder for each test."""
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

LARDER, LARDERD = sys.argv[1:3]
PROFILE = {"model": "tiny", "model_revision": "1", "weights_sha256": "ab" * 32, "tokenizer": "t",
           "tokenizer_revision": "1", "dtype": "f16", "layers": 2, "kv_heads": 1, "head_dim": 4}


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


def main():
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])

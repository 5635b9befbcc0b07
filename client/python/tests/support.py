"""What the Python client's tests share: a larderd of their own, a tiny random model, the path to the package."""
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", "..", ".."))
VENV = os.path.join(ROOT, ".deps", "client-venv")
sys.path.insert(0, os.path.dirname(HERE))
STORIES = os.path.join(os.environ.get("LARDER_SHARED_DATA", "/nowhere"), "llm")  # stories260K.bin, tok512.bin


def skip_all(why):
    print(f"{os.path.basename(sys.argv[0])}: SKIPPED, {why}")
    sys.exit(77)  # CTest's SKIP_RETURN_CODE


def enter_venv():
    """Whatever Python comes first in PATH may have none, or other versions, of what is pinned."""
    python = os.path.join(VENV, "bin", "python")
    if os.path.realpath(sys.prefix) != os.path.realpath(VENV) and os.path.exists(python):
        os.execv(python, [python, *sys.argv])


enter_venv()
try:
    import numpy as np
    from threadpoolctl import threadpool_limits

    import grpc_tools  # noqa: F401
except ImportError as missing:
    skip_all(f"no {missing.name} here (tools/setup installs it)")

import make_stubs  # noqa: E402

make_stubs.make()

import larder  # noqa: E402
from larder.llama import Layer, Llama, LlamaConfig, Weights  # noqa: E402

threadpool_limits(1)  # tests run beside others: more threads of OpenBLAS would wait for each other
LARDERD = sys.argv[1] if len(sys.argv) > 1 else ""


def tiny_llama(style="neox", seed=7, **changes):
    """Random weights, large enough that attention is not uniform."""
    config = LlamaConfig(**{**dict(dim=32, layers=3, heads=4, kv_heads=2, head_dim=8, hidden=48, vocabulary=64,
                                   context=512, rope_style=style), **changes})
    random = np.random.default_rng(seed)

    def matrix(rows, columns):
        return random.normal(0, 1.5 / np.sqrt(columns), (rows, columns)).astype(np.float32)

    kv_dim, q_dim = config.kv_heads * config.head_dim, config.heads * config.head_dim
    ones = np.ones(config.dim, np.float32)
    layers = [Layer(attention_norm=ones, q=matrix(q_dim, config.dim), k=matrix(kv_dim, config.dim),
                    v=matrix(kv_dim, config.dim), o=matrix(config.dim, q_dim), ffn_norm=ones,
                    gate=matrix(config.hidden, config.dim), up=matrix(config.hidden, config.dim),
                    down=matrix(config.dim, config.hidden)) for _ in range(config.layers)]
    embedding = random.normal(0, 1, (config.vocabulary, config.dim)).astype(np.float32)
    return Llama(config, Weights(embedding, layers, ones, embedding))


class Server:
    """larderd on a database of its own in a temporary folder, which its arguments may name as {folder}."""

    def __init__(self, *arguments):
        self.folder = tempfile.mkdtemp(prefix="larder_python_test")
        port_file = os.path.join(self.folder, "port")
        self.process = subprocess.Popen(
            [LARDERD, "--db", os.path.join(self.folder, "db"), "--create", "--listen", "127.0.0.1:0",
             "--port-file", port_file, *(argument.format(folder=self.folder) for argument in arguments)],
            stdout=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while not os.path.exists(port_file):
            if self.process.poll() is not None or time.monotonic() > until:
                self.stop()
                raise AssertionError("larderd did not start")
            time.sleep(0.02)
        with open(port_file, encoding="utf-8") as file:
            self.address = file.read().strip()

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
        shutil.rmtree(self.folder)


class ServerTest(unittest.TestCase):
    """One server and client for all tests of a class."""

    arguments = ()  # of larderd

    @classmethod
    def setUpClass(cls):
        cls.server = Server(*cls.arguments)
        cls.addClassCleanup(cls.server.stop)
        cls.client = larder.Client(cls.server.address)
        cls.addClassCleanup(cls.client.close)


def main():
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])

#!/usr/bin/env python3
"""Larder's KV store and LMCache's local CPU and disk backends: how long an entry takes into a process's own buffer.

    tools/bench/lmcache_kv.py --setup                     # LMCache into .deps/lmcache-venv: some GB
    tools/bench/lmcache_kv.py [--larderd build/rpc/larderd] [--entries 24] [--passes 5] [--json]

Entries of 512 tokens in the shape of SmolLM2-135M, f16. Both are asked for the same entries in turn, one entry a
call, each from a process of its own that copies all layers into one buffer and compares them once. Larder: over the
local socket, lease taken and given back each time; `view` leaves the bytes where they lie; `disk` from a larderd whose
shared memory holds few entries, by direct I/O. LMCache: LMCacheEngine.retrieve with a connector that copies the memory
object's tensor, as its own mock connector does not; `disk` with use_odirect, which strace shows to be one direct read
of the whole entry, and without the CPU cache. `floor` is what neither can be quicker than: the bytes copied from
memory, or from a file by one direct read, into the buffer, unchecked.
"""
import argparse
import contextlib
import json
import mmap
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", ".."))
LMCACHE_PYTHON = os.path.join(ROOT, ".deps", "lmcache-venv", "bin", "python")
LARDER_PYTHON = os.path.join(ROOT, ".deps", "client-venv", "bin", "python")
TOKENS, LAYERS, HEADS, DIM = 512, 30, 3, 64
POOL_MIB = {"memory": 2048, "disk": 64}
WAYS = ("view", "memory", "disk")


def parser():
    out = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    out.add_argument("--setup", action="store_true", help="install LMCache, then end")
    out.add_argument("--larderd", default=os.path.join(ROOT, "build", "rpc", "larderd"))
    out.add_argument("--lmcache-python", default=LMCACHE_PYTHON, metavar="PATH")
    out.add_argument("--entries", type=int, default=24)
    out.add_argument("--passes", type=int, default=5)
    out.add_argument("--json", action="store_true", help="only the summary, one line")
    out.add_argument("--worker", choices=["larder", "lmcache", "floor"], help=argparse.SUPPRESS)
    out.add_argument("--directory", help=argparse.SUPPRESS)
    return out


def setup():
    directory = os.path.dirname(os.path.dirname(LMCACHE_PYTHON))
    venv.create(directory, with_pip=True)
    subprocess.run([LMCACHE_PYTHON, "-m", "pip", "install", "-r", os.path.join(HERE, "requirements-lmcache.txt")],
                   check=True)


def tokens_of(entry):
    return [(entry * 7919 + i * 31) % 49152 for i in range(TOKENS)]


def tensor_of(entry):
    """[K|V][layer][token][head * dim], f16; other numbers in each entry, layer and side."""
    import numpy as np
    numbers = np.random.default_rng(entry).standard_normal((TOKENS, HEADS * DIM)).astype(np.float16)
    out = np.empty((2, LAYERS, TOKENS, HEADS * DIM), np.float16)
    for side in range(2):
        for layer in range(LAYERS):
            out[side, layer] = np.roll(numbers, side * LAYERS + layer, axis=1)
    return out


class LarderWorker:
    def __init__(self, directory, larderd):
        sys.path.insert(0, os.path.join(ROOT, "client", "python"))
        import make_stubs
        make_stubs.make()
        import larder
        from larder.local import LocalKv
        self.larder, self.daemons, self.local, self.clients = larder, {}, {}, {}
        for where, pool in POOL_MIB.items():
            base = os.path.join(directory, f"larder-{where}")
            os.makedirs(base)
            self.daemons[where] = subprocess.Popen(
                [larderd, "--db", os.path.join(base, "db"), "--create", "--listen", "127.0.0.1:0", "--port-file",
                 os.path.join(base, "port"), "--kv-socket", os.path.join(base, "kv"), "--kv-pool-mb", str(pool)],
                stdout=sys.stderr)
            while not os.path.exists(os.path.join(base, "port")):
                if self.daemons[where].poll() is not None:
                    raise SystemExit("lmcache_kv: larderd ended")
                time.sleep(0.02)
            with open(os.path.join(base, "port"), encoding="utf-8") as file:
                self.clients[where] = larder.Client(file.read().strip())
            self.local[where] = LocalKv(os.path.join(base, "kv"))
        profile = larder.KvProfile(model="smollm2-shape", layers=LAYERS, kv_heads=HEADS, head_dim=DIM, dtype="f16")
        self.profile = [client.kv.register_profile(profile) for client in self.clients.values()][0]

    def key(self, entry):
        return self.larder.KvKey(self.profile, tokens_of(entry))

    def put(self, entry, tensor):
        layers = [(tensor[0, i].reshape(TOKENS, HEADS, DIM), tensor[1, i].reshape(TOKENS, HEADS, DIM))
                  for i in range(LAYERS)]
        for client in self.clients.values():
            client.kv.put(self.key(entry), layers)

    def get(self, way, entry, out):
        where = "memory" if way == "view" else way
        lease = self.local[where].acquire([self.key(entry)])[0]
        if isinstance(lease, Exception):
            raise lease
        rows = out.reshape(2, LAYERS, TOKENS, HEADS, DIM)
        with lease:
            for layer in range(LAYERS):
                k, v = lease.layer(layer)
                if way != "view":
                    rows[0, layer], rows[1, layer] = k, v
            lease.check()

    def close(self):
        for daemon in self.daemons.values():
            daemon.terminate()
            daemon.wait()


class LmcacheWorker:
    def __init__(self, directory):
        import torch
        from lmcache.v1.cache_engine import LMCacheEngineBuilder
        from lmcache.v1.config import LMCacheEngineConfig
        from lmcache.v1.gpu_connector.mock_gpu_connector import MockGPUConnector
        from lmcache.v1.metadata import LMCacheMetadata
        self.torch = torch
        torch.set_num_threads(1)
        shape = (LAYERS, 2, TOKENS, HEADS, DIM)

        class Copying(MockGPUConnector):
            """Its memory objects are [K|V][layer][token][head * dim]."""

            def get_shape(self, num_tokens=None):
                return torch.Size([2, LAYERS, num_tokens or TOKENS, HEADS * DIM])

            def batched_from_gpu(self, memory_objs, starts, ends, **kwargs):
                for memory, start, end in zip(memory_objs, starts, ends, strict=True):
                    memory.tensor.copy_(kwargs["buffer"][:, :, start:end])

            def batched_to_gpu(self, memory_objs, starts, ends, **kwargs):
                for memory, start, end in zip(memory_objs, starts, ends, strict=True):
                    tensor = memory.tensor
                    if kwargs["buffer"] is not None:
                        kwargs["buffer"][:, :, start:end].copy_(tensor)

        self.engines = {}
        for where in POOL_MIB:
            settings = dict(chunk_size=TOKENS, local_cpu=where == "memory", max_local_cpu_size=1.0)
            if where == "disk":
                settings |= dict(local_disk=os.path.join(directory, "lmcache"), max_local_disk_size=4.0,
                                 extra_config={"use_odirect": True})
            metadata = LMCacheMetadata(model_name="smollm2-shape", world_size=1, local_world_size=1, worker_id=0,
                                       local_worker_id=0, kv_dtype=torch.float16, kv_shape=shape, chunk_size=TOKENS)
            engine = LMCacheEngineBuilder.get_or_create(
                where, LMCacheEngineConfig.from_defaults(**settings), metadata, Copying(shape),
                lambda tensor, source: tensor, lambda item, source: item)
            engine.post_init()
            self.engines[where] = engine

    def put(self, entry, tensor):
        for engine in self.engines.values():
            engine.store(self.torch.tensor(tokens_of(entry)), buffer=self.torch.from_numpy(tensor))
            for _ in range(2_000):  # to disk in the background
                if engine.lookup(self.torch.tensor(tokens_of(entry))) == TOKENS:
                    break
                time.sleep(0.005)

    def get(self, way, entry, out):
        buffer = None if way == "view" else self.torch.from_numpy(out)
        engine = self.engines["memory" if way == "view" else way]
        found = engine.retrieve(self.torch.tensor(tokens_of(entry)), buffer=buffer)
        if int(found.sum()) != TOKENS:
            raise SystemExit(f"lmcache_kv: LMCache found {int(found.sum())} tokens of entry {entry}: {way}")

    def close(self):
        for engine in self.engines.values():
            engine.close()


class FloorWorker:
    def __init__(self, directory):
        self.base = os.path.join(directory, "floor")
        os.makedirs(self.base)
        self.entries, self.files = [], []

    def put(self, entry, tensor):
        self.entries.append(tensor)
        path = os.path.join(self.base, str(entry))
        with open(path, "wb") as file:
            file.write(tensor)
            os.fsync(file.fileno())
        self.files.append(os.open(path, os.O_RDONLY | os.O_DIRECT))

    def buffer(self, like):
        """What a direct read can be made into: of whole pages."""
        import numpy as np
        return np.frombuffer(mmap.mmap(-1, like.nbytes), like.dtype).reshape(like.shape)

    def get(self, way, entry, out):
        if way == "memory":
            out[:] = self.entries[entry]
        elif way == "disk" and os.preadv(self.files[entry], [out], 0) != out.nbytes:
            raise SystemExit(f"lmcache_kv: a short direct read of entry {entry}")

    def close(self):
        for file in self.files:
            os.close(file)


WORKERS = {"larder": lambda options: LarderWorker(options.directory, options.larderd),
           "lmcache": lambda options: LmcacheWorker(options.directory),
           "floor": lambda options: FloorWorker(options.directory)}


def work(options):
    """Answers each line, one of WAYS, by the milliseconds of each entry; what is logged goes to standard error."""
    import numpy as np
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with contextlib.ExitStack() as stack:
        worker = WORKERS[options.worker](options)
        stack.callback(worker.close)
        for entry in range(options.entries):
            worker.put(entry, tensor_of(entry))
        out = np.empty((2, LAYERS, TOKENS, HEADS * DIM), np.float16)
        if options.worker == "floor":
            out = worker.buffer(out)
        for where in POOL_MIB:
            for entry in range(options.entries):
                out.fill(0)
                worker.get(where, entry, out)
                if not np.array_equal(out, tensor_of(entry)):
                    raise SystemExit(f"lmcache_kv: {options.worker} gave other numbers for entry {entry} from {where}")
        print("ready", file=replies, flush=True)
        for line in sys.stdin:
            times = []
            for entry in range(options.entries):
                start = time.perf_counter()
                worker.get(line.strip(), entry, out)
                times.append((time.perf_counter() - start) * 1e3)
            print(json.dumps(times), file=replies, flush=True)


def start(name, python, options, directory):
    process = subprocess.Popen(
        [python, os.path.abspath(__file__), "--worker", name, "--directory", directory, "--larderd", options.larderd,
         "--entries", str(options.entries)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        stderr=open(os.path.join(directory, f"{name}.log"), "w", encoding="utf-8"))
    if process.stdout.readline() != "ready\n":
        process.wait()
        with open(os.path.join(directory, f"{name}.log"), encoding="utf-8") as log:
            raise SystemExit(f"lmcache_kv: {name} failed:\n{log.read()[-2000:]}")
    return process


def compare(options, directory):
    workers = {"larder": start("larder", LARDER_PYTHON, options, directory),
               "lmcache": start("lmcache", options.lmcache_python, options, directory),
               "floor": start("floor", LARDER_PYTHON, options, directory)}
    times = {(way, name): [] for way in WAYS for name in workers}
    for _ in range(options.passes):
        for way in WAYS:
            for name, worker in workers.items():
                worker.stdin.write(f"{way}\n")
                worker.stdin.flush()
                times[way, name].append(statistics.median(json.loads(worker.stdout.readline())))
    for worker in workers.values():
        worker.stdin.close()
        worker.wait()
    return {key: statistics.median(passes) for key, passes in times.items()}


def main():
    options = parser().parse_args()
    if options.setup:
        return setup()
    if options.worker:
        return work(options)
    with tempfile.TemporaryDirectory() as directory:
        medians = compare(options, directory)
    mib = 2 * LAYERS * TOKENS * HEADS * DIM * 2 / 2**20
    if not options.json:
        print(f"one entry of {mib:.1f} MiB, medians of {options.passes} passes over {options.entries} entries in turn")
        for way in WAYS:
            ours, theirs = medians[way, "larder"], medians[way, "lmcache"]
            floor = "" if way == "view" else f"   floor {medians[way, 'floor']:7.2f} ms"
            print(f"{way:8} Larder {ours:7.2f} ms   LMCache {theirs:7.2f} ms   {theirs / ours:5.2f} x{floor}")
    print(json.dumps({f"{way}_{name}_ms": round(value, 3) for (way, name), value in medians.items()
                      if (way, name) != ("view", "floor")} |
                     {f"{way}_speedup": round(medians[way, "lmcache"] / medians[way, "larder"], 3) for way in WAYS}))
    return None


if __name__ == "__main__":
    sys.exit(main())

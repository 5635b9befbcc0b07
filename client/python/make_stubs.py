#!/usr/bin/env python3
"""Makes larder/v1/*_pb2.py from proto/larder/v1 with grpcio-tools, unless they are newer than both.

    client/python/make_stubs.py [DIRECTORY]      default: beside this file, where git ignores them
"""
import os
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
PROTO = os.path.join(HERE, "..", "..", "proto")
PACKAGE = os.path.join("larder", "v1")
STAMP = "__init__.py"  # comes last


def sources():
    folder = os.path.join(PROTO, PACKAGE)
    return sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".proto"))


def fresh(out):
    stamp = os.path.join(out, PACKAGE, STAMP)
    newest = max(map(os.path.getmtime, [*sources(), __file__]))
    return os.path.exists(stamp) and os.path.getmtime(stamp) > newest


def make(out=HERE):
    """Each file appears whole: others may import them meanwhile. RuntimeError if protoc refuses."""
    if fresh(out):
        return
    import grpc_tools
    from grpc_tools import protoc
    well_known = os.path.join(os.path.dirname(grpc_tools.__file__), "_proto")
    os.makedirs(os.path.join(out, PACKAGE), exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix="stubs.") as made:
        code = protoc.main(["protoc", f"-I{PROTO}", f"-I{well_known}", f"--python_out={made}", f"--pyi_out={made}",
                            f"--grpc_python_out={made}", *sources()])
        if code != 0:
            raise RuntimeError(f"protoc ended with {code}")
        names = sorted(os.listdir(os.path.join(made, PACKAGE)))
        with open(os.path.join(made, PACKAGE, STAMP), "w", encoding="utf-8") as file:
            file.write('"""Made by make_stubs.py."""\n')
        for name in [*names, STAMP]:
            os.replace(os.path.join(made, PACKAGE, name), os.path.join(out, PACKAGE, name))


if __name__ == "__main__":
    make(*sys.argv[1:2])

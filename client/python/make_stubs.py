#!/usr/bin/env python3
"""Makes larder/v1/*_pb2.py from proto/larder/v1 with grpcio-tools, unless they are newer than both.

    client/python/make_stubs.py [DIRECTORY]      default: beside this file, where git ignores them
"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
PROTO = os.path.join(HERE, "..", "..", "proto")
PACKAGE = os.path.join("larder", "v1")


def sources():
    folder = os.path.join(PROTO, PACKAGE)
    return sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".proto"))


def fresh(out):
    stamp = os.path.join(out, PACKAGE, "__init__.py")  # written last
    newest = max(map(os.path.getmtime, [*sources(), __file__]))
    return os.path.exists(stamp) and os.path.getmtime(stamp) > newest


def make(out=HERE):
    """Raises RuntimeError if the protocol compiler refuses."""
    if fresh(out):
        return
    import grpc_tools
    from grpc_tools import protoc
    folder = os.path.join(out, PACKAGE)
    os.makedirs(folder, exist_ok=True)
    well_known = os.path.join(os.path.dirname(grpc_tools.__file__), "_proto")
    code = protoc.main(["protoc", f"-I{PROTO}", f"-I{well_known}", f"--python_out={out}", f"--pyi_out={out}",
                        f"--grpc_python_out={out}", *sources()])
    if code != 0:
        raise RuntimeError(f"protoc ended with {code}")
    with open(os.path.join(folder, "__init__.py"), "w", encoding="utf-8") as file:
        file.write('"""Made by make_stubs.py."""\n')


if __name__ == "__main__":
    make(*sys.argv[1:2])

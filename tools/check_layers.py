#!/usr/bin/env python3
"""Checks that includes go one way and that files stay small. CTest runs it as `layers`.

    tools -> rpc -> engine -> index -> storage        rpc, client -> proto        tests -> anything

Prints one line a violation, `file:line: what is wrong`, and exits 1 if there is any.
"""
import os
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')
PUBLIC_LIST = re.compile(r"set\(LARDER_PUBLIC_HEADERS([^)]*)\)")

# What each room may include, besides itself.
ALLOWED = {
    "storage": set(),
    "index": set(),  # and STORAGE_FOR_INDEX
    "engine": {"index", "storage"},
    "proto": set(),  # and VALUE_HEADERS
    "client": {"proto"},  # and VALUE_HEADERS
    "rpc": {"proto", "engine", "index", "storage"},
    "tools": {"rpc", "client", "proto", "engine", "index", "storage"},
    "tests": {"tools", "rpc", "client", "proto", "engine", "index", "storage"},
}
# The narrow part of storage that index sees: bytes, checksums, files, extents, the batch of a commit.
STORAGE_FOR_INDEX = {f"storage/{name}.h" for name in
                     ("coding", "crc32c", "posix_file", "status_macros", "extent_store", "store")}
# Plain values: whoever speaks the protocol may use them.
# (database.h: VerifyReport, BackupInfo, DatabaseStats.)
# (utf8.h, kv_codec.h, decode_plan.h, pool/segment_*.h: leaf libraries of their own.)
VALUE_HEADERS = {"engine/types.h", "engine/kv_types.h", "engine/kv_stats.h", "engine/options.h",
                 "engine/database.h", "engine/utf8.h", "engine/kv_codec.h", "engine/kv/codec/decode_plan.h",
                 "engine/kv/pool/segment_layout.h", "engine/kv/pool/segment_map.h"}
# Two macros over absl, until absl has its own.
ANYWHERE = {"storage/status_macros.h"}
# A third-party library stays behind the room that wraps it. Tests may include anything.
WRAPPED = {
    "rocksdb/": {"storage"},
    "hnswlib/": {"index", "tools"},  # tools/bench compares with it
    "faiss/": {"index", "tools"},
    "openvino/": {"engine"},
    "grpc/": {"proto", "rpc", "client"},
    "grpcpp/": {"proto", "rpc", "client"},
}
# Lines that are not blank. An -inl.h and a test's support hold code, as a .cc does.
CEILING = {".cc": 400, "-inl.h": 400, "_test_support.h": 400, ".h": 150}


def public_headers(root):
    """The public headers' paths, as the top CMakeLists.txt lists them."""
    with open(os.path.join(root, "CMakeLists.txt"), encoding="utf-8") as file:
        match = PUBLIC_LIST.search(file.read())
    if not match:
        raise SystemExit("check_layers: CMakeLists.txt sets no LARDER_PUBLIC_HEADERS")
    return match.group(1).split()


def sources(root):
    for room in ALLOWED:
        for folder, _, names in os.walk(os.path.join(root, room)):
            for name in sorted(names):
                if name.endswith(tuple(CEILING)):
                    yield os.path.relpath(os.path.join(folder, name), root)


def resolve(include, public):
    """Path in the tree that an include names, or None for a foreign header."""
    if include.endswith(".pb.h"):  # generated
        return "proto/" + os.path.basename(include)
    if include.startswith("larder/"):
        by_name = {os.path.basename(path): path for path in public}
        return by_name.get(include[len("larder/"):], include)
    return include if include.split("/")[0] in ALLOWED and "/" in include else None


def why_forbidden(path, include, public):
    """Why `path` must not include `include`; None if it may."""
    room = path.split("/")[0]
    is_test = path.endswith("_test.cc") or room == "tests"
    target = resolve(include, public)
    if path in public:
        if target is None and "/" in include and not include.startswith("absl/"):
            return f"public header includes {include}: only the standard library, absl and <larder/...>"
        if target is not None and target not in public:
            return f"public header includes {include}, which is private"
    if target is None:
        for prefix, rooms in WRAPPED.items():
            if include.startswith(prefix) and room not in rooms and not is_test:
                return f"{include} is wrapped by {', '.join(sorted(rooms))}; {room} must not see it"
        return None
    if include.startswith("larder/") and target == include:
        return f"{include} is no public header"
    target_room = target.split("/")[0]
    if target.startswith("tests/support/"):
        return None if is_test else f"{include}: only *_test.cc may include tests/support/"
    if target_room == room or target_room in ALLOWED[room] or target in ANYWHERE:
        return None
    if room == "index" and target in STORAGE_FOR_INDEX:
        return None
    if room in ("proto", "client") and target in VALUE_HEADERS:
        return None
    return f"{room} must not include {include}"


def check(root):
    """All violations in the tree at `root`, each as `file:line: what`."""
    public = public_headers(root)
    found = [f"CMakeLists.txt:1: public header {path} does not exist"
             for path in public if not os.path.exists(os.path.join(root, path))]
    for path in sources(root):
        with open(os.path.join(root, path), encoding="utf-8") as file:
            lines = file.read().splitlines()
        ceiling = next(CEILING[ending] for ending in CEILING if path.endswith(ending))
        length = sum(1 for line in lines if line.strip())
        if length > ceiling:
            found.append(f"{path}:{len(lines)}: {length} lines that are not blank, at most {ceiling}")
        for number, line in enumerate(lines, 1):
            match = INCLUDE.match(line)
            reason = match and why_forbidden(path, match.group(1), public)
            if reason:
                found.append(f"{path}:{number}: {reason}")
    return found


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "..")
    found = check(root)
    for line in found:
        print(line)
    print(f"check_layers: {len(found)} violations in {sum(1 for _ in sources(root))} files")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Shows that check_layers accepts a good tree and names each fault of a bad one."""
import os
import tempfile
import unittest

import check_layers

TOP = "set(LARDER_PUBLIC_HEADERS engine/types.h engine/kv_types.h engine/options.h\n    client/client.h)\n"
GOOD = {
    "CMakeLists.txt": TOP,
    "engine/types.h": "#include <string>\n",
    "engine/kv_types.h": "#include <vector>\n",
    "engine/options.h": '#include "absl/status/status.h"\n#include "larder/types.h"\n',
    "client/client.h": '#include "larder/options.h"\n',
    "client/client.cc": '#include "storage/status_macros.h"\n#include "proto/larder.grpc.pb.h"\n#include "grpcpp/grpcpp.h"\n',
    "storage/store.cc": '#include "rocksdb/db.h"\n#include "storage/store.h"\n',
    "storage/store.h": "",
    "storage/store_test.cc": '#include "tests/support/temp_dir.h"\n',
    "index/tree.cc": '#include "storage/store.h"\n#include "index/kernels/dot.h"\n',
    "engine/query.cc": '#include "index/flat.h"\n#include "storage/store.h"\n#include "openvino/openvino.hpp"\n',
    "rpc/service.cc": '#include "larder/types.h"\n#include "engine/filter.h"\n#include "larder/v1/kv.pb.h"\n',
    "tools/cli.cc": '#include "rpc/server.h"\n#include "larder/client.h"\n',
    "tests/crash_test.cc": '#include "storage/store.h"\n#include "rocksdb/db.h"\n#include "tests/support/a.h"\n',
}
# Changed files of an otherwise good tree -> text that the one violation must contain.
BAD = [
    ({"storage/a.cc": '#include "index/flat.h"\n'}, "storage/a.cc:1: storage must not include index/flat.h"),
    ({"index/a.cc": "\n#include <engine/filter.h>\n"}, "index/a.cc:2: index must not include engine/filter.h"),
    ({"index/a.cc": '#include "storage/backup.h"\n'}, "index must not include storage/backup.h"),
    ({"index/a.h": '#include "larder/types.h"\n'}, "index must not include larder/types.h"),
    ({"engine/a.cc": '#include "rpc/server.h"\n'}, "engine must not include rpc/server.h"),
    ({"engine/a.cc": '#  include "larder/v1/kv.pb.h"\n'}, "engine must not include larder/v1/kv.pb.h"),
    ({"client/a.cc": '#include "engine/filter.h"\n'}, "client must not include engine/filter.h"),
    ({"client/a.cc": '#include "storage/coding.h"\n'}, "client must not include storage/coding.h"),
    ({"proto/a.cc": '#include "rpc/server.h"\n'}, "proto must not include rpc/server.h"),
    ({"rpc/a.cc": '#include "tools/backend.h"\n'}, "rpc must not include tools/backend.h"),
    ({"engine/a.cc": '#include "tests/support/temp_dir.h"\n'}, "only *_test.cc may include tests/support/"),
    ({"engine/a.cc": '#include "rocksdb/db.h"\n'}, "rocksdb/db.h is wrapped by storage"),
    ({"tools/a.cc": "#include <grpcpp/grpcpp.h>\n"}, "is wrapped by client, proto, rpc"),
    ({"tools/a.cc": '#include "larder/filter.h"\n'}, "larder/filter.h is no public header"),
    ({"engine/types.h": '#include "engine/filter.h"\n'}, "public header includes engine/filter.h, which is private"),
    ({"engine/types.h": "#include <roaring/roaring.hh>\n"}, "public header includes roaring/roaring.hh"),
    ({"engine/a.cc": "int a;\n" * 401}, "engine/a.cc:401: 401 lines that are not blank, at most 400"),
    ({"engine/a.h": "int a;\n" * 151}, "engine/a.h:151: 151 lines that are not blank, at most 150"),
    ({"CMakeLists.txt": TOP.replace("client/client.h", "client/client.h engine/gone.h")},
     "public header engine/gone.h does not exist"),
]


def violations(files):
    with tempfile.TemporaryDirectory() as root:
        for path, text in files.items():
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                file.write(text)
        return check_layers.check(root)


class CheckLayersTest(unittest.TestCase):
    def test_accepts_a_good_tree(self):
        self.assertEqual(violations(GOOD), [])

    def test_accepts_files_at_the_ceiling(self):
        self.assertEqual(violations({**GOOD, "engine/a.cc": "x\n\n" * 400, "engine/a.h": "x\n" * 150,
                                     "index/a-inl.h": "x\n" * 400}), [])

    def test_names_each_fault(self):
        for changed, expected in BAD:
            with self.subTest(expected):
                found = violations({**GOOD, **changed})
                self.assertEqual(len(found), 1, found)
                self.assertIn(expected, found[0])


if __name__ == "__main__":
    unittest.main()

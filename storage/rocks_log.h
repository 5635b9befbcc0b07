// RocksDB's warnings and errors, in <db>/store/LOG. RocksDB's own logger aborts the process (Debian's
// build has live asserts) at the second line that it cannot write to a full disk.
#ifndef LARDER_STORAGE_ROCKS_LOG_H_
#define LARDER_STORAGE_ROCKS_LOG_H_

#include <rocksdb/env.h>

#include <memory>
#include <string>

namespace larder::storage {

// Appends to `path`; a line that cannot be written is dropped. At 4 MiB the file becomes `path`.old.
std::shared_ptr<rocksdb::Logger> NewRocksLog(const std::string& path);
// Drops every line.
std::shared_ptr<rocksdb::Logger> NewSilentRocksLog();

}  // namespace larder::storage

#endif  // LARDER_STORAGE_ROCKS_LOG_H_

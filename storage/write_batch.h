// The inside of WriteBatch, for the store. Values carry their checksum from the moment of Put, so
// that it covers our own memory as well as RocksDB's and the disk.
#ifndef LARDER_STORAGE_WRITE_BATCH_H_
#define LARDER_STORAGE_WRITE_BATCH_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "storage/store.h"

namespace larder::storage {

enum class BatchOp : uint8_t { kPut = 0, kDelete = 1, kDeleteRange = 2 };

// `operations`: for each op, table u8, two u64 lengths, then the two strings: key and value with
// trailer, key and nothing, begin and end. Only ever in memory; the digest covers these bytes.
struct WriteBatch::Rep {
  std::string operations;
  int64_t counters[kCounterCount] = {};
};

// Walks `operations`; false at the end.
class BatchReader {
 public:
  explicit BatchReader(const WriteBatch::Rep& rep) : rest_(rep.operations) {}
  bool Next();
  BatchOp op() const { return op_; }
  Table table() const { return table_; }
  absl::string_view first() const { return first_; }
  absl::string_view second() const { return second_; }

 private:
  absl::string_view Take(size_t size);
  absl::string_view rest_, first_, second_;
  BatchOp op_ = BatchOp::kPut;
  Table table_ = Table::kMeta;
};

}  // namespace larder::storage

#endif  // LARDER_STORAGE_WRITE_BATCH_H_

// RocksDB as the store uses it: its options, and its errors in our words. For the store's own files
// only: including RocksDB is slow.
#ifndef LARDER_STORAGE_ROCKS_H_
#define LARDER_STORAGE_ROCKS_H_

#include <rocksdb/db.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "storage/store.h"

namespace larder::storage {

inline rocksdb::Slice ToSlice(absl::string_view view) { return {view.data(), view.size()}; }
inline absl::string_view ToView(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

// `what` begins the message: the operation and what it was done to.
absl::Status FromRocks(const rocksdb::Status& status, absl::string_view what);

// An open RocksDB and one handle a table. Closes in the right order.
class Rocks {
 public:
  enum class Mode { kReadOnly, kExisting, kCreate };

  // `env` may be null: the default. kReadOnly writes nothing at all.
  static absl::StatusOr<std::unique_ptr<Rocks>> Open(const std::string& directory,
                                                     const StoreOptions& options, rocksdb::Env* env,
                                                     Mode mode);
  ~Rocks();

  rocksdb::DB* db() const { return db_.get(); }
  rocksdb::ColumnFamilyHandle* handle(Table table) const { return handles_[static_cast<int>(table)]; }
  const std::vector<rocksdb::ColumnFamilyHandle*>& handles() const { return handles_; }
  const rocksdb::Cache& block_cache() const { return *block_cache_; }
  // A flush or a compaction failed for want of space; it has to be opened anew to go on.
  bool met_full_disk() const { return met_full_disk_; }
  // Makes everything in memory an SST, all tables at one point. ResourceExhausted if kReadOnly: so a
  // store is opened only after a full disk.
  absl::Status Flush();

 private:
  explicit Rocks(Mode mode) : mode_(mode) {}
  const Mode mode_;
  std::atomic<bool> met_full_disk_ = false;
  std::shared_ptr<rocksdb::Cache> block_cache_;
  std::unique_ptr<rocksdb::DB> db_;
  std::vector<rocksdb::ColumnFamilyHandle*> handles_;
};

}  // namespace larder::storage

#endif  // LARDER_STORAGE_ROCKS_H_

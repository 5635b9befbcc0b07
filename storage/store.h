// The store: RocksDB behind a narrow interface of named tables (column families), one numbered
// commit per logical change, and the commit mark that notices lost commits (FORMAT.md).
//
// Every value carries a crc32c of its own, appended at Put and checked at every read: a mismatch is
// DataLoss naming table and key. Keys are compared as bytes.
#ifndef LARDER_STORAGE_STORE_H_
#define LARDER_STORAGE_STORE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace larder::storage {

// Each is a RocksDB column family; schema.h says what keys and values each holds. The numbers are
// part of the format: append only.
enum class Table : uint8_t {
  kMeta = 0,        // the commit record, allocator high-water marks
  kCatalog = 1,     // collections, KV profiles
  kDocuments = 2,   // (collection, tenant, id) -> document record
  kSources = 3,     // (collection, tenant, id) -> the document's text
  kChunks = 4,      // (collection, vid) -> chunk record
  kVectors = 5,     // (collection, space, vid) -> f32[dimension]
  kFields = 6,      // (collection, field, value, vid) -> empty: the inverted metadata index
  kTombstones = 7,  // (collection, vid) -> empty: deleted since the last index snapshot
  kExpiry = 8,      // (collection, expires_at_ms, tenant, id) -> empty
  kKvEntries = 9,   // (tenant, profile, token hash) -> KV entry record
  kKvOwners = 10,   // (collection, vid, entry key) and its inverse -> empty
  kExtents = 11,    // (file, offset) -> extent record
  kTree = 12,       // (space, tenant, tag, ...) -> a disk index's nodes, postings, deltas; since format 2
};
inline constexpr int kTableCount = 13;
absl::string_view TableName(Table table);

// Counters that each commit carries along, so that Count() is O(1) and verify has something to hold
// the rows against.
enum class Counter : uint8_t { kDocuments = 0, kChunks = 1, kKvEntries = 2, kExtents = 3 };
inline constexpr int kCounterCount = 4;

// A logical change: applied whole or not at all. Thread-compatible; movable.
class WriteBatch {
 public:
  WriteBatch();
  ~WriteBatch();
  WriteBatch(WriteBatch&&) noexcept;
  WriteBatch& operator=(WriteBatch&&) noexcept;

  void Put(Table table, absl::string_view key, absl::string_view value);
  void Delete(Table table, absl::string_view key);
  // [begin, end)
  void DeleteRange(Table table, absl::string_view begin, absl::string_view end);
  void Count(Counter counter, int64_t delta);
  void Append(const WriteBatch& other);
  bool empty() const;
  size_t bytes() const;

  struct Rep;
  Rep& rep() { return *rep_; }
  const Rep& rep() const { return *rep_; }

 private:
  std::unique_ptr<Rep> rep_;
};

struct StoreOptions {
  bool create_if_missing = false;
  bool error_if_exists = false;
  bool accept_data_loss = false;  // open behind the commit mark, and make what is left the truth
  uint64_t block_cache_bytes = 64ull << 20;
  uint64_t write_buffer_bytes = 64ull << 20;
  absl::Duration mark_interval = absl::Seconds(1);
  absl::Status Validate() const;
};

// A consistent view; reads through it see one commit. Must not outlive its store.
class Snapshot {
 public:
  virtual ~Snapshot() = default;
};

// Forward iteration over one table's keys that begin with a prefix. Values are checked when read.
class Iterator {
 public:
  virtual ~Iterator() = default;
  virtual bool Valid() const = 0;                // false at the end of the prefix, or on error
  virtual void Seek(absl::string_view key) = 0;  // first key >= key
  virtual void Next() = 0;
  virtual absl::string_view key() const = 0;  // valid until Next
  virtual absl::StatusOr<absl::string_view> value() const = 0;
  virtual absl::Status status() const = 0;  // ask at the end: corruption ends iteration early
};

struct CommitState {
  uint64_t commit = 0;  // number of the last commit, 0 = none yet
  uint64_t digest = 0;  // chained over every batch
  int64_t counters[kCounterCount] = {};
};

struct StoreStats {
  uint64_t disk_bytes = 0;
  uint64_t memory_bytes = 0;  // memtables, block cache, table readers
};

// Thread-safe, but for Close() and the destructor: they must come last, after every other call has
// returned and every iterator and snapshot is gone.
class Store {
 public:
  // `directory` is the database's: FORMAT, COMMITTED, LOCK and store/ live in it. NotFound if there
  // is no database (and none may be created), Unavailable if another holds it, FailedPrecondition
  // for a later format, DataLoss if it is damaged or behind its commit mark.
  static absl::StatusOr<std::unique_ptr<Store>> Open(absl::string_view directory,
                                                     const StoreOptions& options);
  virtual ~Store() = default;
  virtual absl::Status Close() = 0;  // writes the mark; idempotent; then all but this fails
  virtual const std::string& directory() const = 0;

  // Commits `batch`; returns its commit number. Concurrent callers share one sync (group commit).
  // After an I/O error nothing more is acknowledged until the store recovers: ResourceExhausted
  // for a full disk (heals by itself when space is freed), Unavailable otherwise.
  virtual absl::StatusOr<uint64_t> Write(WriteBatch batch, bool sync = true) = 0;

  // NotFound if absent. `snapshot` may be null: the newest state.
  virtual absl::StatusOr<std::string> Get(Table table, absl::string_view key,
                                          const Snapshot* snapshot = nullptr) const = 0;
  // One result a key, in order.
  virtual std::vector<absl::StatusOr<std::string>> MultiGet(Table table, absl::Span<const std::string> keys,
                                                            const Snapshot* snapshot = nullptr) const = 0;
  // Starts at the first key of `prefix`. An empty prefix is the whole table.
  virtual std::unique_ptr<Iterator> NewIterator(Table table, absl::string_view prefix,
                                                const Snapshot* snapshot = nullptr) const = 0;
  virtual std::unique_ptr<Snapshot> GetSnapshot() const = 0;

  virtual CommitState state() const = 0;
  virtual absl::StatusOr<CommitState> StateAt(const Snapshot& snapshot) const = 0;
  virtual StoreStats Stats() const = 0;
  virtual absl::Status Compact() = 0;
  // Writes the commit mark now (it is also written every mark_interval and at Close).
  virtual absl::Status WriteMark() = 0;

  // Reads every record of every table under one snapshot; checks RocksDB's checksums and ours.
  // `record` sees each good one; problems are appended, each naming file, or table and key. Returns
  // the number of good records; comparing them with the counters is the caller's.
  using RecordVisitor = std::function<void(Table, absl::string_view key, absl::string_view value)>;
  virtual absl::StatusOr<uint64_t> Verify(const RecordVisitor& record,
                                          std::vector<std::string>* problems) const = 0;

  // A hard-linked (where possible) copy of store/, FORMAT and COMMITTED in `target`, which must not
  // exist. `while_held` (may be null) runs while commits are held back, for files that must match
  // (extents); it may read the store, but a Write or WriteMark from it would wait for itself.
  virtual absl::Status Checkpoint(absl::string_view target,
                                  const std::function<absl::Status()>& while_held) = 0;
};

}  // namespace larder::storage

#endif  // LARDER_STORAGE_STORE_H_

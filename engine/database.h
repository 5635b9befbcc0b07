// The database: one directory, one process that writes.
//
//   auto db = larder::Database::Open("pantry", {.create_if_missing = true});
//   auto docs = (*db)->CreateCollection("docs", {});
//   docs->Upsert({.id = "1", .text = "Carrots keep for months in damp sand."});
//   auto reply = docs->Search({.text = "how do I store root vegetables?"});
#ifndef LARDER_DATABASE_H_
#define LARDER_DATABASE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "larder/collection.h"
#include "larder/kv.h"
#include "larder/options.h"

namespace larder {

class DatabaseImpl;

struct VerifyReport {
  uint64_t records = 0;       // store records read and checked
  uint64_t extents = 0;       // extents whose checksum was recomputed
  uint64_t index_entries = 0; // vectors compared between store and index
  std::vector<std::string> problems;  // empty = clean; each names what, where, expected, found
};

struct BackupInfo {
  uint64_t id = 0;
  int64_t created_ms = 0;
  uint64_t bytes = 0;
  uint64_t commit = 0;  // the last commit it holds
  std::string problem;  // not empty: it cannot be restored, and why; only `id` is known
};

struct DatabaseStats {
  uint64_t commit = 0;
  uint64_t collections = 0;
  uint64_t documents = 0, chunks = 0, kv_entries = 0;
  uint64_t store_bytes = 0, extent_bytes = 0, extent_live_bytes = 0, index_bytes = 0;  // on disk
  uint64_t resident_index_bytes = 0;  // vectors, graphs, centroids; what a tree has not folded yet
  uint64_t resident_directory_bytes = 0;  // which document a chunk is of
  uint64_t resident_store_bytes = 0;      // block cache, write buffers, table readers
  uint64_t memory_bytes = 0;              // OpenOptions::memory_bytes
};

// Thread-safe. Close() (or the destructor) waits for calls in flight, takes index snapshots and
// writes the commit mark.
class Database {
 public:
  // Unavailable if another process holds it, NotFound if absent, DataLoss if the store is behind
  // its commit mark or damaged, FailedPrecondition for a format this version does not read.
  static absl::StatusOr<std::unique_ptr<Database>> Open(absl::string_view path,
                                                        const OpenOptions& options = {});
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  absl::Status Close();

  absl::StatusOr<Collection> CreateCollection(absl::string_view name, const CollectionOptions& options);
  absl::StatusOr<Collection> GetCollection(absl::string_view name) const;
  std::vector<std::string> ListCollections() const;
  // Removes its documents, vectors and KV in one transaction.
  absl::Status DropCollection(absl::string_view name);

  KvCache& kv();

  absl::StatusOr<DatabaseStats> Stats() const;
  // Reads everything and compares it: record checksums, extents, pointers, index entries. Takes
  // time in proportion to the data; writes wait for it only while an index is compared.
  absl::StatusOr<VerifyReport> Verify() const;
  // Compacts the store, folds tombstones out of the indexes, collects extent garbage.
  absl::Status Compact();

  // A consistent copy taken while reads and writes go on. `directory` keeps any number of backups.
  absl::StatusOr<BackupInfo> Backup(absl::string_view directory) const;
  static absl::StatusOr<std::vector<BackupInfo>> ListBackups(absl::string_view directory);
  // `path` must not exist; id 0 = the newest. Every file is checked before it is used.
  static absl::Status Restore(absl::string_view directory, absl::string_view path, uint64_t id = 0);

 private:
  explicit Database(std::unique_ptr<DatabaseImpl> impl);
  std::unique_ptr<DatabaseImpl> impl_;
};

}  // namespace larder

#endif  // LARDER_DATABASE_H_

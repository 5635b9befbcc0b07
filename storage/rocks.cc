#include "storage/rocks.h"

#include <rocksdb/cache.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/posix_file.h"
#include "storage/rocks_log.h"
#include "storage/schema.h"
#include "storage/status_macros.h"

namespace larder::storage {
namespace {

// Notes that a flush or a compaction found the disk full, and keeps RocksDB from recovering by itself:
// its recovery, automatic or by Resume(), may wait for ever for a flush that failed (seen with 7.8.3).
class FullDiskListener final : public rocksdb::EventListener {
 public:
  explicit FullDiskListener(std::atomic<bool>* met) : met_(*met) {}
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status status,
                            bool* auto_recovery) override {
    if (status.IsNoSpace()) met_ = true;
    *auto_recovery = false;
  }

 private:
  std::atomic<bool>& met_;
};

rocksdb::DBOptions DatabaseOptions(const std::string& directory, const StoreOptions& options,
                                   rocksdb::Env* env, Rocks::Mode mode) {
  rocksdb::DBOptions db;
  db.env = env;
  db.create_if_missing = db.create_missing_column_families = mode == Rocks::Mode::kCreate;
  db.paranoid_checks = true;
  // A manifest that lost its tail is then an older state of all tables at once, which the commit
  // mark recognises; and so is a log: recovery stops at the first hole.
  db.atomic_flush = true;
  db.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  db.db_write_buffer_size = options.write_buffer_bytes;
  db.max_total_wal_size = 4 * options.write_buffer_bytes;
  db.max_background_jobs = 2;
  db.max_open_files = 512;
  db.max_file_opening_threads = 2;
  db.bytes_per_sync = db.wal_bytes_per_sync = 1 << 20;
  db.skip_stats_update_on_db_open = true;
  db.stats_dump_period_sec = db.stats_persist_period_sec = 0;
  db.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;
  if (mode == Rocks::Mode::kReadOnly) {
    db.info_log = NewSilentRocksLog();
  } else {
    db.info_log = NewRocksLog(JoinPath(directory, "LOG"));
  }
  return db;
}

rocksdb::ColumnFamilyOptions TableOptions(const TableTraits& traits, const StoreOptions& options,
                                          const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::BlockBasedTableOptions blocks;
  blocks.block_cache = cache;
  blocks.block_size = 16 << 10;
  blocks.cache_index_and_filter_blocks = true;
  blocks.pin_l0_filter_and_index_blocks_in_cache = true;
  blocks.format_version = 5;
  if (traits.point_lookups) blocks.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));

  rocksdb::ColumnFamilyOptions table;
  table.table_factory.reset(rocksdb::NewBlockBasedTableFactory(blocks));
  table.write_buffer_size = options.write_buffer_bytes;
  table.max_write_buffer_number = 4;  // a burst goes on while two flushes are under way
  table.level_compaction_dynamic_level_bytes = true;
  table.compression =
      traits.compression == Compression::kNone ? rocksdb::kNoCompression : rocksdb::kLZ4Compression;
  if (traits.compression == Compression::kCompact) table.bottommost_compression = rocksdb::kZSTD;
  return table;
}

// Whether an older format's database lacks tables, and nothing else: those are at the end of kTables.
bool LacksNewTables(const rocksdb::DBOptions& options, const std::string& directory, size_t* present) {
  std::vector<std::string> names;
  *present = kTableCount;
  if (!rocksdb::DB::ListColumnFamilies(options, directory, &names).ok()) return false;  // opening says why
  const auto has = [&](const TableTraits& traits) {
    return std::find(names.begin(), names.end(), traits.name) != names.end();
  };
  size_t found = 0;
  while (found < kTableCount && has(kTables[found])) ++found;
  for (size_t i = found; i < kTableCount; ++i) {
    if (kTables[i].since == 1 || has(kTables[i])) return false;  // damage
  }
  *present = found;
  return found < kTableCount;
}

}  // namespace

absl::Status FromRocks(const rocksdb::Status& status, absl::string_view what) {
  if (status.ok()) return absl::OkStatus();
  const std::string message = absl::StrCat(what, ": ", status.ToString());
  switch (status.code()) {
    case rocksdb::Status::kNotFound:
      return absl::NotFoundError(message);
    case rocksdb::Status::kCorruption:
      return absl::DataLossError(message);
    case rocksdb::Status::kInvalidArgument:
      return absl::InvalidArgumentError(message);
    case rocksdb::Status::kNotSupported:
      return absl::UnimplementedError(message);
    case rocksdb::Status::kIOError:
      return status.IsNoSpace() ? absl::ResourceExhaustedError(message) : absl::UnavailableError(message);
    case rocksdb::Status::kBusy:
    case rocksdb::Status::kTimedOut:
    case rocksdb::Status::kTryAgain:
    case rocksdb::Status::kIncomplete:
    case rocksdb::Status::kShutdownInProgress:
      return absl::UnavailableError(message);
    case rocksdb::Status::kAborted:
      return status.IsMemoryLimit() ? absl::ResourceExhaustedError(message) : absl::UnavailableError(message);
    default:
      return absl::InternalError(message);
  }
}

absl::StatusOr<std::unique_ptr<Rocks>> Rocks::Open(const std::string& directory, const StoreOptions& options,
                                                   rocksdb::Env* env, Mode mode) {
  if (env == nullptr) env = rocksdb::Env::Default();
  std::unique_ptr<Rocks> rocks(new Rocks(mode));
  rocks->block_cache_ = rocksdb::NewLRUCache(options.block_cache_bytes);
  std::vector<rocksdb::ColumnFamilyDescriptor> tables;
  for (const TableTraits& traits : kTables) {
    tables.emplace_back(std::string(traits.name), TableOptions(traits, options, rocks->block_cache_));
  }
  rocksdb::DBOptions db_options = DatabaseOptions(directory, options, env, mode);
  size_t present;
  if (mode != Mode::kCreate && LacksNewTables(db_options, directory, &present)) {
    if (mode == Mode::kReadOnly) tables.resize(present);
    db_options.create_missing_column_families = mode == Mode::kExisting;
  }
  db_options.listeners.push_back(std::make_shared<FullDiskListener>(&rocks->met_full_disk_));
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status =
      mode == Mode::kReadOnly
          ? rocksdb::DB::OpenForReadOnly(db_options, directory, tables, &rocks->handles_, &db)
          : rocksdb::DB::Open(db_options, directory, tables, &rocks->handles_, &db);
  rocks->db_.reset(db);
  if (status.ok()) return rocks;
  const std::string what = absl::StrCat("open the store in ", directory);
  // A table or file that is not there is damage, whatever RocksDB calls it.
  if (mode != Mode::kCreate &&
      (status.IsInvalidArgument() || status.IsNotFound() || status.IsPathNotFound())) {
    return absl::DataLossError(absl::StrCat(what, ": ", status.ToString()));
  }
  return FromRocks(status, what);
}

Rocks::~Rocks() {
  if (db_ == nullptr) return;
  for (rocksdb::ColumnFamilyHandle* handle : handles_)
    db_->DestroyColumnFamilyHandle(handle).PermitUncheckedError();
  db_->Close().PermitUncheckedError();
}

absl::Status Rocks::Flush() {
  // RocksDB itself would wait for ever (7.8.3).
  if (mode_ == Mode::kReadOnly) return absl::ResourceExhaustedError("flush the store: the disk is full");
  return FromRocks(db_->Flush(rocksdb::FlushOptions(), handles_), "flush the store");
}

}  // namespace larder::storage

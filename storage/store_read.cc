// How the store reads: points, prefixes, snapshots.
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/coding.h"
#include "storage/schema.h"
#include "storage/status_macros.h"
#include "storage/store_impl.h"
#include "storage/value_trailer.h"

namespace larder::storage {
namespace {

class RocksSnapshot final : public Snapshot {
 public:
  explicit RocksSnapshot(std::shared_ptr<Rocks> rocks)
      : rocks_(std::move(rocks)), snapshot_(rocks_->db()->GetSnapshot()) {}
  ~RocksSnapshot() override { rocks_->db()->ReleaseSnapshot(snapshot_); }
  const rocksdb::Snapshot* get() const { return snapshot_; }

 private:
  const std::shared_ptr<Rocks> rocks_;
  const rocksdb::Snapshot* const snapshot_;
};

const rocksdb::Snapshot* RocksSnapshotOf(const Snapshot* snapshot) {
  return snapshot == nullptr ? nullptr : static_cast<const RocksSnapshot*>(snapshot)->get();
}

rocksdb::ReadOptions ReadAt(const rocksdb::Snapshot* snapshot) {
  rocksdb::ReadOptions options;
  options.snapshot = snapshot;
  return options;
}

std::string NameRecord(Table table, absl::string_view key) {
  return absl::StrCat("table ", TableName(table), ", key ", PrintableKey(key));
}

absl::StatusOr<std::string> Checked(Table table, absl::string_view key, const rocksdb::Status& status,
                                    const rocksdb::PinnableSlice& stored) {
  if (!status.ok()) return FromRocks(status, NameRecord(table, key));
  ASSIGN_OR_RETURN(const absl::string_view value, CheckTrailer(table, key, ToView(stored)));
  return std::string(value);
}

class PrefixIterator final : public Iterator {
 public:
  PrefixIterator(std::shared_ptr<Rocks> rocks, Table table, absl::string_view prefix,
                 const rocksdb::Snapshot* snapshot)
      : rocks_(std::move(rocks)), table_(table), prefix_(prefix), end_(PrefixEnd(prefix)), end_slice_(end_) {
    rocksdb::ReadOptions options = ReadAt(snapshot);
    if (!end_.empty()) options.iterate_upper_bound = &end_slice_;
    it_.reset(rocks_->db()->NewIterator(options, rocks_->handle(table)));
    it_->Seek(prefix_);
  }

  bool Valid() const override { return it_->Valid(); }
  void Seek(absl::string_view key) override { it_->Seek(ToSlice(std::max(key, absl::string_view(prefix_)))); }
  void Next() override { it_->Next(); }
  absl::string_view key() const override { return ToView(it_->key()); }
  absl::StatusOr<absl::string_view> value() const override {
    return CheckTrailer(table_, key(), ToView(it_->value()));
  }
  absl::Status status() const override {
    return FromRocks(it_->status(),
                     absl::StrCat("table ", TableName(table_), ", keys from ", PrintableKey(prefix_)));
  }

 private:
  const std::shared_ptr<Rocks> rocks_;
  const Table table_;
  const std::string prefix_, end_;
  const rocksdb::Slice end_slice_;  // the iterator points at it
  std::unique_ptr<rocksdb::Iterator> it_;
};

// In place of an iterator over a store that is closed.
class FailedIterator final : public Iterator {
 public:
  explicit FailedIterator(absl::Status status) : status_(std::move(status)) {}
  bool Valid() const override { return false; }
  void Seek(absl::string_view) override {}
  void Next() override {}
  absl::string_view key() const override { return {}; }
  absl::StatusOr<absl::string_view> value() const override { return status_; }
  absl::Status status() const override { return status_; }

 private:
  const absl::Status status_;
};

}  // namespace

absl::StatusOr<CommitRecord> ReadCommitRecord(const Rocks& rocks, const rocksdb::Snapshot* snapshot) {
  rocksdb::PinnableSlice stored;
  const rocksdb::Status status =
      rocks.db()->Get(ReadAt(snapshot), rocks.handle(Table::kMeta), ToSlice(kCommitKey), &stored);
  if (status.IsNotFound()) return absl::DataLossError("the store has no commit record");
  ASSIGN_OR_RETURN(const std::string value, Checked(Table::kMeta, kCommitKey, status, stored));
  return DecodeCommitRecord(value);
}

absl::StatusOr<std::string> StoreImpl::Get(Table table, absl::string_view key,
                                           const Snapshot* snapshot) const {
  ASSIGN_OR_RETURN(const std::shared_ptr<Rocks> rocks, Open());
  rocksdb::PinnableSlice stored;
  const rocksdb::Status status =
      rocks->db()->Get(ReadAt(RocksSnapshotOf(snapshot)), rocks->handle(table), ToSlice(key), &stored);
  return Checked(table, key, status, stored);
}

std::vector<absl::StatusOr<std::string>> StoreImpl::MultiGet(Table table, absl::Span<const std::string> keys,
                                                             const Snapshot* snapshot) const {
  std::vector<absl::StatusOr<std::string>> results;
  results.reserve(keys.size());
  const auto rocks = Open();
  if (!rocks.ok()) {
    results.assign(keys.size(), rocks.status());
    return results;
  }
  const std::vector<rocksdb::Slice> slices(keys.begin(), keys.end());
  std::vector<rocksdb::PinnableSlice> stored(keys.size());
  std::vector<rocksdb::Status> statuses(keys.size());
  (*rocks)->db()->MultiGet(ReadAt(RocksSnapshotOf(snapshot)), (*rocks)->handle(table), keys.size(),
                           slices.data(), stored.data(), statuses.data());
  for (size_t i = 0; i < keys.size(); ++i) results.push_back(Checked(table, keys[i], statuses[i], stored[i]));
  return results;
}

std::unique_ptr<Iterator> StoreImpl::NewIterator(Table table, absl::string_view prefix,
                                                 const Snapshot* snapshot) const {
  auto rocks = Open();
  if (!rocks.ok()) return std::make_unique<FailedIterator>(rocks.status());
  return std::make_unique<PrefixIterator>(*std::move(rocks), table, prefix, RocksSnapshotOf(snapshot));
}

std::unique_ptr<Snapshot> StoreImpl::GetSnapshot() const {
  auto rocks = Open();
  return rocks.ok() ? std::make_unique<RocksSnapshot>(*std::move(rocks)) : nullptr;
}

absl::StatusOr<CommitState> StoreImpl::StateAt(const Snapshot& snapshot) const {
  ASSIGN_OR_RETURN(const std::shared_ptr<Rocks> rocks, Open());
  ASSIGN_OR_RETURN(const CommitRecord record, ReadCommitRecord(*rocks, RocksSnapshotOf(&snapshot)));
  return record.state;
}

StoreStats StoreImpl::Stats() const {
  StoreStats stats;
  const auto rocks = Open();
  if (!rocks.ok()) return stats;
  stats.disk_bytes = TreeBytes(layout_.rocks);
  stats.memory_bytes = (*rocks)->block_cache().GetUsage();
  for (const char* property : {"rocksdb.cur-size-all-mem-tables", "rocksdb.estimate-table-readers-mem"}) {
    uint64_t bytes = 0;
    if ((*rocks)->db()->GetAggregatedIntProperty(property, &bytes)) stats.memory_bytes += bytes;
  }
  return stats;
}

absl::Status StoreImpl::Compact() {
  ASSIGN_OR_RETURN(const std::shared_ptr<Rocks> rocks, Open());
  RETURN_IF_ERROR(rocks->Flush());
  for (int i = 0; i < kTableCount; ++i) {
    const Table table = static_cast<Table>(i);
    RETURN_IF_ERROR(FromRocks(
        rocks->db()->CompactRange(rocksdb::CompactRangeOptions(), rocks->handle(table), nullptr, nullptr),
        absl::StrCat("compact table ", TableName(table))));
  }
  return absl::OkStatus();
}

}  // namespace larder::storage

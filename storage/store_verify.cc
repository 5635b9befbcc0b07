// How the store reads all that it holds, and names each thing that is wrong.
#include <rocksdb/metadata.h>
#include <rocksdb/sst_file_reader.h>

#include "absl/strings/str_cat.h"
#include "storage/schema.h"
#include "storage/status_macros.h"
#include "storage/store_impl.h"
#include "storage/value_trailer.h"

namespace larder::storage {
namespace {

// Keeps files that compaction drops, while they are read by name.
class FileDeletionPause {
 public:
  explicit FileDeletionPause(rocksdb::DB* db) : db_(db) {
    db_->DisableFileDeletions().PermitUncheckedError();
  }
  ~FileDeletionPause() { db_->EnableFileDeletions(/*force=*/false).PermitUncheckedError(); }

 private:
  rocksdb::DB* const db_;
};

// RocksDB's block checksums, file by file.
void VerifyFiles(const Rocks& rocks, std::vector<std::string>* problems) {
  const FileDeletionPause pause(rocks.db());
  std::vector<rocksdb::LiveFileMetaData> files;
  rocks.db()->GetLiveFilesMetaData(&files);
  rocksdb::Options options;
  options.env = rocks.db()->GetEnv();
  for (const rocksdb::LiveFileMetaData& file : files) {
    rocksdb::SstFileReader reader(options);
    rocksdb::Status status = reader.Open(file.db_path + file.name);
    if (status.ok()) status = reader.VerifyChecksum();
    if (!status.ok())
      problems->push_back(
          absl::StrCat("file ", file.name, " (table ", file.column_family_name, "): ", status.ToString()));
  }
}

// Reads one table. A block that cannot be read ends RocksDB's iteration; what follows the damaged
// file is read nevertheless.
class TableVerifier {
 public:
  TableVerifier(const Rocks& rocks, Table table, const rocksdb::Snapshot* snapshot,
                const Store::RecordVisitor& record, std::vector<std::string>* problems)
      : rocks_(rocks), table_(table), record_(record), problems_(problems) {
    options_.snapshot = snapshot;
    options_.fill_cache = false;
  }

  uint64_t Run() {
    std::optional<std::string> from = "";
    while (from) {
      const std::unique_ptr<rocksdb::Iterator> it(rocks_.db()->NewIterator(options_, rocks_.handle(table_)));
      for (it->Seek(*from); it->Valid(); it->Next()) Read(*it);
      if (it->status().ok()) break;
      problems_->push_back(absl::StrCat("table ", TableName(table_), ", after key ", PrintableKey(last_key_),
                                        ": ", it->status().ToString()));
      from = NextFileBoundary(std::max(*from, last_key_));
    }
    return records_;
  }

 private:
  void Read(const rocksdb::Iterator& it) {
    last_key_ = it.key().ToString();
    absl::StatusOr<absl::string_view> value = CheckTrailer(table_, last_key_, ToView(it.value()));
    if (!value.ok()) {
      problems_->emplace_back(value.status().message());
      return;
    }
    ++records_;
    if (record_ != nullptr) record_(table_, last_key_, *value);
  }

  // The smallest key after `key` at which a file of this table begins or past which one ends.
  std::optional<std::string> NextFileBoundary(const std::string& key) const {
    std::optional<std::string> next;
    auto consider = [&](std::string boundary) {
      if (boundary > key && (!next || boundary < *next)) next = std::move(boundary);
    };
    rocksdb::ColumnFamilyMetaData metadata;
    rocks_.db()->GetColumnFamilyMetaData(rocks_.handle(table_), &metadata);
    for (const rocksdb::LevelMetaData& level : metadata.levels) {
      for (const rocksdb::SstFileMetaData& file : level.files) {
        consider(file.smallestkey);
        consider(file.largestkey + '\0');
      }
    }
    return next;
  }

  const Rocks& rocks_;
  const Table table_;
  const Store::RecordVisitor& record_;
  std::vector<std::string>* const problems_;
  rocksdb::ReadOptions options_;
  std::string last_key_;
  uint64_t records_ = 0;
};

}  // namespace

absl::StatusOr<uint64_t> StoreImpl::Verify(const RecordVisitor& record,
                                           std::vector<std::string>* problems) const {
  ASSIGN_OR_RETURN(const std::shared_ptr<Rocks> rocks, Open());
  VerifyFiles(*rocks, problems);
  rocksdb::ManagedSnapshot snapshot(rocks->db());
  const absl::StatusOr<CommitRecord> commit = ReadCommitRecord(*rocks, snapshot.snapshot());
  if (!commit.ok()) problems->emplace_back(commit.status().message());
  uint64_t records = 0;
  for (int i = 0; i < kTableCount; ++i) {
    records += TableVerifier(*rocks, static_cast<Table>(i), snapshot.snapshot(), record, problems).Run();
  }
  return records;
}

}  // namespace larder::storage

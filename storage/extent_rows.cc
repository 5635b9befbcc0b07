#include "storage/extent_rows.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "storage/coding.h"
#include "storage/status_macros.h"

namespace larder::storage {
namespace {

constexpr absl::string_view kNextFileKey = "extents/next_file";
constexpr uint8_t kMarkVersion = 1;

}  // namespace

absl::Status VisitExtentRows(const Store& store, absl::string_view prefix, const Snapshot* snapshot,
                             ExtentRowVisitor visitor) {
  std::unique_ptr<Iterator> it = store.NewIterator(Table::kExtents, prefix, snapshot);
  for (; it->Valid(); it->Next()) {
    const absl::StatusOr<absl::string_view> value = it->value();
    visitor(it->key(),
            value.ok() ? DecodeExtentRow(it->key(), *value) : absl::StatusOr<ExtentRow>(value.status()));
  }
  return it->status();
}

absl::StatusOr<std::vector<ExtentRow>> ReadExtentRows(const Store& store, uint32_t file) {
  std::vector<ExtentRow> rows;
  absl::Status damaged;
  RETURN_IF_ERROR(VisitExtentRows(store, ExtentRowPrefix(file), nullptr,
                                  [&](absl::string_view, const absl::StatusOr<ExtentRow>& row) {
                                    if (row.ok()) rows.push_back(*row);
                                    damaged.Update(row.status());
                                  }));
  RETURN_IF_ERROR(damaged);
  return rows;
}

absl::StatusOr<bool> HasExtentRow(const Store& store, const ExtentRow& row) {
  const absl::StatusOr<std::string> value =
      store.Get(Table::kExtents, ExtentRowKey(row.pointer.file, row.pointer.offset));
  if (absl::IsNotFound(value.status())) return false;
  RETURN_IF_ERROR(value.status());
  return *value == EncodeExtentRow(row.pointer, row.owner);
}

void PutExtentRow(const ExtentPointer& pointer, const ExtentOwner& owner, WriteBatch* batch) {
  batch->Put(Table::kExtents, ExtentRowKey(pointer.file, pointer.offset), EncodeExtentRow(pointer, owner));
}

void DeleteExtentRow(const ExtentPointer& pointer, WriteBatch* batch) {
  batch->Delete(Table::kExtents, ExtentRowKey(pointer.file, pointer.offset));
}

uint32_t ReadNextFileMark(const Store& store) {
  const absl::StatusOr<std::string> value = store.Get(Table::kMeta, kNextFileKey);
  if (!value.ok()) return 1;
  RecordReader reader(*value, kMarkVersion, "extents' file number mark");
  const uint32_t next_file = reader.U32();
  return reader.status().ok() ? std::max(next_file, 1u) : 1;
}

absl::Status WriteNextFileMark(uint32_t next_file, Store* store) {
  RecordWriter mark(kMarkVersion);
  mark.U32(next_file);
  // It makes room, so it must pass on a full disk, where the store takes only batches that delete
  // more than they put. No row can have the second key.
  WriteBatch batch;
  batch.Delete(Table::kMeta, kNextFileKey);
  batch.Delete(Table::kExtents, ExtentRowKey(0, 0));
  batch.Put(Table::kMeta, kNextFileKey, std::move(mark).Finish());
  return store->Write(std::move(batch), /*sync=*/true).status();
}

}  // namespace larder::storage

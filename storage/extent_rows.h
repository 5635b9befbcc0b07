// Table::kExtents: reading and editing its rows.
#ifndef LARDER_STORAGE_EXTENT_ROWS_H_
#define LARDER_STORAGE_EXTENT_ROWS_H_

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "storage/extent_format.h"
#include "storage/store.h"

namespace larder::storage {

// Sees the rows in order of file and offset; a row that cannot be read as DataLoss. Returns the
// iterator's status: after an error there may be rows that were not seen.
using ExtentRowVisitor = absl::FunctionRef<void(absl::string_view key, const absl::StatusOr<ExtentRow>& row)>;
absl::Status VisitExtentRows(const Store& store, absl::string_view prefix, const Snapshot* snapshot,
                             ExtentRowVisitor visitor);
// All rows of a file; DataLoss if any cannot be read.
absl::StatusOr<std::vector<ExtentRow>> ReadExtentRows(const Store& store, uint32_t file);

// Whether the table still has this very row.
absl::StatusOr<bool> HasExtentRow(const Store& store, const ExtentRow& row);

void PutExtentRow(const ExtentPointer& pointer, const ExtentOwner& owner, WriteBatch* batch);
void DeleteExtentRow(const ExtentPointer& pointer, WriteBatch* batch);

// The high-water mark of file numbers, in Table::kMeta: 1 if there is none or it is damaged.
uint32_t ReadNextFileMark(const Store& store);
// Also makes every commit before it durable, so that none can come back that refers to a file about
// to be deleted.
absl::Status WriteNextFileMark(uint32_t next_file, Store* store);

}  // namespace larder::storage

#endif  // LARDER_STORAGE_EXTENT_ROWS_H_

// Rows of one size that a build sets aside, by cell, for its next phase. They lie in extents and are named by rows
// of kTree (tag 'c'), so that a killed build finds all that was there at its last checkpoint and nothing else.
#ifndef LARDER_INDEX_TREE_CELL_SPILL_H_
#define LARDER_INDEX_TREE_CELL_SPILL_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "index/tree/tree_rows.h"
#include "storage/extent_store.h"
#include "storage/store.h"

namespace larder::index {

// Thread-safe.
class CellSpill {
 public:
  CellSpill(storage::Store* store, storage::ExtentStore* extents, const TreeKeys& keys, uint32_t cells, size_t row_bytes,
            uint64_t buffer_bytes);
  // What the last checkpoint left.
  absl::Status Recover();

  absl::Status Add(uint32_t cell, const uint8_t* row);
  // Everything added so far becomes extents; the batch, once written, names them. The caller syncs the extents
  // in between. No Add at the same time.
  absl::Status Checkpoint(storage::WriteBatch* batch);

  // All rows of a cell, one after another; those of the last checkpoint.
  absl::StatusOr<std::string> Load(uint32_t cell) const;
  uint64_t Rows(uint32_t cell) const;
  // In the batch: the cell's chunks go.
  void Release(uint32_t cell, storage::WriteBatch* batch);

 private:
  struct Cell {
    std::string buffer;
    std::vector<CountedPointer> chunks;
    size_t named = 0;  // chunks that the store knows
  };
  absl::Status Flush(Cell* cell) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  storage::Store* const store_;
  storage::ExtentStore* const extents_;
  const TreeKeys keys_;
  const size_t row_bytes_, buffer_bytes_;
  mutable absl::Mutex mutex_;
  std::vector<Cell> cells_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace larder::index

#endif  // LARDER_INDEX_TREE_CELL_SPILL_H_

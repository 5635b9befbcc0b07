#include "index/tree/cell_spill.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/coding.h"
#include "storage/status_macros.h"

namespace larder::index {
namespace {

constexpr uint64_t kLeastBuffer = 8 << 10, kMostBuffer = 256 << 10;

}  // namespace

CellSpill::CellSpill(storage::Store* store, storage::ExtentStore* extents, const TreeKeys& keys, uint32_t cells,
                     size_t row_bytes, uint64_t buffer_bytes)
    : store_(store), extents_(extents), keys_(keys), row_bytes_(row_bytes),
      buffer_bytes_(std::clamp(buffer_bytes / std::max(cells, 1u), kLeastBuffer, kMostBuffer)), cells_(cells) {}

absl::Status CellSpill::Recover() {
  absl::MutexLock lock(&mutex_);
  const auto it = store_->NewIterator(storage::Table::kTree, keys_.Prefix('c'));
  for (; it->Valid(); it->Next()) {
    const absl::string_view rest = keys_.Rest(it->key());
    const uint32_t cell = rest.size() == 8 ? storage::ReadKey32(rest.data()) : ~0u;
    if (cell >= cells_.size()) return absl::DataLossError(absl::StrCat("tree build: a chunk of cell ", cell));
    ASSIGN_OR_RETURN(const absl::string_view value, it->value());
    ASSIGN_OR_RETURN(const CountedPointer chunk, DecodeCounted(value));
    // Chunks are numbered from 0 and go together.
    if (storage::ReadKey32(rest.data() + 4) != cells_[cell].chunks.size() ||
        chunk.pointer.length != uint64_t{chunk.count} * row_bytes_) {
      return absl::DataLossError(absl::StrCat("tree build: a chunk of cell ", cell, " is missing or of another size"));
    }
    cells_[cell].chunks.push_back(chunk);
    cells_[cell].named = cells_[cell].chunks.size();
  }
  return it->status();
}

absl::Status CellSpill::Flush(Cell* cell) {
  if (cell->buffer.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const storage::ExtentPointer pointer, extents_->Append(cell->buffer));
  cell->chunks.push_back({pointer, static_cast<uint32_t>(cell->buffer.size() / row_bytes_)});
  cell->buffer.clear();
  return absl::OkStatus();
}

absl::Status CellSpill::Add(uint32_t cell, const uint8_t* row) {
  absl::MutexLock lock(&mutex_);
  Cell& target = cells_[cell];
  target.buffer.append(reinterpret_cast<const char*>(row), row_bytes_);
  return target.buffer.size() + row_bytes_ > buffer_bytes_ ? Flush(&target) : absl::OkStatus();
}

absl::Status CellSpill::Checkpoint(storage::WriteBatch* batch) {
  absl::MutexLock lock(&mutex_);
  for (uint32_t i = 0; i < cells_.size(); ++i) {
    Cell& cell = cells_[i];
    RETURN_IF_ERROR(Flush(&cell));
    std::string().swap(cell.buffer);
    for (; cell.named < cell.chunks.size(); ++cell.named) {
      const std::string key = keys_.Of('c', i, static_cast<uint32_t>(cell.named));
      batch->Put(storage::Table::kTree, key, EncodeCounted(cell.chunks[cell.named]));
      extents_->Reference(cell.chunks[cell.named].pointer, {storage::Table::kTree, key}, batch);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> CellSpill::Load(uint32_t cell) const {
  std::vector<storage::ExtentPointer> pointers;
  {
    absl::MutexLock lock(&mutex_);
    for (const CountedPointer& chunk : cells_[cell].chunks) pointers.push_back(chunk.pointer);
  }
  std::string rows;
  for (auto& chunk : extents_->Read(pointers)) {
    RETURN_IF_ERROR(chunk.status());
    rows += *chunk;
  }
  return rows;
}

uint64_t CellSpill::Rows(uint32_t cell) const {
  absl::MutexLock lock(&mutex_);
  uint64_t rows = 0;
  for (const CountedPointer& chunk : cells_[cell].chunks) rows += chunk.count;
  return rows;
}

void CellSpill::Release(uint32_t cell, storage::WriteBatch* batch) {
  absl::MutexLock lock(&mutex_);
  for (uint32_t i = 0; i < cells_[cell].chunks.size(); ++i) {
    batch->Delete(storage::Table::kTree, keys_.Of('c', cell, i));
    extents_->Release(cells_[cell].chunks[i].pointer, batch);
  }
  cells_[cell] = Cell();
}

}  // namespace larder::index

#include "tools/bench/tree_database.h"

#include <algorithm>
#include <chrono>

#include "storage/status_macros.h"

namespace larder::tools {

absl::StatusOr<TreeDatabase> OpenTreeDatabase(const std::string& path, const storage::ExtentStoreOptions& extents) {
  TreeDatabase database;
  storage::StoreOptions store;
  store.create_if_missing = true;
  store.block_cache_bytes = 4 << 20;
  store.write_buffer_bytes = 8 << 20;
  ASSIGN_OR_RETURN(database.store, storage::Store::Open(path, store));
  ASSIGN_OR_RETURN(database.extents, storage::ExtentStore::Open(path + "/extents", database.store.get(), extents));
  return database;
}

absl::Status OpenTree(TreeDatabase* database) {
  ASSIGN_OR_RETURN(database->tree, index::TreeIndex::Open(database->store.get(), database->extents.get(), kBenchSpace));
  return absl::OkStatus();
}

index::Metric MetricOf(const std::string& name) {
  return name == "l2" ? index::Metric::kL2 : name == "dot" ? index::Metric::kDot : index::Metric::kCosine;
}

double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

MatrixSource::MatrixSource(const MatrixReader* base, uint64_t rows, const std::vector<uint64_t>& without) : base_(base) {
  for (uint64_t row = 0; row < rows; ++row) {
    if (!std::binary_search(without.begin(), without.end(), row)) order_.push_back(static_cast<uint32_t>(row));
  }
}

absl::Status MatrixSource::Read(uint64_t first, size_t count, index::Vid* vids, float* out) const {
  for (size_t begin = 0, end = 0; begin < count; begin = end) {
    // Runs of rows that follow each other are read at once.
    for (end = begin; end < count && order_[first + end] == order_[first + begin] + (end - begin); ++end) {
      vids[end] = order_[first + end];
    }
    RETURN_IF_ERROR(base_->Read(order_[first + begin], end - begin, out + begin * base_->dim()));
  }
  return absl::OkStatus();
}

}  // namespace larder::tools

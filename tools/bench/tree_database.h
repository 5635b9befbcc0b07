// A database directory with nothing but a tree in it, for the benchmarks of the disk index.
#ifndef LARDER_TOOLS_BENCH_TREE_DATABASE_H_
#define LARDER_TOOLS_BENCH_TREE_DATABASE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "index/tree/tree_build.h"
#include "index/tree/tree_index.h"
#include "storage/extent_store.h"
#include "storage/store.h"
#include "tools/readers/matrix_reader.h"

namespace larder::tools {

inline constexpr uint32_t kBenchSpace = 1;
inline constexpr uint32_t kMeasuredQueries = 200;

struct TreeDatabase {
  std::unique_ptr<storage::Store> store;
  std::unique_ptr<storage::ExtentStore> extents;
  std::unique_ptr<index::TreeIndex> tree;
};

// Store and extents in `path`; the tree is the caller's to open.
absl::StatusOr<TreeDatabase> OpenTreeDatabase(const std::string& path, const storage::ExtentStoreOptions& extents);
absl::Status OpenTree(TreeDatabase* database);

index::Metric MetricOf(const std::string& name);
double Seconds();  // of a steady clock

// Rows of a matrix; a vid is a row's number.
class MatrixSource final : public index::VectorSource {
 public:
  // The first so many, but for those of `without` (ascending).
  MatrixSource(const MatrixReader* base, uint64_t rows, const std::vector<uint64_t>& without = {});
  uint64_t rows() const override { return order_.size(); }
  absl::Status Read(uint64_t first, size_t count, index::Vid* vids, float* out) const override;

 private:
  const MatrixReader* const base_;
  std::vector<uint32_t> order_;
};

}  // namespace larder::tools

#endif  // LARDER_TOOLS_BENCH_TREE_DATABASE_H_

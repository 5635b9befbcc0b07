// For tests of the tree: a database in a directory of its own, rows in memory, exact answers.
#ifndef LARDER_INDEX_TREE_TREE_TEST_SUPPORT_H_
#define LARDER_INDEX_TREE_TREE_TEST_SUPPORT_H_

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "index/test_vectors.h"
#include "index/top_k.h"
#include "index/tree/tree_build.h"
#include "index/tree/tree_index.h"
#include "index/vector_math.h"
#include "storage/extent_store.h"
#include "storage/status_macros.h"
#include "storage/store.h"

namespace larder::index {

class RowsInMemory : public VectorSource {
 public:
  RowsInMemory(std::vector<float> values, uint32_t dimension) : values_(std::move(values)), dimension_(dimension) {}
  uint64_t rows() const override { return values_.size() / dimension_; }
  absl::Status Read(uint64_t first, size_t count, Vid* vids, float* out) const override {
    for (size_t i = 0; i < count; ++i) vids[i] = VidOf(first + i);
    std::copy_n(&values_[first * dimension_], count * dimension_, out);
    return absl::OkStatus();
  }
  static Vid VidOf(uint64_t row) { return 3 * row + 5; }
  const float* row(uint64_t i) const { return &values_[i * dimension_]; }

 private:
  const std::vector<float> values_;
  const uint32_t dimension_;
};

// The k nearest of all rows, as an index of f32 rows would say.
inline std::vector<Neighbor> ExactNearest(const RowsInMemory& rows, uint32_t dimension, Metric metric,
                                          const std::vector<float>& query, uint32_t k) {
  std::vector<float> q(dimension), x(dimension);
  Canonicalize(query, metric, q.data());
  const DistanceKernels kernels = SelectKernels(FormOf(metric));
  TopK best(k, k);
  for (uint64_t i = 0; i < rows.rows(); ++i) {
    Canonicalize({rows.row(i), dimension}, metric, x.data());
    const float* pointer = x.data();
    float distance;
    kernels.batch(q.data(), &pointer, 1, dimension, &distance);
    best.Push({RowsInMemory::VidOf(i), distance});
  }
  return std::move(best).Take();
}

class TreeDatabase {
 public:
  TreeDatabase() {
    std::string pattern = testing::TempDir() + "/larder-tree-XXXXXX";
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    path_ = pattern;
  }
  ~TreeDatabase() {
    Close();
    std::filesystem::remove_all(path_);
  }
  void Close() {
    tree.reset();
    extents.reset();
    store.reset();
  }
  // Store and extents.
  absl::Status Open() {
    Close();
    ASSIGN_OR_RETURN(store, storage::Store::Open(path_ + "/db", {.create_if_missing = true}));
    storage::ExtentStoreOptions options;
    options.file_bytes = 4 << 20;
    ASSIGN_OR_RETURN(extents, storage::ExtentStore::Open(extent_path(), store.get(), options));
    return absl::OkStatus();
  }
  absl::Status OpenTree(uint32_t space = 1) {
    ASSIGN_OR_RETURN(tree, TreeIndex::Open(store.get(), extents.get(), space));
    return absl::OkStatus();
  }
  absl::Status Build(const VectorSource& rows, const TreeBuildOptions& options) {
    RETURN_IF_ERROR(BuildTree(store.get(), extents.get(), rows, options));
    return OpenTree(options.tree.space);
  }
  std::string extent_path() const { return path_ + "/db/extents"; }

  std::unique_ptr<storage::Store> store;
  std::unique_ptr<storage::ExtentStore> extents;
  std::unique_ptr<TreeIndex> tree;

 private:
  std::string path_;
};

inline TreeBuildOptions SmallBuild(uint32_t dimension, Metric metric) {
  TreeBuildOptions options;
  options.tree.space = 1;
  options.tree.dimension = dimension;
  options.tree.metric = metric;
  options.tree.leaf_entries = 64;
  options.checkpoint_rows = 2500;
  options.memory_bytes = 16 << 20;
  return options;
}

// A tree of the first kBase rows of kAll.
class ChangingTree : public testing::Test {
 public:
  static constexpr uint32_t kDimension = 24;
  static constexpr size_t kBase = 2000, kAll = 6000;

 protected:
  static const RowsInMemory& Rows() {
    static const RowsInMemory rows(ClusteredVectors(kAll, kDimension, 1), kDimension);
    return rows;
  }
  void SetUp() override {
    ASSERT_TRUE(db_.Open().ok());
    std::vector<float> base(Rows().row(0), Rows().row(0) + kBase * kDimension);
    const absl::Status built = db_.Build(RowsInMemory(std::move(base), kDimension), SmallBuild(kDimension, Metric::kL2));
    ASSERT_TRUE(built.ok()) << built;
  }
  absl::Status InsertRows(size_t first, size_t count) {
    std::vector<Vid> vids;
    for (size_t i = 0; i < count; ++i) vids.push_back(RowsInMemory::VidOf(first + i));
    return db_.tree->Insert(vids, {Rows().row(first), count * kDimension});
  }
  absl::Status MaintainAll() {
    for (;;) {
      const absl::StatusOr<bool> more = db_.tree->Maintain();
      RETURN_IF_ERROR(more.status());
      if (!*more) return absl::OkStatus();
    }
  }
  bool Finds(size_t row) {
    const auto reply = db_.tree->Search({Rows().row(row), kDimension}, {.postings = 30, .candidates = 80});
    EXPECT_TRUE(reply.ok()) << reply.status();
    return reply.ok() && !reply->neighbors.empty() && reply->neighbors[0].vid == RowsInMemory::VidOf(row);
  }
  void Reopen() {
    ASSERT_TRUE(db_.Open().ok());
    const absl::Status opened = db_.OpenTree();
    ASSERT_TRUE(opened.ok()) << opened;
  }
  absl::Status RemoveRows(size_t first, size_t count) {
    std::vector<Vid> vids;
    for (size_t i = 0; i < count; ++i) vids.push_back(RowsInMemory::VidOf(first + i));
    return db_.tree->Remove(vids);
  }
  // Of tree, extents and store.
  std::vector<std::string> Problems() {
    std::vector<std::string> problems;
    EXPECT_TRUE(db_.tree->Verify(&problems).ok());
    EXPECT_TRUE(db_.extents->Verify(&problems).ok());
    EXPECT_TRUE(db_.store->Verify(nullptr, &problems).ok());
    return problems;
  }
  double Recall(size_t rows) {
    std::vector<float> values(Rows().row(0), Rows().row(0) + rows * kDimension);
    const RowsInMemory known(std::move(values), kDimension);
    const std::vector<float> queries = ClusteredVectors(60, kDimension, 9);
    size_t hits = 0;
    for (size_t q = 0; q < 60; ++q) {
      const std::vector<float> query(&queries[q * kDimension], &queries[(q + 1) * kDimension]);
      const auto reply = db_.tree->Search(query, {.postings = 8, .candidates = 40});
      EXPECT_TRUE(reply.ok()) << reply.status();
      std::set<Vid> found;
      for (const Neighbor& neighbor : reply->neighbors) found.insert(neighbor.vid);
      for (const Neighbor& neighbor : ExactNearest(known, kDimension, Metric::kL2, query, 10)) hits += found.contains(neighbor.vid);
    }
    return static_cast<double>(hits) / 600;
  }

  TreeDatabase db_;
};

}  // namespace larder::index

#endif  // LARDER_INDEX_TREE_TREE_TEST_SUPPORT_H_

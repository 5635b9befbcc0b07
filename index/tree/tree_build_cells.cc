// The phases of a build that make leaves: cluster and refine.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "index/tree/kmeans.h"
#include "index/tree/parallel.h"
#include "index/tree/tree_builder.h"
#include "storage/coding.h"
#include "storage/status_macros.h"

namespace larder::index {
namespace {

using storage::Table;
using storage::WriteBatch;

constexpr size_t kFan = 32;
constexpr size_t kNearLeaves = 16;  // as many as assure the nearest

std::string LeafValue(uint32_t cell, absl::Span<const float> centroid) {
  std::string value;
  storage::AppendKey32(cell, &value);
  return value + FloatBytes(centroid);
}

}  // namespace

absl::Status TreeBuilder::Cluster() {
  const VectorPages pages(dimension(), options_.tree.element);
  CellSpill spill(store_, extents_, keys_, cells(), pages.row_bytes(), 0);
  RETURN_IF_ERROR(spill.Recover());
  uint64_t done = 0;
  for (uint32_t first = 0; first < cells(); first += kWave) {
    const uint32_t count = std::min(kWave, cells() - first);
    std::vector<ClusteredCell> clustered(count);
    RETURN_IF_ERROR(ParallelFor(count, options_.threads, [&](size_t i) -> absl::Status {
      if (spill.Rows(first + i) == 0) return absl::OkStatus();  // empty, or done before a kill
      ASSIGN_OR_RETURN(clustered[i], ClusterCell(static_cast<uint32_t>(first + i), spill));
      return absl::OkStatus();
    }));
    for (uint32_t i = 0; i < count; ++i) done += spill.Rows(first + i);
    RETURN_IF_ERROR(CommitCells(first, clustered, &spill));
    RETURN_IF_ERROR(Report("cluster", done, source_.rows()));
  }
  return Advance(Phase::kRefine, 0, WriteBatch());
}

absl::StatusOr<TreeBuilder::ClusteredCell> TreeBuilder::ClusterCell(uint32_t cell, const CellSpill& spill) const {
  const size_t n = dimension();
  const VectorPages pages(dimension(), options_.tree.element);
  ASSIGN_OR_RETURN(const std::string rows, spill.Load(cell));
  const size_t count = rows.size() / pages.row_bytes();
  std::vector<float> vectors(count * n);
  std::vector<Vid> vids(count);
  std::vector<const float*> pointers(count);
  for (size_t i = 0; i < count; ++i) {
    pointers[i] = &vectors[i * n];
    vids[i] = pages.DecodeRow(reinterpret_cast<const uint8_t*>(rows.data()) + i * pages.row_bytes(), &vectors[i * n]);
  }
  const size_t aim = std::max<size_t>(1, options_.tree.copies == 2 ? header_.options.leaf_entries / 2
                                                                   : header_.options.leaf_entries);
  Clusters leaves = Partition(pointers, n, aim, kFan, {.seed = options_.tree.seed + cell + 1});
  ClusteredCell result;
  std::vector<std::vector<uint32_t>> members(leaves.count);
  for (uint32_t i = 0; i < count; ++i) members[leaves.of[i]].push_back(i);
  for (const std::vector<uint32_t>& leaf : members) {
    for (size_t first = 0; first < leaf.size(); first += kMaxGroupRows) {
      const size_t rows_here = std::min<size_t>(leaf.size() - first, kMaxGroupRows);
      std::vector<Vid> group_vids;
      std::vector<float> group_rows;
      for (size_t i = first; i < first + rows_here; ++i) {
        group_vids.push_back(vids[leaf[i]]);
        group_rows.insert(group_rows.end(), pointers[leaf[i]], pointers[leaf[i]] + n);
      }
      ASSIGN_OR_RETURN(const storage::ExtentPointer pointer, extents_->Append(pages.Encode(group_vids, group_rows.data())));
      result.groups.push_back({pointer, static_cast<uint32_t>(rows_here)});
    }
  }
  result.centroids = std::move(leaves.centroids);
  return result;
}

absl::Status TreeBuilder::CommitCells(uint32_t first, absl::Span<const ClusteredCell> clustered, CellSpill* spill) {
  const size_t n = dimension();
  WriteBatch batch;
  for (uint32_t i = 0; i < clustered.size(); ++i) {
    for (size_t leaf = 0; leaf * n < clustered[i].centroids.size(); ++leaf) {
      batch.Put(Table::kTree, keys_.Of('l', header_.next_node++), LeafValue(first + i, {&clustered[i].centroids[leaf * n], n}));
    }
    for (const CountedPointer& group : clustered[i].groups) {
      const std::string key = keys_.Of('g', header_.next_group++);
      batch.Put(Table::kTree, key, EncodeCounted(group));
      extents_->Reference(group.pointer, {Table::kTree, key}, &batch);
    }
    spill->Release(first + i, &batch);
  }
  return batch.empty() ? absl::OkStatus() : Advance(Phase::kCluster, 0, std::move(batch));
}

absl::Status TreeBuilder::ReadGroup(uint32_t group, std::vector<Vid>* vids, std::vector<float>* rows) const {
  const VectorPages pages(dimension(), options_.tree.element);
  const CountedPointer& at = groups_[group];
  if (at.pointer.length != pages.GroupBytes(at.count)) {
    return absl::DataLossError(absl::StrCat("tree: group ", group, " has ", at.pointer.length, " bytes for ", at.count, " rows"));
  }
  const absl::StatusOr<std::string> bytes = std::move(extents_->Read({&at.pointer, 1})[0]);
  RETURN_IF_ERROR(bytes.status());
  vids->resize(at.count);
  rows->resize(size_t{at.count} * dimension());
  for (uint32_t i = 0; i < at.count; ++i) {
    (*vids)[i] = pages.DecodeRow(pages.RowOfGroup(*bytes, i), rows->data() + size_t{i} * dimension());
  }
  return absl::OkStatus();
}

// Centroids of cells know nothing of their neighbours: one pass over all corrects most of that.
absl::Status TreeBuilder::Refine() {
  const size_t n = dimension();
  ASSIGN_OR_RETURN(const std::unique_ptr<LeafTable> leaves, LoadLeaves());
  std::vector<float> sums(leaves->size() * n, 0);
  std::vector<uint32_t> counts(leaves->size(), 0);
  absl::Mutex mutex;
  RETURN_IF_ERROR(ParallelFor(groups_.size(), options_.threads, [&](size_t group) -> absl::Status {
    std::vector<Vid> vids;
    std::vector<float> rows;
    RETURN_IF_ERROR(ReadGroup(static_cast<uint32_t>(group), &vids, &rows));
    std::vector<uint32_t> homes(vids.size());
    std::vector<LeafTable::Near> near;
    for (size_t i = 0; i < vids.size(); ++i) {
      leaves->Nearest(&rows[i * n], kNearLeaves, &near);
      homes[i] = near[0].leaf;
    }
    absl::MutexLock lock(&mutex);
    for (size_t i = 0; i < vids.size(); ++i) {
      float* sum = &sums[homes[i] * n];
      for (size_t j = 0; j < n; ++j) sum[j] += rows[i * n + j];
      ++counts[homes[i]];
    }
    return absl::OkStatus();
  }));
  RETURN_IF_ERROR(Report("refine", source_.rows(), source_.rows()));
  WriteBatch batch;
  for (size_t leaf = 0; leaf < leaves->size(); ++leaf) {
    const std::string key = keys_.Of('l', leaves->node(leaf));
    if (counts[leaf] == 0) {
      batch.Delete(Table::kTree, key);
      continue;
    }
    for (size_t j = 0; j < n; ++j) leaves->centroid(leaf)[j] = sums[leaf * n + j] / static_cast<float>(counts[leaf]);
    batch.Put(Table::kTree, key, LeafValue(leaves->cell(leaf), {leaves->centroid(leaf), n}));
  }
  return Advance(Phase::kAssign, 0, std::move(batch));
}

}  // namespace larder::index

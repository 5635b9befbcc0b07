#include "index/tree/tree_build.h"

#include <algorithm>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "index/tree/kmeans.h"
#include "index/tree/parallel.h"
#include "index/tree/tree_builder.h"
#include "index/vector_math.h"
#include "storage/coding.h"
#include "storage/status_macros.h"

namespace larder::index {
namespace {

using storage::Table;
using storage::WriteBatch;

constexpr uint64_t kLeastMemory = 16 << 20;
constexpr size_t kBatchRows = 1024;       // of the source, at a time
constexpr size_t kSampleRowsPerCell = 64;
constexpr uint64_t kCellRows = 2048;      // the aim
constexpr size_t kFan = 64;

// Rows lie in the source in some order: a sample is runs of a few, spread evenly.
constexpr uint64_t kRun = 16;

}  // namespace

absl::Status BuildTree(storage::Store* store, storage::ExtentStore* extents, const VectorSource& source,
                       const TreeBuildOptions& options) {
  RETURN_IF_ERROR(options.tree.Validate());
  if (options.threads < 1 || options.memory_bytes < kLeastMemory || options.checkpoint_rows == 0) {
    return absl::InvalidArgumentError("tree build: expected a thread, 16 MiB and a row to a checkpoint, or more");
  }
  if (source.rows() == 0) return absl::InvalidArgumentError("tree build: there are no rows");
  try {
    return TreeBuilder(store, extents, source, options).Run();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("tree build: out of memory");
  }
}

TreeBuilder::TreeBuilder(storage::Store* store, storage::ExtentStore* extents, const VectorSource& source,
                         const TreeBuildOptions& options)
    : store_(store), extents_(extents), source_(source), options_(options), keys_(options.tree.space) {
  header_.options = options.tree;
  if (header_.options.leaf_entries == 0) header_.options.leaf_entries = options.tree.dimension >= 256 ? 256 : 512;
}

absl::Status TreeBuilder::Run() {
  if (store_->Get(Table::kTree, keys_.Prefix('m')).ok()) {
    return absl::AlreadyExistsError(absl::StrCat("tree build: space ", options_.tree.space, " has a tree"));
  }
  ASSIGN_OR_RETURN(const bool resumed, Resume());
  if (!resumed) RETURN_IF_ERROR(Train());
  if (phase_ == Phase::kSpill) RETURN_IF_ERROR(Spill());
  if (phase_ == Phase::kCluster) RETURN_IF_ERROR(Cluster());
  RETURN_IF_ERROR(LoadGroups());
  if (phase_ == Phase::kRefine) RETURN_IF_ERROR(Refine());
  if (phase_ == Phase::kAssign) RETURN_IF_ERROR(Assign());
  RETURN_IF_ERROR(WritePostings());
  return Finish();
}

absl::StatusOr<bool> TreeBuilder::Resume() {
  const absl::StatusOr<std::string> state = store_->Get(Table::kTree, keys_.Prefix('b'));
  if (absl::IsNotFound(state.status())) return false;
  RETURN_IF_ERROR(state.status());
  storage::RecordReader reader(*state, 1, "tree build");
  const uint8_t phase = reader.U8();
  consumed_ = reader.U64();
  const absl::string_view header = reader.Bytes();
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(TreeHeader found, DecodeHeader(header));
  const TreeOptions &ours = header_.options, &theirs = found.options;
  if (theirs.dimension != ours.dimension || theirs.metric != ours.metric || theirs.element != ours.element ||
      theirs.copies != ours.copies || theirs.seed != ours.seed || theirs.leaf_entries != ours.leaf_entries) {
    return absl::FailedPreconditionError("tree build: an unfinished build of this space had other options");
  }
  if (phase < 1 || phase > 5) return absl::DataLossError("tree build: a phase that there is not");
  phase_ = static_cast<Phase>(phase);
  header_ = std::move(found);
  RETURN_IF_ERROR(LoadAnchors());
  return true;
}

absl::Status TreeBuilder::Report(absl::string_view phase, uint64_t done, uint64_t total) {
  return options_.progress == nullptr ? absl::OkStatus() : options_.progress(phase, done, total);
}

// What was appended becomes durable, then the batch says that the build is so far.
absl::Status TreeBuilder::Advance(Phase phase, uint64_t consumed, WriteBatch batch) {
  RETURN_IF_ERROR(extents_->Sync());
  storage::RecordWriter writer(1);
  writer.U8(static_cast<uint8_t>(phase));
  writer.U64(consumed);
  writer.Bytes(EncodeHeader(header_));
  batch.Put(Table::kTree, keys_.Prefix('b'), std::move(writer).Finish());
  RETURN_IF_ERROR(store_->Write(std::move(batch)).status());
  phase_ = phase;
  consumed_ = consumed;
  return absl::OkStatus();
}

absl::Status TreeBuilder::Train() {
  const uint64_t rows = source_.rows();
  const size_t n = dimension();
  const uint64_t want_cells = std::max<uint64_t>(1, (rows + kCellRows / 2) / kCellRows);
  const uint64_t room = std::max<uint64_t>(kRun, options_.memory_bytes / 3 / (n * sizeof(float)));
  const uint64_t sampled = std::min({rows, want_cells * kSampleRowsPerCell, room});
  const uint64_t runs = (sampled + kRun - 1) / kRun;
  std::vector<float> sample(sampled * n);
  std::vector<Vid> vids(kRun);
  for (uint64_t run = 0; run < runs; ++run) {
    const uint64_t first = run * kRun, count = std::min(kRun, sampled - first);
    RETURN_IF_ERROR(source_.Read(run * (rows - count) / std::max<uint64_t>(1, runs - 1), count, vids.data(), &sample[first * n]));
  }
  std::vector<const float*> pointers;
  for (uint64_t i = 0; i < sampled; ++i) {
    Canonicalize({&sample[i * n], n}, options_.tree.metric, &sample[i * n]);
    pointers.push_back(&sample[i * n]);
  }
  const size_t aim = std::max<size_t>(1, sampled / want_cells);
  anchors_ = Partition(pointers, n, aim, kFan, {.seed = options_.tree.seed}).centroids;
  header_.anchors = cells();
  header_.next_node = 1 + cells();  // 0 is the root, then a node a cell
  WriteBatch batch;
  for (uint32_t cell = 0; cell < cells(); ++cell) {
    batch.Put(Table::kTree, keys_.Of('a', cell), FloatBytes({&anchors_[cell * n], n}));
  }
  return Advance(Phase::kSpill, 0, std::move(batch));
}

absl::Status TreeBuilder::Spill() {
  const VectorPages pages(dimension(), options_.tree.element);
  CellSpill spill(store_, extents_, keys_, cells(), pages.row_bytes(), options_.memory_bytes / 4);
  RETURN_IF_ERROR(spill.Recover());
  const LeafTable anchors(dimension(), anchors_);
  while (consumed_ < source_.rows()) {
    const uint64_t first = consumed_, count = std::min(options_.checkpoint_rows, source_.rows() - first);
    RETURN_IF_ERROR(Report("spill", first, source_.rows()));
    const size_t batches = (count + kBatchRows - 1) / kBatchRows;
    RETURN_IF_ERROR(ParallelFor(batches, options_.threads, [&](size_t i) {
      const uint64_t at = i * kBatchRows;
      return SpillRows(first + at, std::min<uint64_t>(kBatchRows, count - at), anchors, &spill);
    }));
    WriteBatch batch;
    RETURN_IF_ERROR(spill.Checkpoint(&batch));
    RETURN_IF_ERROR(Advance(Phase::kSpill, first + count, std::move(batch)));
  }
  return Advance(Phase::kCluster, 0, WriteBatch());
}

absl::Status TreeBuilder::SpillRows(uint64_t first, size_t count, const LeafTable& anchors, CellSpill* spill) {
  const size_t n = dimension();
  const VectorPages pages(dimension(), options_.tree.element);
  std::vector<Vid> vids(count);
  std::vector<float> rows(count * n);
  std::vector<uint8_t> row(pages.row_bytes());
  RETURN_IF_ERROR(source_.Read(first, count, vids.data(), rows.data()));
  for (size_t i = 0; i < count; ++i) {
    float* vector = &rows[i * n];
    RETURN_IF_ERROR(CheckVector({vector, n}, dimension(), options_.tree.metric));
    Canonicalize({vector, n}, options_.tree.metric, vector);
    pages.EncodeRow(vids[i], vector, row.data());
    RETURN_IF_ERROR(spill->Add(anchors.NearestCell(vector), row.data()));
  }
  return absl::OkStatus();
}

absl::Status TreeBuilder::LoadAnchors() {
  anchors_.clear();
  for (uint32_t cell = 0; cell < header_.anchors; ++cell) {
    ASSIGN_OR_RETURN(const std::string bytes, store_->Get(Table::kTree, keys_.Of('a', cell)));
    ASSIGN_OR_RETURN(const std::vector<float> anchor, FloatsOf(bytes, dimension(), "tree anchor"));
    anchors_.insert(anchors_.end(), anchor.begin(), anchor.end());
  }
  return absl::OkStatus();
}

absl::Status TreeBuilder::LoadGroups() {
  groups_.assign(header_.next_group, {});
  const auto it = store_->NewIterator(Table::kTree, keys_.Prefix('g'));
  for (; it->Valid(); it->Next()) {
    const absl::string_view rest = keys_.Rest(it->key());
    const uint32_t group = rest.size() == 4 ? storage::ReadKey32(rest.data()) : ~0u;
    if (group >= groups_.size()) return absl::DataLossError(absl::StrCat("tree build: group ", group));
    ASSIGN_OR_RETURN(const absl::string_view value, it->value());
    ASSIGN_OR_RETURN(groups_[group], DecodeCounted(value));
  }
  return it->status();
}

absl::StatusOr<std::unique_ptr<LeafTable>> TreeBuilder::LoadLeaves() const {
  struct Leaf {
    uint32_t cell, node;
    std::vector<float> centroid;
  };
  std::vector<Leaf> leaves;
  const auto it = store_->NewIterator(Table::kTree, keys_.Prefix('l'));
  for (; it->Valid(); it->Next()) {
    ASSIGN_OR_RETURN(const absl::string_view value, it->value());
    const absl::string_view rest = keys_.Rest(it->key());
    if (rest.size() != 4 || value.size() < 4) return absl::DataLossError("tree build: a leaf's row");
    const uint32_t cell = storage::ReadKey32(value.data());
    if (cell >= cells()) return absl::DataLossError(absl::StrCat("tree build: a leaf of cell ", cell));
    ASSIGN_OR_RETURN(std::vector<float> centroid, FloatsOf(value.substr(4), dimension(), "tree leaf"));
    leaves.push_back({cell, storage::ReadKey32(rest.data()), std::move(centroid)});
  }
  RETURN_IF_ERROR(it->status());
  std::sort(leaves.begin(), leaves.end(), [](const Leaf& a, const Leaf& b) {
    return a.cell != b.cell ? a.cell < b.cell : a.node < b.node;
  });
  auto table = std::make_unique<LeafTable>(dimension(), anchors_);
  for (const Leaf& leaf : leaves) table->Add(leaf.cell, leaf.node, leaf.centroid);
  table->Seal();
  if (table->size() == 0) return absl::DataLossError("tree build: no leaves");
  return table;
}

}  // namespace larder::index

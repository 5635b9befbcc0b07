// The inside of BuildTree: its state and its phases.
#ifndef LARDER_INDEX_TREE_TREE_BUILDER_H_
#define LARDER_INDEX_TREE_TREE_BUILDER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "index/tree/cell_spill.h"
#include "index/tree/leaf_table.h"
#include "index/tree/posting_code.h"
#include "index/tree/tree_build.h"
#include "index/tree/vector_pages.h"

namespace larder::index {

// Single use, single-threaded from outside.
class TreeBuilder {
 public:
  TreeBuilder(storage::Store* store, storage::ExtentStore* extents, const VectorSource& source,
              const TreeBuildOptions& options);
  absl::Status Run();

 private:
  // Numbers are part of the state's format.
  enum class Phase : uint8_t { kSpill = 1, kCluster = 2, kRefine = 3, kAssign = 4, kWrite = 5 };

  // tree_build.cc
  absl::StatusOr<bool> Resume();
  absl::Status Train();
  absl::Status Spill();
  absl::Status SpillRows(uint64_t first, size_t count, const LeafTable& anchors, CellSpill* spill);
  absl::Status Advance(Phase phase, uint64_t consumed, storage::WriteBatch batch);
  absl::Status Report(absl::string_view phase, uint64_t done, uint64_t total);
  absl::Status LoadAnchors();
  absl::Status LoadGroups();
  absl::StatusOr<std::unique_ptr<LeafTable>> LoadLeaves() const;
  uint32_t cells() const { return static_cast<uint32_t>(anchors_.size() / dimension()); }
  uint32_t dimension() const { return header_.options.dimension; }

  // tree_build_cells.cc. Cells are done in waves: each is one commit.
  static constexpr uint32_t kWave = 16;
  absl::Status Cluster();
  struct ClusteredCell {
    std::vector<float> centroids;        // of its leaves
    std::vector<CountedPointer> groups;  // one a leaf, appended
  };
  absl::StatusOr<ClusteredCell> ClusterCell(uint32_t cell, const CellSpill& spill) const;
  absl::Status CommitCells(uint32_t first, absl::Span<const ClusteredCell> clustered, CellSpill* spill);
  absl::Status Refine();
  // Rows of a group, decoded.
  absl::Status ReadGroup(uint32_t group, std::vector<Vid>* vids, std::vector<float>* rows) const;

  // tree_build_postings.cc
  absl::Status ChooseBits();
  absl::Status Assign();
  absl::Status AssignGroup(uint32_t group, const LeafTable& leaves, const PostingCode& code,
                           const std::vector<float>& rotated_anchors, CellSpill* spill);
  absl::Status WritePostings();
  struct WrittenPosting {
    uint32_t node;
    CountedPointer posting;
  };
  absl::StatusOr<std::vector<WrittenPosting>> WriteCell(uint32_t cell, const PostingCode& code,
                                                        const CellSpill& spill) const;
  absl::Status Finish();
  PostingCode MakeCode() const;
  size_t EntryBytes(const PostingCode& code) const { return sizeof(uint32_t) + code.row_bytes(); }

  storage::Store* const store_;
  storage::ExtentStore* const extents_;
  const VectorSource& source_;
  const TreeBuildOptions options_;
  const TreeKeys keys_;

  Phase phase_ = Phase::kSpill;
  uint64_t consumed_ = 0;  // rows of the source (spill), groups (assign)
  TreeHeader header_;      // as it will be; next_node and next_group grow
  std::vector<float> anchors_;
  std::vector<CountedPointer> groups_;
};

}  // namespace larder::index

#endif  // LARDER_INDEX_TREE_TREE_BUILDER_H_

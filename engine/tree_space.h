// A vector space that a disk tree serves (index/tree). What the tree does not hold the store does: which vids are
// alive is known in memory, exact scores come from rows of kVectors.
#ifndef LARDER_ENGINE_TREE_SPACE_H_
#define LARDER_ENGINE_TREE_SPACE_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "engine/stored_rows.h"
#include "index/tree/tree_index.h"
#include "index/vector_index.h"

namespace larder {

struct TreeQuery {
  uint32_t k = 10;
  double target_recall = 0;                 // 0 = 0.95
  bool exact = false;
  const index::VidSet* matches = nullptr;  // null = all
};

struct TreeAnswer {
  std::vector<index::Neighbor> neighbors;  // min(k, matches)
  const char* plan = "";
  bool exact = false;                      // all matches were compared
  std::optional<double> recall;            // measured, for searches without a filter
  index::TreeSearchStats io;
};

// Thread-safe.
class TreeSpace : public index::VectorIndex {
 public:
  // `live`: what the tree holds and was not removed. A `damage` that is not OK stands for a tree (null) that cannot
  // be read, or (Unavailable) is not there yet: then all stored rows are compared, which is right and slow.
  TreeSpace(const StoredRows& rows, index::Metric metric, std::unique_ptr<index::TreeIndex> tree, index::VidSet live,
            absl::Status damage = absl::OkStatus());

  // By the tree, or by the stored rows of the matches where that is cheaper or the tree came short.
  absl::StatusOr<TreeAnswer> Answer(absl::Span<const float> query, const TreeQuery& request) const;
  // TreeIndex::Change; without a tree only `commit` is called.
  absl::Status Change(absl::Span<const index::Vid> vids, absl::Span<const float> vectors,
                      absl::Span<const index::Vid> gone, index::TreeIndex::Commit commit);
  // Not OK once a read has met damage: the tree wants building anew.
  absl::Status damage() const;
  index::TreeIndex* tree() const { return tree_.get(); }  // null: see `damage`

  // Of VectorIndex. Add is a commit of its own. Remove is for vids that could not be taken out by Change, as the disk
  // takes no writes: they are found no more; those that Change has taken out are ignored.
  const index::IndexOptions& options() const override { return options_; }
  absl::Status Add(absl::Span<const index::Vid> vids, absl::Span<const float> vectors) override;
  void Remove(absl::Span<const index::Vid> vids) override;
  absl::StatusOr<std::vector<index::Neighbor>> Search(absl::Span<const float> query,
                                                      const index::SearchParams& params) const override;
  absl::StatusOr<std::vector<index::Neighbor>> Score(absl::Span<const float> query, const index::VidSet& candidates,
                                                     uint32_t k) const override;
  absl::StatusOr<std::vector<float>> Vector(index::Vid vid) const override;
  bool Contains(index::Vid vid) const override;
  index::VidSet LiveVids() const override;
  // Nothing: a tree is always on disk.
  absl::Status Save(const std::string& path, absl::string_view tag) const override;
  index::IndexStats Stats() const override;

 private:
  absl::StatusOr<TreeAnswer> Scan(absl::Span<const float> query, const TreeQuery& request) const;
  absl::StatusOr<TreeAnswer> Walk(absl::Span<const float> query, const TreeQuery& request) const;
  const index::ProbeRule* RuleFor(double target_recall) const;

  const StoredRows rows_;
  const index::IndexOptions options_;
  const std::unique_ptr<index::TreeIndex> tree_;
  mutable absl::Mutex mutex_;
  index::VidSet live_ ABSL_GUARDED_BY(mutex_);
  bool ghosts_ ABSL_GUARDED_BY(mutex_) = false;  // the tree holds some that are not live
  mutable absl::Status damage_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace larder

#endif  // LARDER_ENGINE_TREE_SPACE_H_

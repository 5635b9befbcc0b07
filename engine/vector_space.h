// One vector space of a collection: the index that serves it, how it is loaded, grown and replaced.
#ifndef LARDER_ENGINE_VECTOR_SPACE_H_
#define LARDER_ENGINE_VECTOR_SPACE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "engine/build_threads.h"
#include "engine/tree_space.h"
#include "engine/tree_state.h"
#include "index/recall/filtered_check.h"
#include "index/recall/recall_tuner.h"
#include "index/vector_index.h"
#include "larder/collection_info.h"
#include "larder/options.h"
#include "larder/types.h"
#include "storage/extent_store.h"
#include "storage/store.h"

namespace larder {

// `auto` serves flat below this many vectors and hnsw above: a scan of so few takes about as long as
// a graph search, and is exact.
inline constexpr uint64_t kAutoHnswVectors = 5'000;

// With a prefix, a flat index of so many vectors no longer compares whole vectors of all.
inline constexpr uint64_t kPrefixScanVectors = 5'000;
// A tree is made of so many vectors at least; fewer are served flat.
inline constexpr uint64_t kLeastTreeVectors = 2'000;
// It is made anew once it has grown so many times over: its coarse cells and codes fit what it was made of.
inline constexpr uint64_t kTreeGrowth = 4;

struct TreeMemory {
  uint64_t build_bytes = 256 << 20;     // what building a tree may take
  uint64_t waiting_bytes = UINT64_MAX;  // what vectors that wait for their first tree may take
};

// Whether searches of this index may miss some of the nearest.
bool IsApproximate(const index::VectorIndex& index);

// Thread-safe.
class VectorSpace {
 public:
  // Store, extents and `threads`, which add to its index, must outlive it.
  VectorSpace(uint32_t collection, uint16_t number, VectorSpaceOptions options, storage::Store* store,
              storage::ExtentStore* extents, TreeMemory memory, BuildThreads* threads);

  const VectorSpaceOptions& options() const { return options_; }
  uint16_t number() const { return number_; }
  index::Metric metric() const { return static_cast<index::Metric>(options_.metric); }

  // Moves an `auto` space to a tree, as memory is short: WantsTree says so from now on. False if it cannot be moved.
  bool LeaveMemory();
  // What serves searches now. The pointer stays good while it is held, also when it is replaced.
  std::shared_ptr<index::VectorIndex> index() const;
  VectorSpaceInfo Info() const;
  // The candidate list that was asked for: by its length, by what it should find, or not at all.
  uint32_t EfFor(uint32_t ef, double target_recall, uint32_t k) const;
  // Which ef finds how much; searches offer their answers to it.
  index::RecallTuner& recall() const { return recall_; }
  // The same for searches under filters.
  index::FilteredCheck& filtered_recall() const { return filtered_recall_; }
  // Calibrates the index where that is due and checks some of the answers offered. Takes seconds, and
  // ends soon after `stop` says so. Called by one thread; returns whether it calibrated.
  bool TuneRecall(const std::function<bool()>& stop) const;

  // Opens the tree, or loads the snapshot in `directory`, or starts empty if there is none or it is damaged;
  // returns the first vid that it does not cover. `live`: all that the store has, tombstones excepted.
  absl::StatusOr<uint64_t> Load(const std::string& directory, absl::string_view tag, uint64_t covered_vid,
                                index::VidSet live);
  // Adds every row of kVectors from vid `from` on.
  absl::Status AddFromStore(uint64_t from);

  // A tree changes with the commit: calls `next` once with `batch` and, if there is a tree, its rows. An index in
  // memory learns of the change afterwards, by Add and Remove, which a tree ignores. Under the collection's gate.
  using Commit = index::TreeIndex::Commit;
  absl::Status Change(absl::Span<const uint64_t> vids, absl::Span<const float> vectors, absl::Span<const uint64_t> gone,
                      storage::WriteBatch batch, Commit next);
  // Many rows by several threads.
  absl::Status Add(absl::Span<const uint64_t> vids, absl::Span<const float> vectors);
  void Remove(absl::Span<const uint64_t> vids);

  absl::Status Save(const std::string& directory, absl::string_view tag) const;
  // The kind that this many vectors call for.
  index::Kind TargetKind(uint64_t vectors) const;
  bool HasOutgrownFlat() const;        // a scan has become slower than a graph would be
  bool WantsFolding(bool any) const;   // many tombstones, or `any`
  bool WantsTree() const;              // there is none and should be, or it is damaged or outgrown
  // Builds a fresh index from the store's rows beside the old one, then swaps under `gate` held
  // exclusively. If another replacement is running: waits for it and does what it left, or (not `wait`)
  // leaves it at that. A tree may take long: Cancelled soon after `stop` says so, and the next call goes on.
  absl::Status Replace(absl::Mutex* gate, bool wait, const std::function<bool()>& stop);

  // Of a tree: one piece of background work; false if there was none.
  absl::StatusOr<bool> Maintain();
  // By whoever writes, `gate` not held: does some of it where too much waits. Vectors that wait for their first tree
  // and fill their memory leave it: stored rows are compared until the tree is there.
  void HelpTree(absl::Mutex* gate);
  // For ExtentStore::CollectGarbage: owners in kTree of this space's trees. Aborted for one that is being built.
  absl::StatusOr<bool> Relocate(const storage::ExtentOwner& owner, const storage::ExtentPointer& from,
                                const storage::ExtentPointer& to, storage::WriteBatch* batch);
  // Holds the tree, if there is one, against itself and against what is alive; names what is wrong. Writers wait.
  absl::Status VerifyTree(absl::string_view where, std::vector<std::string>* problems) const;
  // Appends the removal of its trees.
  void AppendDrop(storage::WriteBatch* batch) const;

 private:
  index::IndexOptions OptionsFor(index::Kind kind) const;
  absl::Status AddRows(absl::Span<const uint64_t> vids, absl::Span<const float> rows, index::VectorIndex* index) const;
  absl::Status AddStored(uint64_t from, index::VectorIndex* index) const;
  absl::Status ReplaceInMemory(absl::Mutex* gate);
  std::string FileName(index::Kind kind) const;
  void Serve(std::shared_ptr<index::VectorIndex> fresh);

  // vector_space_tree.cc
  std::shared_ptr<TreeSpace> tree() const;  // null if something else serves
  StoredRows rows() const { return {store_, collection_, number_, options_.dimension}; }
  std::shared_ptr<TreeSpace> WaitingForTree(index::VidSet live) const;
  void LeaveFlat(absl::Mutex* gate);
  absl::StatusOr<bool> LoadTree(index::VidSet live) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status ReplaceByTree(absl::Mutex* gate, const std::function<bool()>& stop);
  absl::StatusOr<std::unique_ptr<index::TreeIndex>> BuildTree(const TreeState& state, const std::function<bool()>& stop);
  absl::Status AbandonBuild(TreeState state);
  absl::StatusOr<size_t> CatchUp(TreeSpace* fresh, TreeState* state);
  absl::Status PutState(const TreeState& state, storage::WriteBatch batch);
  void FillTreeInfo(const TreeSpace& tree, VectorSpaceInfo* info) const;

  const uint32_t collection_;
  const uint16_t number_;
  const VectorSpaceOptions options_;
  storage::Store* const store_;
  storage::ExtentStore* const extents_;
  const TreeMemory memory_;
  std::atomic<bool> leaving_memory_{false};
  BuildThreads* const threads_;
  absl::Mutex replacing_ ABSL_ACQUIRED_BEFORE(mutex_);  // one replacement at a time
  mutable index::RecallTuner recall_;
  mutable index::FilteredCheck filtered_recall_;
  mutable absl::Mutex mutex_;
  std::shared_ptr<index::VectorIndex> index_ ABSL_GUARDED_BY(mutex_);
  uint64_t tree_built_rows_ ABSL_GUARDED_BY(mutex_) = 0;
  std::string problem_ ABSL_GUARDED_BY(mutex_);  // of the last attempt to build a tree
};

}  // namespace larder

#endif  // LARDER_ENGINE_VECTOR_SPACE_H_

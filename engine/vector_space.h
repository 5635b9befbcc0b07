// One vector space of a collection: the index that serves it, how it is loaded, grown and replaced.
#ifndef LARDER_ENGINE_VECTOR_SPACE_H_
#define LARDER_ENGINE_VECTOR_SPACE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "engine/build_threads.h"
#include "index/recall/recall_tuner.h"
#include "index/vector_index.h"
#include "larder/options.h"
#include "larder/types.h"
#include "storage/store.h"

namespace larder {

// `auto` serves flat below this many vectors and hnsw above: a scan of so few takes about as long as
// a graph search, and is exact.
inline constexpr uint64_t kAutoHnswVectors = 5'000;

// With a prefix, a flat index of so many vectors no longer compares whole vectors of all.
inline constexpr uint64_t kPrefixScanVectors = 5'000;
// Whether searches of this index may miss some of the nearest.
bool IsApproximate(const index::VectorIndex& index);

// Thread-safe.
class VectorSpace {
 public:
  // `threads`, borrowed, add to its index.
  VectorSpace(uint32_t collection, uint16_t number, VectorSpaceOptions options, BuildThreads* threads);

  const VectorSpaceOptions& options() const { return options_; }
  uint16_t number() const { return number_; }
  index::Metric metric() const { return static_cast<index::Metric>(options_.metric); }

  // What serves searches now. The pointer stays good while it is held, also when it is replaced.
  std::shared_ptr<index::VectorIndex> index() const;
  VectorSpaceInfo Info() const;
  // The candidate list that was asked for: by its length, by what it should find, or not at all.
  uint32_t EfFor(uint32_t ef, double target_recall, uint32_t k) const;
  // Which ef finds how much; searches offer their answers to it.
  index::RecallTuner& recall() const { return recall_; }
  // Calibrates the index where that is due and checks some of the answers offered. Takes seconds, and
  // ends soon after `stop` says so. Called by one thread; returns whether it calibrated.
  bool TuneRecall(const std::function<bool()>& stop) const;

  // Loads the snapshot in `directory`, or starts empty if there is none or it is damaged; returns
  // the first vid that it does not cover. `expected` is how many vectors the store will add.
  uint64_t Load(const std::string& directory, absl::string_view tag, uint64_t covered_vid, uint64_t expected);
  // Adds every row of kVectors from vid `from` on.
  absl::Status AddFromStore(const storage::Store& store, uint64_t from);

  // Many rows by several threads.
  absl::Status Add(absl::Span<const uint64_t> vids, absl::Span<const float> vectors);
  void Remove(absl::Span<const uint64_t> vids);

  absl::Status Save(const std::string& directory, absl::string_view tag) const;
  // The kind that this many vectors call for.
  index::Kind TargetKind(uint64_t vectors) const;
  bool HasOutgrownFlat() const;        // a scan has become slower than a graph would be
  bool WantsFolding(bool any) const;   // many tombstones, or `any`
  // Builds a fresh index from the store's rows beside the old one, then swaps under `gate` held
  // exclusively. If another replacement is running: waits for it and does what it left, or (not `wait`)
  // leaves it at that.
  absl::Status Replace(const storage::Store& store, absl::Mutex* gate, bool wait);

 private:
  index::IndexOptions OptionsFor(index::Kind kind) const;
  absl::Status AddRows(absl::Span<const uint64_t> vids, absl::Span<const float> rows, index::VectorIndex* index) const;
  absl::Status AddStored(const storage::Store& store, uint64_t from, index::VectorIndex* index) const;
  std::string FileName(index::Kind kind) const;

  const uint32_t collection_;
  const uint16_t number_;
  const VectorSpaceOptions options_;
  BuildThreads* const threads_;
  absl::Mutex replacing_ ABSL_ACQUIRED_BEFORE(mutex_);  // one replacement at a time
  mutable index::RecallTuner recall_;
  mutable absl::Mutex mutex_;
  std::shared_ptr<index::VectorIndex> index_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace larder

#endif  // LARDER_ENGINE_VECTOR_SPACE_H_

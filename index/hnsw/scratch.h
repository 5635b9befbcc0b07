// What one walk over the graph needs, kept from walk to walk.
#ifndef LARDER_INDEX_HNSW_SCRATCH_H_
#define LARDER_INDEX_HNSW_SCRATCH_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace larder::index {

// Which elements a walk has seen: one byte each, cleared once in 255 walks.
class VisitedSet {
 public:
  void Clear(size_t size) {
    if (++epoch_ == 0 || size > epochs_.size()) {
      epochs_.assign(std::max(size, epochs_.size()), 0);
      epoch_ = 1;
    }
  }
  // False if `id` was in the set.
  bool Insert(uint32_t id) {
    if (epochs_[id] == epoch_) return false;
    epochs_[id] = epoch_;
    return true;
  }
  void Prefetch(uint32_t id) const { __builtin_prefetch(&epochs_[id]); }
  uint64_t bytes() const { return epochs_.capacity(); }

 private:
  std::vector<uint8_t> epochs_;
  uint8_t epoch_ = 0;
};

struct Candidate {
  float distance;
  uint32_t id;
};

// Thread-compatible.
struct Scratch {
  VisitedSet visited;
  std::vector<Candidate> pool;      // nearest first
  std::vector<Candidate> frontier;  // a heap
  // One expansion: links, the unvisited among them, their rows and distances.
  std::vector<uint32_t> links, ids;
  std::vector<const float*> rows;
  std::vector<float> distances;
  // An insertion: what was chosen on each layer, and the rows of one choice.
  std::vector<std::vector<uint32_t>> neighbours;
  std::vector<const float*> chosen_rows;

  // A full list and one more fit into everything that is used under an element's lock.
  explicit Scratch(uint32_t max_links)
      : links(max_links + 1), ids(max_links + 1), rows(max_links + 1), distances(max_links + 1) {
    pool.reserve(max_links + 1);
    chosen_rows.reserve(max_links + 1);
  }
  uint64_t bytes() const {
    return sizeof(*this) + visited.bytes() + (pool.capacity() + frontier.capacity()) * sizeof(Candidate) +
           links.size() * 28;
  }
};

// One scratch for each walk that runs at the same time. Thread-safe.
class ScratchPool {
 public:
  explicit ScratchPool(uint32_t max_links) : max_links_(max_links) {}

  // Gives itself back.
  class Lease {
   public:
    Lease(ScratchPool* pool, std::unique_ptr<Scratch> scratch) : pool_(pool), scratch_(std::move(scratch)) {}
    ~Lease() {
      if (scratch_ != nullptr) pool_->Release(std::move(scratch_));
    }
    Lease(Lease&&) = default;
    Scratch* get() const { return scratch_.get(); }
    Scratch* operator->() const { return scratch_.get(); }

   private:
    ScratchPool* pool_;
    std::unique_ptr<Scratch> scratch_;
  };
  Lease Take() {
    absl::MutexLock lock(&mutex_);
    if (free_.empty()) return Lease(this, std::make_unique<Scratch>(max_links_));
    std::unique_ptr<Scratch> scratch = std::move(free_.back());
    free_.pop_back();
    return Lease(this, std::move(scratch));
  }
  uint64_t bytes() const {  // of those not in use
    absl::MutexLock lock(&mutex_);
    uint64_t bytes = 0;
    for (const auto& scratch : free_) bytes += scratch->bytes();
    return bytes;
  }

 private:
  void Release(std::unique_ptr<Scratch> scratch) {
    absl::MutexLock lock(&mutex_);
    free_.push_back(std::move(scratch));
  }
  const uint32_t max_links_;
  mutable absl::Mutex mutex_;
  std::vector<std::unique_ptr<Scratch>> free_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace larder::index

#endif  // LARDER_INDEX_HNSW_SCRATCH_H_

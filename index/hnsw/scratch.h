// What one walk over the graph needs, kept from walk to walk.
#ifndef LARDER_INDEX_HNSW_SCRATCH_H_
#define LARDER_INDEX_HNSW_SCRATCH_H_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "index/hnsw/frontier.h"
#include "index/hnsw/match_bits.h"
#include "index/hnsw/vector_rows.h"

namespace larder::index {

// Which elements a walk has seen: a bit each, in the cache for some million elements.
class VisitedSet {
 public:
  void Clear(size_t size) {
    for (uint32_t id : inserted_) words_[id / 64] = 0;
    inserted_.clear();
    if (size > words_.size() * 64) words_.resize((size + 63) / 64, 0);
  }
  // Moves those of ids[0, count) that were not in the set to the front, in order; returns their number.
  size_t InsertNew(uint32_t* ids, size_t count) {
    size_t fresh = 0;
    for (size_t i = 0; i < count; ++i) {  // without branches: a quarter is fresh, at random
      const uint32_t id = ids[i];
      uint64_t& word = words_[id / 64];
      const uint64_t bit = uint64_t{1} << id % 64;
      ids[fresh] = id;
      fresh += (word & bit) == 0;
      word |= bit;
    }
    inserted_.insert(inserted_.end(), ids, ids + fresh);
    return fresh;
  }
  size_t size() const { return inserted_.size(); }
  uint64_t bytes() const { return words_.capacity() * 8 + inserted_.capacity() * 4; }

 private:
  std::vector<uint64_t> words_;
  std::vector<uint32_t> inserted_;
};

// Neighbours of one expanded element: gathered, fetched, scored later.
struct Expansion {
  std::vector<uint32_t> ids;
  std::vector<const uint8_t*> rows;
  size_t count = 0;
};

// Thread-compatible.
struct Scratch {
  VisitedSet visited;
  Frontier frontier;
  VectorRows::Query query;
  std::vector<Candidate> pool;  // what a walk found
  Expansion expansions[2];
  std::vector<uint32_t> links, ids;
  std::vector<float> distances;
  // A walk under a filter: what matches; what it looked through; where it began.
  MatchBits matches;
  VisitedSet bridges;
  std::vector<uint32_t> seeds;
  // An insertion: what was chosen on each layer; the rows of one choice and room to decode them.
  std::vector<std::vector<uint32_t>> neighbours;
  std::vector<const float*> plain_rows;
  std::vector<float> plain;

  // A full list and one more fit into everything that is used under an element's lock, but `plain`.
  explicit Scratch(uint32_t max_links) : links(max_links + 1), ids(max_links + 1), distances(max_links + 1) {
    pool.reserve(max_links + 1);
    plain_rows.reserve(max_links + 2);
    for (Expansion& expansion : expansions) {
      expansion.ids.resize(max_links + 1);
      expansion.rows.resize(max_links + 1);
    }
  }
  // Room to decode a full list and two more.
  void ReservePlain(size_t floats) { plain.resize((links.size() + 1) * floats); }
  uint64_t bytes() const {
    return sizeof(*this) + visited.bytes() + bridges.bytes() + matches.bytes() + frontier.bytes() + pool.capacity() * sizeof(Candidate) +
           links.size() * 48 + plain.capacity() * sizeof(float);
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

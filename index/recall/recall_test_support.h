// Indexes that find as much as a test wants them to.
#ifndef LARDER_INDEX_RECALL_RECALL_TEST_SUPPORT_H_
#define LARDER_INDEX_RECALL_RECALL_TEST_SUPPORT_H_

#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "index/test_vectors.h"
#include "index/vector_index.h"

namespace larder::index {

inline std::unique_ptr<VectorIndex> FilledIndex(Kind kind, size_t count, uint32_t dimension, uint64_t seed) {
  IndexOptions options;
  options.kind = kind;
  options.dimension = dimension;
  options.metric = Metric::kL2;
  auto index = *CreateIndex(options);
  std::vector<Vid> vids(count);
  std::iota(vids.begin(), vids.end(), 1);
  if (!index->Add(vids, ClusteredVectors(count, dimension, seed)).ok()) return nullptr;
  return index;
}

// Exact, but for what `spoil` does to the answers of Search.
class SpoiledIndex : public VectorIndex {
 public:
  using Spoil = std::function<void(const SearchParams& params, std::vector<Neighbor>* answer)>;
  SpoiledIndex(std::unique_ptr<VectorIndex> inner, Spoil spoil) : inner_(std::move(inner)), spoil_(std::move(spoil)) {}

  const IndexOptions& options() const override { return inner_->options(); }
  absl::Status Add(absl::Span<const Vid> vids, absl::Span<const float> vectors) override {
    return inner_->Add(vids, vectors);
  }
  void Remove(absl::Span<const Vid> vids) override { inner_->Remove(vids); }
  absl::StatusOr<std::vector<Neighbor>> Search(absl::Span<const float> query,
                                               const SearchParams& params) const override {
    auto answer = inner_->Search(query, params);
    if (answer.ok()) spoil_(params, &*answer);
    return answer;
  }
  absl::StatusOr<std::vector<Neighbor>> Score(absl::Span<const float> query, const VidSet& candidates,
                                              uint32_t k) const override {
    on_score();
    return inner_->Score(query, candidates, k);
  }
  absl::StatusOr<std::vector<float>> Vector(Vid vid) const override { return inner_->Vector(vid); }
  bool Contains(Vid vid) const override { return inner_->Contains(vid); }
  VidSet LiveVids() const override { return inner_->LiveVids(); }
  absl::Status Save(const std::string& path, absl::string_view tag) const override { return inner_->Save(path, tag); }
  IndexStats Stats() const override { return inner_->Stats(); }

  std::function<void()> on_score = [] {};  // a scan begins; a test's clock may go on

 private:
  const std::unique_ptr<VectorIndex> inner_;
  const Spoil spoil_;
};

// Leaves out every fifth answer.
inline void DropEveryFifth(const SearchParams&, std::vector<Neighbor>* answer) {
  std::vector<Neighbor> kept;
  for (size_t i = 0; i < answer->size(); ++i) {
    if (i % 5 != 4) kept.push_back((*answer)[i]);
  }
  *answer = std::move(kept);
}

}  // namespace larder::index

#endif  // LARDER_INDEX_RECALL_RECALL_TEST_SUPPORT_H_

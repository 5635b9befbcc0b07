// Plain hnswlib in memory, compiled for this machine: the rival.
#include <hnswlib/hnswlib.h>

#include <cmath>

#include "tools/bench/ann_system.h"

namespace larder::tools {
namespace {

class HnswlibSystem : public AnnSystem {
 public:
  std::string name() const override { return "hnswlib"; }

  absl::Status Build(RowSource* rows, const AnnOptions& options) override {
    const size_t dimension = rows->dimension();
    normalise_ = options.metric == "cosine";
    k_ = options.k;
    if (options.metric == "l2") {
      space_ = std::make_unique<hnswlib::L2Space>(dimension);
    } else {
      space_ = std::make_unique<hnswlib::InnerProductSpace>(dimension);
    }
    index_ = std::make_unique<hnswlib::HierarchicalNSW<float>>(space_.get(), rows->rows(), options.m,
                                                               options.ef_construction);
    return InThreads(BuildThreads(options), [&](uint32_t) -> absl::Status {
      std::vector<float> batch;
      for (;;) {
        uint64_t first = 0, count = 0;
        if (absl::Status status = rows->Next(&first, &count, &batch); !status.ok()) return status;
        if (count == 0) return absl::OkStatus();
        for (uint64_t i = 0; i < count; ++i) {
          float* row = batch.data() + i * dimension;
          if (normalise_) Normalise(row, dimension);
          index_->addPoint(row, first + i);
        }
      }
    });
  }

  absl::Status Search(const std::vector<float>& query, uint32_t ef, std::vector<uint32_t>* rows) const override {
    // One setting at a time, so every thread writes the same value.
    if (index_->ef_ != ef) index_->setEf(ef);
    std::vector<float> unit = query;
    if (normalise_) Normalise(unit.data(), unit.size());
    auto nearest = index_->searchKnn(unit.data(), k_);
    rows->resize(nearest.size());
    for (size_t i = nearest.size(); i > 0; --i, nearest.pop()) (*rows)[i - 1] = nearest.top().second;
    return absl::OkStatus();
  }

  double bytes_per_vector() const override {
    // Level 0 (links, vector, label) and, for 1 in m nodes, links above.
    return static_cast<double>(index_->size_data_per_element_) +
           static_cast<double>(index_->size_links_per_element_) / (index_->M_ - 1.0);
  }
  absl::StatusOr<double> Reopen(const std::vector<float>&) override { return -1.0; }

 private:
  static void Normalise(float* row, size_t dimension) {
    double sum = 0;
    for (size_t i = 0; i < dimension; ++i) sum += static_cast<double>(row[i]) * row[i];
    const float scale = sum > 0 ? static_cast<float>(1 / std::sqrt(sum)) : 0;
    for (size_t i = 0; i < dimension; ++i) row[i] *= scale;
  }

  bool normalise_ = false;
  uint32_t k_ = 10;
  std::unique_ptr<hnswlib::SpaceInterface<float>> space_;
  std::unique_ptr<hnswlib::HierarchicalNSW<float>> index_;
};

}  // namespace

std::unique_ptr<AnnSystem> MakeHnswlibSystem() { return std::make_unique<HnswlibSystem>(); }

}  // namespace larder::tools

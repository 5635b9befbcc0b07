#include "index/benchmark/plain_hnswlib.h"

#include <hnswlib/hnswlib.h>

namespace larder::index {
namespace {

class Plain : public PlainHnswlib {
 public:
  Plain(size_t dimension, size_t capacity, size_t m, size_t ef_construction)
      : space_(dimension), graph_(&space_, capacity, m, ef_construction) {}

  void Add(const float* row, uint64_t label) override { graph_.addPoint(row, label); }
  size_t Search(const float* query, size_t k, size_t ef, uint64_t* labels) override {
    graph_.setEf(ef);
    auto found = graph_.searchKnn(query, k);
    const size_t count = found.size();
    for (size_t i = 0; i < count; ++i, found.pop()) labels[i] = found.top().second;
    return count;
  }

 private:
  hnswlib::InnerProductSpace space_;
  hnswlib::HierarchicalNSW<float> graph_;
};

}  // namespace

PlainHnswlib* NewPlainHnswlib(size_t dimension, size_t capacity, size_t m, size_t ef_construction) {
  return new Plain(dimension, capacity, m, ef_construction);
}

}  // namespace larder::index

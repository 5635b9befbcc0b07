#include "engine/embed/batch_plan.h"

#include <algorithm>
#include <numeric>

namespace larder {

std::vector<Batch> PlanBatches(absl::Span<const size_t> lengths, size_t max_tokens) {
  std::vector<size_t> rounded;
  for (size_t length : lengths) rounded.push_back((length + kLengthStep - 1) / kLengthStep * kLengthStep);
  std::vector<size_t> order(lengths.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&rounded](size_t a, size_t b) { return rounded[a] > rounded[b]; });
  std::vector<Batch> batches;
  for (size_t begin = 0; begin < order.size();) {
    const size_t length = rounded[order[begin]];
    size_t same = begin + 1;
    while (same < order.size() && rounded[order[same]] == length) ++same;
    size_t count = 1;
    while (2 * count <= same - begin && 2 * count * length <= max_tokens) count *= 2;
    batches.push_back({length, {order.begin() + begin, order.begin() + begin + count}});
    begin += count;
  }
  return batches;
}

}  // namespace larder

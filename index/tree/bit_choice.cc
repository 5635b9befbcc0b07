#include "index/tree/bit_choice.h"

#include <algorithm>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "index/top_k.h"
#include "index/tree/parallel.h"
#include "index/tree/posting.h"
#include "index/vector_math.h"

namespace larder::index {
namespace {

constexpr uint32_t kMostBits = 5;
constexpr size_t kQueries = 16;      // of a sample's rows
constexpr size_t kNeighbours = 10;
constexpr double kRecall = 0.95;
constexpr double kPostings = 16;     // that a query reads, about

}  // namespace

BitChoice::BitChoice(uint32_t dimension, Metric metric, uint32_t leaf_entries, uint64_t seed)
    : dimension_(dimension), metric_(metric), leaf_entries_(leaf_entries), seed_(seed) {}

void BitChoice::AddSample(std::vector<float> rows) { samples_.push_back(std::move(rows)); }

absl::StatusOr<uint32_t> BitChoice::Choose(int threads) const {
  std::vector<std::vector<uint32_t>> places(kMostBits + 1);
  absl::Mutex mutex;
  const absl::Status status = ParallelFor(samples_.size() * kMostBits, threads, [&](size_t i) {
    const uint32_t bits = static_cast<uint32_t>(i % kMostBits) + 1;
    std::vector<uint32_t> found;
    Places(samples_[i / kMostBits], bits, &found);
    absl::MutexLock lock(&mutex);
    places[bits].insert(places[bits].end(), found.begin(), found.end());
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  uint32_t best = 1;
  double least = 1e300;
  for (uint32_t bits = 1; bits <= kMostBits; ++bits) {
    if (places[bits].empty()) continue;
    const PostingCode code({.dimension = dimension_, .metric = metric_, .bits = bits});
    const size_t at = static_cast<size_t>(kRecall * static_cast<double>(places[bits].size() - 1));
    std::nth_element(places[bits].begin(), places[bits].begin() + at, places[bits].end());
    const double candidates = std::max<double>(kNeighbours, places[bits][at] + 1);
    const double bytes = static_cast<double>(code.block_bytes()) / kBlockCodes * leaf_entries_;
    const double cost = kPostings * (cost_.read_us + bytes * cost_.byte_us) + candidates * (cost_.read_us + 4096 * cost_.byte_us);
    if (cost < least) least = cost, best = bits;
  }
  return best;
}

void BitChoice::Places(const std::vector<float>& rows, uint32_t bits, std::vector<uint32_t>* places) const {
  const size_t n = dimension_, count = rows.size() / n;
  const PostingCode code({.dimension = dimension_, .metric = metric_, .bits = bits, .seed = seed_});
  std::vector<float> anchor(n, 0), centre(n), rotated(n);
  std::vector<const float*> pointers(count);
  for (size_t i = 0; i < count; ++i) {
    pointers[i] = &rows[i * n];
    for (size_t j = 0; j < n; ++j) anchor[j] += rows[i * n + j] / static_cast<float>(count);
  }
  code.Rotate(anchor.data(), centre.data());
  std::vector<uint8_t> coded(count * code.row_bytes());
  for (size_t i = 0; i < count; ++i) {
    code.Rotate(pointers[i], rotated.data());
    code.Encode(rotated.data(), centre.data(), {.vid = i}, &coded[i * code.row_bytes()]);
  }
  const std::string bytes = EncodePosting(code, 0, coded.data(), count);
  const absl::StatusOr<Posting> posting = Posting::Parse(code, bytes, "sample");
  const DistanceKernels kernels = SelectKernels(FormOf(metric_));
  std::vector<float> exact(count), estimates((count + kBlockCodes - 1) / kBlockCodes * kBlockCodes);
  PostingQuery query;
  for (size_t q = 0; q < std::min(kQueries, count); ++q) {
    const size_t self = q * count / std::min(kQueries, count);
    kernels.batch(pointers[self], pointers.data(), count, n, exact.data());
    code.Prepare(pointers[self], &query);
    const PostingCode::AnchorTerms terms = code.Against(query, anchor.data());
    for (size_t b = 0; b < posting->blocks(); ++b) {
      code.EstimateBlock(query, terms, posting->block(b), &estimates[b * kBlockCodes]);
    }
    TopK best(kNeighbours, count);
    for (size_t i = 0; i < count; ++i) {
      if (i != self) best.Push({i, exact[i]});
    }
    for (const Neighbor& neighbour : std::move(best).Take()) {
      uint32_t place = 0;
      for (size_t i = 0; i < count; ++i) place += i != self && estimates[i] < estimates[neighbour.vid];
      places->push_back(place);
    }
  }
}

}  // namespace larder::index

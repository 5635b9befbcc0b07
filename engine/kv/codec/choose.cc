// Which tokens and which numbers deserve more room.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/kv/codec/quantize.h"

namespace larder::kv {
namespace {

constexpr uint32_t kMostInStripe = 255;
// Scores are counted in steps of 1/64 deviation up to 64.
constexpr size_t kBins = 4096;
constexpr float kBinsPerDeviation = 64;

uint64_t Elements(const PayloadHeader& header) {
  return uint64_t{header.tokens} * header.heads * header.dim;
}

// Bytes of the budget of `bits` a number that `header` leaves; below 0 if it is overdrawn.
double BytesLeft(const PayloadHeader& header, double bits) {
  return static_cast<double>(Elements(header)) * bits / 8 - static_cast<double>(PayloadLayout(header).end);
}

// The mean direction of each head.
std::vector<float> MeanDirection(const CodedTensor& coded) {
  std::vector<float> sum(coded.columns());
  for (uint32_t t = 0; t < coded.tokens; ++t) {
    for (size_t head = 0; head < coded.columns(); head += coded.dim) {
      const float* x = coded.Row(t) + head;
      const float norm = std::sqrt(std::inner_product(x, x + coded.dim, x, 1e-30f));
      for (size_t c = 0; c < coded.dim; ++c) sum[head + c] += x[c] / norm;
    }
  }
  return sum;
}

std::vector<float> KeyDiff(const CodedTensor& coded) {
  const std::vector<float> mean = MeanDirection(coded);
  std::vector<float> saliency(coded.tokens);
  for (uint32_t t = 0; t < coded.tokens; ++t) {
    for (size_t head = 0; head < coded.columns(); head += coded.dim) {
      const float *x = coded.Row(t) + head, *m = &mean[head];
      const float norms = std::inner_product(x, x + coded.dim, x, 1e-30f) *
                          std::inner_product(m, m + coded.dim, m, 1e-30f);
      saliency[t] -= std::inner_product(x, x + coded.dim, m, 0.0f) / std::sqrt(norms);
    }
  }
  return saliency;
}

struct Moments {
  float mean = 0, inverse_deviation = 0;  // 0 where all are equal
};

Moments MomentsOf(double sum, double squares, double count) {
  const double mean = sum / count, variance = squares / count - mean * mean;
  return {static_cast<float>(mean),
          variance > 1e-12 * mean * mean ? static_cast<float>(1 / std::sqrt(variance)) : 0.0f};
}

std::vector<Moments> ColumnMoments(const CodedTensor& coded) {
  std::vector<double> sums(coded.columns()), squares(coded.columns());
  for (uint32_t t = 0; t < coded.tokens; ++t) {
    const float* x = coded.Row(t);
    for (size_t c = 0; c < coded.columns(); ++c) sums[c] += x[c], squares[c] += double{x[c]} * x[c];
  }
  std::vector<Moments> moments(coded.columns());
  for (size_t c = 0; c < moments.size(); ++c) moments[c] = MomentsOf(sums[c], squares[c], coded.tokens);
  return moments;
}

// Of one head of one token, around the columns' means.
Moments GroupMoments(const float* x, const float* means, uint32_t dim) {
  double sum = 0, squares = 0;
  for (uint32_t c = 0; c < dim; ++c) sum += x[c] - means[c], squares += double{x[c] - means[c]} * (x[c] - means[c]);
  return MomentsOf(sum, squares, dim);
}

uint16_t Bin(float distance, float inverse_deviation) {
  return static_cast<uint16_t>(
      std::min(std::abs(distance) * inverse_deviation * kBinsPerDeviation, static_cast<float>(kBins - 1)));
}

std::vector<uint16_t> Scores(KvSide side, const std::vector<float>& means, const CodedTensor& coded) {
  std::vector<uint16_t> scores(coded.tokens * coded.columns());
  const std::vector<Moments> columns = side == KvSide::kKey ? ColumnMoments(coded) : std::vector<Moments>();
  uint16_t* score = scores.data();
  for (uint32_t t = 0; t < coded.tokens; ++t) {
    const float* x = coded.Row(t);
    for (size_t head = 0; head < coded.columns(); head += coded.dim) {
      Moments group;
      if (columns.empty()) group = GroupMoments(x + head, &means[head], coded.dim);
      for (size_t c = head; c < head + coded.dim; ++c) {
        *score++ = columns.empty() ? Bin(x[c] - means[c] - group.mean, group.inverse_deviation)
                                   : Bin(x[c] - columns[c].mean, columns[c].inverse_deviation);
      }
    }
  }
  return scores;
}

// The lowest score above which no more than `most` lie.
size_t Threshold(const std::vector<uint16_t>& scores, uint64_t most) {
  std::vector<uint64_t> bins(kBins);
  for (uint16_t score : scores) ++bins[score];
  size_t bin = kBins;
  for (uint64_t above = 0; bin > 1 && above + bins[bin - 1] <= most; --bin) above += bins[bin - 1];
  return bin;
}

}  // namespace

uint32_t WideTokens(const PayloadHeader& header) {
  const uint32_t coded = header.tokens - header.exact_tokens;
  if (static_cast<CodecKind>(header.codec) != CodecKind::kMixed) return coded;
  PayloadHeader half = header;  // half the outliers come first, wide tokens take what is left
  half.wide_tokens = 0;
  half.outliers = static_cast<uint32_t>(static_cast<double>(Elements(header)) * kMostOutliers / 2);
  const PayloadLayout layout(half);
  const double more = static_cast<double>(layout.wide_row_bytes - layout.narrow_row_bytes);
  const double count = more > 0 ? BytesLeft(half, kMixedBits) / more : coded;
  return static_cast<uint32_t>(std::clamp(count, coded * 0.1, coded * 0.5));
}

uint64_t MostOutliers(const PayloadHeader& header) {
  const auto kind = static_cast<CodecKind>(header.codec);
  const double elements = static_cast<double>(Elements(header));
  const double bits = kind == CodecKind::kInt4 ? kInt4Bits : kind == CodecKind::kMixed ? kMixedBits : 16;
  const double each = header.dtype == static_cast<uint8_t>(KvDtype::kF32) ? 5 : 3;
  return static_cast<uint64_t>(
      std::clamp(BytesLeft(header, bits) / each, elements * kMostOutliers / 10, elements * kMostOutliers));
}

std::vector<bool> ChooseWide(const CodedTensor& coded, absl::Span<const float> saliency, uint32_t count) {
  std::vector<float> judged;
  if (saliency.empty()) judged = KeyDiff(coded), saliency = judged;
  std::vector<uint32_t> order(coded.tokens);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return saliency[a] > saliency[b]; });
  std::vector<bool> wide(coded.tokens);
  for (uint32_t i = 0; i < count; ++i) wide[order[i]] = true;
  return wide;
}

void ChooseOutliers(KvSide side, const std::vector<float>& means, uint64_t most, CodedTensor* coded) {
  const std::vector<uint16_t> scores = Scores(side, means, *coded);
  const size_t threshold = Threshold(scores, most), columns = coded->columns();
  coded->outliers.assign(scores.size(), false);
  for (size_t row = 0; row < scores.size(); row += columns) {
    uint32_t in_stripe = 0;
    for (size_t c = 0; c < columns; ++c) {
      if (c % kStripeColumns == 0) in_stripe = 0;
      if (scores[row + c] < threshold || in_stripe == kMostInStripe) continue;
      coded->outliers[row + c] = true;
      ++in_stripe;
    }
  }
}

std::vector<float> Means(const CodedTensor& coded) {
  std::vector<double> sums(coded.columns());
  for (uint32_t t = 0; t < coded.tokens; ++t) {
    for (size_t c = 0; c < sums.size(); ++c) sums[c] += coded.Row(t)[c];
  }
  std::vector<float> means(sums.size());
  for (size_t c = 0; c < means.size(); ++c) means[c] = static_cast<float>(sums[c] / coded.tokens);
  return means;
}

}  // namespace larder::kv

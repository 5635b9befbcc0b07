#include <cmath>
#include <limits>
#include <new>

#include "absl/strings/str_cat.h"
#include "engine/kv/codec/kv_kernels.h"
#include "larder/kv_codec.h"
#include "storage/status_macros.h"

namespace larder::kv {
namespace {

constexpr int64_t kMaxPosition = int64_t{1} << 31;
constexpr uint32_t kMaxRotaryDim = 4096;
constexpr size_t kLanes = 8;  // the widest vector of Angles

absl::Status CheckRope(const KvRope& rope) {
  if (rope.style == RopeStyle::kNone) return absl::OkStatus();
  if (rope.style != RopeStyle::kNeox && rope.style != RopeStyle::kInterleaved) {
    return absl::InvalidArgumentError(absl::StrCat("rope: unknown style ", static_cast<int>(rope.style)));
  }
  if (rope.rotary_dim == 0 || rope.rotary_dim % 2 != 0 || rope.rotary_dim > kMaxRotaryDim) {
    return absl::InvalidArgumentError(
        absl::StrCat("rope: rotary_dim ", rope.rotary_dim, ", expected an even number from 2 to ", kMaxRotaryDim));
  }
  if (rope.frequencies.size() != rope.rotary_dim / 2) {
    return absl::InvalidArgumentError(absl::StrCat("rope: ", rope.frequencies.size(), " frequencies, expected ",
                                                   rope.rotary_dim / 2, ", half of rotary_dim"));
  }
  for (double frequency : rope.frequencies) {
    if (!(std::abs(frequency) <= 1e6)) {
      return absl::InvalidArgumentError(absl::StrCat("rope: frequency ", frequency, ", expected at most 1e6"));
    }
  }
  return absl::OkStatus();
}

// One row of a table: see RopeTable::Row.
void FillRow(RopeStyle style, size_t half, const float* cosines, const float* sines, float* row) {
  for (size_t i = 0; i < half; ++i) {
    if (style == RopeStyle::kNeox) {
      row[i] = cosines[i];
      row[half + i] = sines[i];
    } else {
      row[2 * i] = row[2 * i + 1] = cosines[i];
      row[2 * half + 2 * i] = -sines[i];
      row[2 * half + 2 * i + 1] = sines[i];
    }
  }
}

}  // namespace

absl::StatusOr<KvRope> RopeOf(const KvProfile& profile) {
  KvRope rope;
  rope.style = profile.rope_style;
  if (rope.style == RopeStyle::kNone) return rope;
  rope.rotary_dim = profile.rotary_dim == 0 ? profile.head_dim : profile.rotary_dim;
  if (rope.rotary_dim > profile.head_dim) {
    return absl::InvalidArgumentError(
        absl::StrCat("rope: rotary_dim ", rope.rotary_dim, " exceeds head_dim ", profile.head_dim));
  }
  rope.frequencies = profile.rope_frequencies;
  for (uint32_t i = 0; i < rope.rotary_dim / 2 && profile.rope_frequencies.empty(); ++i) {
    rope.frequencies.push_back(std::pow(profile.rope_theta, -2.0 * i / rope.rotary_dim));
  }
  RETURN_IF_ERROR(CheckRope(rope));
  return rope;
}

absl::StatusOr<RopeTable> RopeTable::Make(const KvRope& rope, int64_t position, uint32_t first_token,
                                          uint32_t tokens) {
  RETURN_IF_ERROR(CheckRope(rope));
  const int64_t last = position + first_token + tokens;
  if (std::abs(position) > kMaxPosition || last > kMaxPosition) {
    return absl::InvalidArgumentError(
        absl::StrCat("rope: positions ", position, " to ", last, ", expected at most ", kMaxPosition));
  }
  RopeTable table;
  table.style_ = rope.style, table.rotary_dim_ = rope.rotary_dim;
  table.first_token_ = first_token, table.tokens_ = tokens;
  if (rope.style == RopeStyle::kNone) return table;
  const size_t half = rope.rotary_dim / 2, padded = (half + kLanes - 1) / kLanes * kLanes;
  table.stride_ = rope.style == RopeStyle::kNeox ? 2 * half : 4 * half;
  try {
    std::vector<double> turns(padded);
    for (size_t i = 0; i < half; ++i) turns[i] = rope.frequencies[i] / (2 * M_PI);
    std::vector<float> cosines(padded), sines(padded);
    table.table_.resize(table.stride_ * tokens + kRowSlack);
    const KvKernels kernels = SelectKvKernels();
    for (uint32_t t = 0; t < tokens; ++t) {
      kernels.angles(static_cast<double>(position + first_token + t), turns.data(), half, cosines.data(), sines.data());
      FillRow(rope.style, half, cosines.data(), sines.data(), &table.table_[t * table.stride_]);
    }
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(absl::StrCat("rope: no memory for ", tokens, " positions"));
  }
  return table;
}

absl::StatusOr<RopeTable> RopeTable::At(const KvRope& rope, int64_t position, uint32_t first_token, uint32_t tokens) {
  if (tokens == 0) return absl::InvalidArgumentError("rope: no tokens");
  return Make(rope, position, first_token, tokens);
}

absl::StatusOr<RopeTable> RopeTable::By(const KvRope& rope, int64_t distance) {
  auto table = Make(rope, distance, 0, 1);
  if (table.ok()) table->stride_ = 0;
  return table;
}

}  // namespace larder::kv

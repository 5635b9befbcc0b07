// Tensors, and a decoder of one number at a time that reads payloads by README.md and shares no code with the
// codec but element.h.
#ifndef LARDER_ENGINE_KV_CODEC_CODEC_TEST_SUPPORT_H_
#define LARDER_ENGINE_KV_CODEC_CODEC_TEST_SUPPORT_H_

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "engine/kv/codec/element.h"
#include "larder/kv_codec.h"

namespace larder::kv {

// Heavy-tailed columns, a large first token, a few outliers anywhere: what keys look like.
inline std::vector<float> KeyLikeNumbers(const KvTensorShape& shape, uint32_t seed = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  const size_t columns = size_t{shape.heads} * shape.dim;
  std::vector<float> scale(columns), offset(columns), numbers(shape.tokens * columns);
  for (size_t c = 0; c < columns; ++c) scale[c] = std::exp(normal(random)), offset[c] = 3 * normal(random);
  for (size_t i = 0; i < numbers.size(); ++i) {
    const float tail = random() % 200 == 0 ? 8.0f : 1.0f;
    numbers[i] = offset[i % columns] + scale[i % columns] * tail * normal(random);
    if (i < columns) numbers[i] *= 10;
  }
  return numbers;
}

inline std::string TensorOf(KvDtype dtype, const std::vector<float>& numbers) {
  std::string bytes(numbers.size() * ElementBytes(dtype), '\0');
  for (size_t i = 0; i < numbers.size(); ++i) StoreElement(dtype, numbers[i], &bytes[i * ElementBytes(dtype)]);
  return bytes;
}

inline std::vector<float> NumbersOf(KvDtype dtype, absl::string_view bytes) {
  std::vector<float> numbers(bytes.size() / ElementBytes(dtype));
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = LoadElement(dtype, &bytes[i * ElementBytes(dtype)]);
  return numbers;
}

// A payload with a header, by README.md.
class ReferencePayload {
 public:
  explicit ReferencePayload(absl::string_view bytes) : bytes_(bytes) {
    codec_ = U8(5), keys_ = U8(6) == 0, dtype_ = static_cast<KvDtype>(U8(7));
    tokens_ = U32(8), heads_ = U32(12), dim_ = U32(16), exact_ = U32(20), wide_ = U32(24), outliers_ = U32(28);
    columns_ = heads_ * dim_, coded_ = tokens_ - exact_, stripes_ = (columns_ + 255) / 256;
    const size_t size = ElementBytes(dtype_);
    size_t at = 64;
    const auto section = [&at](size_t bytes) { return std::exchange(at, (at + bytes + 15) / 16 * 16); };
    exact_at_ = section(exact_ * columns_ * size);
    columns_at_ = section(coded_ == 0 ? 0 : columns_ * (keys_ ? 4 : 2));
    groups_at_ = section(keys_ ? 0 : coded_ * heads_ * 2);
    classes_at_ = section(codec_ == 3 ? (coded_ + 7) / 8 : 0);
    wide_at_ = section(wide_ * RowBytes(codec_ == 1 ? 8 : 4));
    narrow_at_ = section((coded_ - wide_) * RowBytes(2));
    counts_at_ = at, places_at_ = at + coded_ * stripes_, at = places_at_ + outliers_;
    at = (at + 15) / 16 * 16;
    values_at_ = at, end_ = at + outliers_ * size;
  }
  size_t end() const { return end_; }

  std::vector<float> Row(size_t token) const {
    std::vector<float> row(columns_);
    const size_t size = ElementBytes(dtype_);
    if (token < exact_) {
      for (size_t c = 0; c < columns_; ++c) row[c] = LoadElement(dtype_, &bytes_[exact_at_ + (token * columns_ + c) * size]);
      return row;
    }
    const size_t coded = token - exact_;
    for (size_t c = 0; c < columns_; ++c) row[c] = Number(coded, c);
    size_t outlier = 0;
    for (size_t i = 0; i < coded * stripes_; ++i) outlier += U8(counts_at_ + i);
    for (size_t stripe = 0; stripe < stripes_; ++stripe) {
      for (size_t i = 0; i < U8(counts_at_ + coded * stripes_ + stripe); ++i, ++outlier) {
        row[256 * stripe + U8(places_at_ + outlier)] = LoadElement(dtype_, &bytes_[values_at_ + outlier * size]);
      }
    }
    return row;
  }

 private:
  uint32_t U8(size_t at) const { return static_cast<uint8_t>(bytes_[at]); }
  uint32_t U32(size_t at) const { return U8(at) | U8(at + 1) << 8 | U8(at + 2) << 16 | U8(at + 3) << 24; }
  float F16(size_t at) const { return LoadElement(KvDtype::kF16, &bytes_[at]); }
  float F32(size_t at) const { return LoadElement(KvDtype::kF32, &bytes_[at]); }
  size_t RowBytes(size_t bits) const { return (columns_ * bits + 127) / 128 * 16; }
  bool IsWide(size_t coded) const { return codec_ != 3 || (U8(classes_at_ + coded / 8) >> coded % 8 & 1) == 1; }

  float Number(size_t coded, size_t c) const {
    size_t row = 0;
    for (size_t t = 0; t < coded; ++t) row += IsWide(t) == IsWide(coded);
    const size_t bits = !IsWide(coded) ? 2 : codec_ == 1 ? 8 : 4, per_block = 128 / bits;
    const size_t at = (IsWide(coded) ? wide_at_ : narrow_at_) + row * RowBytes(bits) + c / per_block * 16 + c % 16;
    const float code = static_cast<float>(U8(at) >> c % per_block / 16 * bits & ((1 << bits) - 1));
    const float column_unit = F32(40), group_unit = F32(44);
    if (keys_) {
      const float scale = column_unit * F16(columns_at_ + 4 * c), zero = column_unit * F16(columns_at_ + 4 * c + 2);
      return bits == 2 ? zero + 7.5f * scale + 2.75f * scale * (code - 1.5f) : zero + scale * code;
    }
    const size_t group = groups_at_ + 2 * (coded * heads_ + c / dim_);
    const float step = group_unit * std::exp2((static_cast<float>(U8(group)) - 255) / 16);
    const float zero = static_cast<float>(U8(group + 1) * ((1 << bits) - 1)) / 255;
    return column_unit * F16(columns_at_ + 2 * c) + step * (code - zero);
  }

  absl::string_view bytes_;
  uint32_t codec_;
  bool keys_;
  KvDtype dtype_;
  size_t tokens_, heads_, dim_, exact_, wide_, outliers_, columns_, coded_, stripes_;
  size_t exact_at_, columns_at_, groups_at_, classes_at_, wide_at_, narrow_at_, counts_at_, places_at_, values_at_, end_;
};

// One head turned in double precision.
inline void ReferenceTurn(const KvRope& rope, double position, float* head) {
  for (uint32_t i = 0; i < rope.rotary_dim / 2; ++i) {
    const double angle = position * rope.frequencies[i];
    float& a = head[rope.style == RopeStyle::kNeox ? i : 2 * i];
    float& b = head[rope.style == RopeStyle::kNeox ? i + rope.rotary_dim / 2 : 2 * i + 1];
    const double x = a, y = b;
    a = static_cast<float>(x * std::cos(angle) - y * std::sin(angle));
    b = static_cast<float>(y * std::cos(angle) + x * std::sin(angle));
  }
}

inline KvRope PlainRope(RopeStyle style, uint32_t rotary_dim, double theta = 10000) {
  KvRope rope{style, rotary_dim, {}};
  for (uint32_t i = 0; i < rotary_dim / 2; ++i) rope.frequencies.push_back(std::pow(theta, -2.0 * i / rotary_dim));
  return rope;
}

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_CODEC_CODEC_TEST_SUPPORT_H_

// What encoding keeps, what it declares, what it refuses.
#include <algorithm>
#include <cmath>

#include "engine/kv/codec/codec_test_support.h"
#include "gtest/gtest.h"

namespace larder::kv {
namespace {

constexpr KvTensorShape kChunk{512, 3, 64, KvDtype::kF16};

std::string Encode(absl::string_view codec, KvSide side, const KvTensorShape& shape, absl::string_view tensor,
                   const KvEncoding& encoding = {}) {
  auto payload = EncodeKv(codec, side, shape, tensor, encoding);
  EXPECT_TRUE(payload.ok()) << payload.status();
  return payload.ok() ? *payload : "";
}

std::vector<float> Decode(absl::string_view codec, KvSide side, const KvTensorShape& shape, absl::string_view payload,
                          const RopeTable* rope = nullptr) {
  std::vector<float> out(size_t{shape.tokens} * shape.heads * shape.dim);
  const auto bytes = absl::MakeSpan(reinterpret_cast<std::byte*>(out.data()), out.size() * sizeof(float));
  const absl::Status status = DecodeKv(codec, side, shape, payload, {}, rope,
                                       ContiguousTarget(bytes, KvDtype::kF32, shape.heads, shape.dim));
  EXPECT_TRUE(status.ok()) << status;
  return out;
}

struct Measured {
  float max_abs = 0, rms = 0;
};
Measured Compare(const std::vector<float>& a, const std::vector<float>& b) {
  Measured measured;
  double squares = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    measured.max_abs = std::max(measured.max_abs, std::abs(a[i] - b[i]));
    squares += std::pow(double{a[i]} - b[i], 2);
  }
  measured.rms = static_cast<float>(std::sqrt(squares / static_cast<double>(a.size())));
  return measured;
}

TEST(EncodeKv, PayloadsAreAsSmallAsTheyShouldBe) {
  for (const KvTensorShape& shape : {kChunk, KvTensorShape{512, 8, 128}, KvTensorShape{2048, 4, 128}}) {
    const std::string tensor = TensorOf(shape.dtype, KeyLikeNumbers(shape));
    for (KvSide side : {KvSide::kKey, KvSide::kValue}) {
      const auto ratio = [&](const char* codec) {
        return static_cast<double>(tensor.size()) / static_cast<double>(Encode(codec, side, shape, tensor).size());
      };
      EXPECT_EQ(ratio("raw"), 1);
      EXPECT_GT(ratio("int8"), 1.8);
      EXPECT_GE(ratio("int4"), 3.6);
      EXPECT_GE(ratio("mixed"), 5.0);
    }
  }
}

TEST(EncodeKv, TheErrorIsWhatThePayloadDeclares) {
  for (KvDtype dtype : {KvDtype::kF32, KvDtype::kF16, KvDtype::kBf16}) {
    for (KvTensorShape shape : {kChunk, KvTensorShape{9, 2, 20}, KvTensorShape{64, 2, 128}}) {
      shape.dtype = dtype;
      const std::string tensor = TensorOf(dtype, KeyLikeNumbers(shape));
      const std::vector<float> given = NumbersOf(dtype, tensor);
      for (KvSide side : {KvSide::kKey, KvSide::kValue}) {
        float last = 0;
        for (const char* codec : {"raw", "int8", "int4", "mixed"}) {
          const std::string payload = Encode(codec, side, shape, tensor);
          const auto bound = KvPayloadError(codec, side, shape, payload);
          ASSERT_TRUE(bound.ok());
          const Measured error = Compare(Decode(codec, side, shape, payload), given);
          EXPECT_LE(error.max_abs, bound->max_abs) << codec;
          EXPECT_LE(error.rms, bound->rms) << codec;
          EXPECT_GE(error.rms, bound->rms * 0.999f) << codec;
          EXPECT_GE(bound->rms, last) << codec;
          last = bound->rms;
        }
      }
    }
  }
}

// Evenly spread from -1 to 1.
std::vector<float> EvenNumbers() {
  std::vector<float> numbers(kChunk.Bytes() / 2);
  std::mt19937 random(5);
  for (float& number : numbers) number = static_cast<float>(random() % 2001) / 1000 - 1;
  return numbers;
}

// A uniform quantiser of n steps over a range has an rms error of a step / sqrt(12).
TEST(EncodeKv, ErrorsAreThoseOfTheirBits) {
  const std::string tensor = TensorOf(kChunk.dtype, EvenNumbers());
  for (KvSide side : {KvSide::kKey, KvSide::kValue}) {
    const auto rms = [&](const char* codec) {
      return KvPayloadError(codec, side, kChunk, Encode(codec, side, kChunk, tensor))->rms;
    };
    EXPECT_LT(rms("int8"), 1.15 * 2 / 255 / std::sqrt(12));
    EXPECT_LT(rms("int4"), 1.15 * 2 / 15 / std::sqrt(12));
    EXPECT_LT(rms("mixed"), 0.28);
  }
}

TEST(EncodeKv, FirstTokensAndLargeOutliersAreExact) {
  std::vector<float> numbers = EvenNumbers();
  const size_t columns = 3 * 64;
  for (size_t i = 0; i < 60; ++i) numbers[10 * columns + i * 1409] = i % 2 == 0 ? 200.0f : -300.0f;
  const std::string tensor = TensorOf(kChunk.dtype, numbers);
  const std::vector<float> given = NumbersOf(kChunk.dtype, tensor);
  for (const char* codec : {"int8", "int4", "mixed"}) {
    for (KvSide side : {KvSide::kKey, KvSide::kValue}) {
      const std::vector<float> found = Decode(codec, side, kChunk, Encode(codec, side, kChunk, tensor));
      for (size_t i = 0; i < 4 * columns; ++i) ASSERT_EQ(found[i], given[i]) << codec << ' ' << i;
      for (size_t i = 0; i < 60; ++i) {
        ASSERT_EQ(found[10 * columns + i * 1409], given[10 * columns + i * 1409]) << codec << ' ' << i;
      }
    }
  }
}

TEST(EncodeKv, SalientTokensOfMixedAreCloser) {
  const std::string tensor = TensorOf(kChunk.dtype, KeyLikeNumbers(kChunk));
  const std::vector<float> given = NumbersOf(kChunk.dtype, tensor);
  std::vector<float> saliency(kChunk.tokens);
  for (uint32_t t = 0; t < kChunk.tokens; t += 5) saliency[t] = 1;
  KvEncoding encoding;
  encoding.saliency = saliency;
  for (KvSide side : {KvSide::kKey, KvSide::kValue}) {
    const std::vector<float> found = Decode("mixed", side, kChunk, Encode("mixed", side, kChunk, tensor, encoding));
    double salient = 0, all = 0;
    for (size_t i = 4 * 192; i < found.size(); ++i) {
      const double square = std::pow(double{found[i]} - given[i], 2);
      all += square / static_cast<double>(found.size());
      if (i / 192 % 5 == 0) salient += 5 * square / static_cast<double>(found.size());
    }
    EXPECT_LT(salient, 0.2 * all);
  }
}

TEST(EncodeKv, EqualAndEmptyNumbersComeBackExactly) {
  for (float value : {0.0f, 1.5f, -3.0f}) {
    for (const KvTensorShape& shape : {KvTensorShape{20, 2, 40}, KvTensorShape{3, 1, 5}, KvTensorShape{5, 1, 1}}) {
      const std::vector<float> given(size_t{shape.tokens} * shape.heads * shape.dim, value);
      for (const char* codec : {"int8", "int4", "mixed"}) {
        for (KvSide side : {KvSide::kKey, KvSide::kValue}) {
          const std::string payload = Encode(codec, side, shape, TensorOf(shape.dtype, given));
          EXPECT_EQ(Decode(codec, side, shape, payload), given) << codec;
        }
      }
    }
  }
}

TEST(EncodeKv, KeysAreUnrotatedAndRotatedBack) {
  const KvTensorShape shape{48, 2, 64, KvDtype::kF32};
  for (RopeStyle style : {RopeStyle::kNeox, RopeStyle::kInterleaved}) {
    const KvRope rope = PlainRope(style, 48);
    const std::vector<float> plain = KeyLikeNumbers(shape);
    std::vector<float> rotated = plain, elsewhere = plain;
    for (uint32_t row = 0; row < shape.tokens * shape.heads; ++row) {
      ReferenceTurn(rope, 9000.0 + row / shape.heads, &rotated[row * shape.dim]);
      ReferenceTurn(rope, 123.0 + row / shape.heads, &elsewhere[row * shape.dim]);
    }
    KvEncoding encoding;
    encoding.rope = &rope, encoding.unrotate_from = 9000;
    const auto table = RopeTable::At(rope, 123, 0, shape.tokens);
    for (const char* codec : {"raw", "int8"}) {
      const std::string payload = Encode(codec, KvSide::kKey, shape, TensorOf(shape.dtype, rotated), encoding);
      const float bound = KvPayloadError(codec, KvSide::kKey, shape, payload)->max_abs;
      EXPECT_LE(Compare(Decode(codec, KvSide::kKey, shape, payload), plain).max_abs, bound + 1e-4f);
      EXPECT_LE(Compare(Decode(codec, KvSide::kKey, shape, payload, &*table), elsewhere).max_abs,
                bound * std::sqrt(2.0f) + 1e-4f);
    }
    // Kept rotated, moved by a distance.
    const std::string kept = Encode("raw", KvSide::kKey, shape, TensorOf(shape.dtype, rotated));
    const auto moved = RopeTable::By(rope, 123 - 9000);
    EXPECT_LE(Compare(Decode("raw", KvSide::kKey, shape, kept, &*moved), elsewhere).max_abs, 1e-4f);
  }
}

TEST(EncodeKv, RefusesWhatDoesNotFit) {
  const std::string tensor = TensorOf(kChunk.dtype, KeyLikeNumbers(kChunk));
  const auto message = [&](absl::string_view codec, KvSide side, const KvTensorShape& shape, absl::string_view bytes,
                           const KvEncoding& encoding = {}) {
    const auto payload = EncodeKv(codec, side, shape, bytes, encoding);
    EXPECT_EQ(payload.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(payload.status().message());
  };
  const auto has = [](const std::string& text, const char* part) {
    return text.find(part) == std::string::npos ? testing::AssertionFailure() << text : testing::AssertionSuccess();
  };
  EXPECT_TRUE(has(message("int3", KvSide::kKey, kChunk, tensor), "int3"));
  EXPECT_TRUE(has(message("raw", KvSide::kKey, kChunk, tensor.substr(2)), "196606 bytes, expected 196608"));
  EXPECT_TRUE(has(message("raw", KvSide::kKey, {0, 3, 64}, tensor), "tokens 0"));
  EXPECT_TRUE(has(message("raw", KvSide::kKey, {512, 2000, 64}, tensor), "heads 2000"));
  EXPECT_TRUE(has(message("raw", KvSide::kKey, {512, 3, 5000}, tensor), "dim 5000"));
  KvEncoding encoding;
  encoding.unrotate_from = 0;
  EXPECT_TRUE(has(message("int4", KvSide::kKey, kChunk, tensor, encoding), "with a rope"));
  const std::vector<float> saliency(511);
  encoding = {};
  encoding.saliency = saliency;
  EXPECT_TRUE(has(message("mixed", KvSide::kKey, kChunk, tensor, encoding), "saliency of 511 tokens, expected 512"));
  std::string broken = tensor;
  StoreElement(kChunk.dtype, NAN, &broken[2 * 1000]);
  EXPECT_TRUE(has(message("int4", KvSide::kKey, kChunk, broken), "number 1000 is nan"));
  EXPECT_TRUE(EncodeKv("raw", KvSide::kKey, kChunk, broken).ok());
}

TEST(RopeTable, RefusesWhatIsNoRotation) {
  for (KvRope rope : {KvRope{RopeStyle::kNeox, 3, {1}}, KvRope{RopeStyle::kNeox, 0, {}}, KvRope{RopeStyle::kNeox, 4, {1}},
                      KvRope{RopeStyle::kNeox, 2, {NAN}}, KvRope{static_cast<RopeStyle>(7), 2, {1}}}) {
    EXPECT_EQ(RopeTable::At(rope, 0, 0, 1).status().code(), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_FALSE(RopeTable::At(PlainRope(RopeStyle::kNeox, 4), int64_t{1} << 40, 0, 1).ok());
  EXPECT_FALSE(RopeTable::At(PlainRope(RopeStyle::kNeox, 4), 0, 0, 0).ok());
  KvProfile profile;
  profile.head_dim = 8, profile.rotary_dim = 4, profile.rope_theta = 100;
  EXPECT_EQ(RopeOf(profile)->frequencies, (std::vector<double>{1, 0.1}));
}

}  // namespace
}  // namespace larder::kv

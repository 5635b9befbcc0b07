// Every decoder against one that takes a number at a time, on every target of this CPU.
#include <cmath>

#include "engine/kv/codec/codec_test_support.h"
#include "gtest/gtest.h"
#include "hwy/tests/hwy_gtest.h"

namespace larder::kv {
namespace {

constexpr const char* kCodecs[] = {"raw", "int8", "int4", "mixed"};
constexpr KvDtype kDtypes[] = {KvDtype::kF32, KvDtype::kF16, KvDtype::kBf16};
// Around vector widths, code blocks and stripes of outliers.
constexpr KvTensorShape kShapes[] = {{1, 1, 1},  {5, 1, 1},   {6, 2, 3},   {9, 3, 8},    {17, 1, 17}, {33, 3, 20},
                                     {40, 2, 64}, {12, 5, 80}, {23, 3, 96}, {19, 2, 128}, {11, 1, 256}, {7, 9, 72}};

std::string Name(const std::string& codec, KvSide side, const KvTensorShape& shape, KvDtype target) {
  return codec + (side == KvSide::kKey ? " K " : " V ") + std::to_string(shape.tokens) + "x" +
         std::to_string(shape.heads) + "x" + std::to_string(shape.dim) + " dtype " +
         std::to_string(static_cast<int>(shape.dtype)) + " to " + std::to_string(static_cast<int>(target));
}

std::string Encode(const std::string& codec, KvSide side, const KvTensorShape& shape) {
  auto payload = EncodeKv(codec, side, shape, TensorOf(shape.dtype, KeyLikeNumbers(shape)));
  EXPECT_TRUE(payload.ok()) << payload.status();
  return payload.ok() ? *payload : "";
}

std::vector<float> ReferenceRow(const std::string& codec, const KvTensorShape& shape, const std::string& payload,
                                uint32_t token) {
  if (codec != "raw") return ReferencePayload(payload).Row(token);
  return NumbersOf(shape.dtype, absl::string_view(payload).substr(token * shape.RowBytes(), shape.RowBytes()));
}

std::string Decode(const std::string& codec, KvSide side, const KvTensorShape& shape, const std::string& payload,
                   const RopeTable* rope, KvDtype dtype, const KvSelection& selection = {}) {
  const uint32_t heads = selection.heads == 0 ? shape.heads - selection.first_head : selection.heads;
  const size_t tokens = !selection.token_list.empty() ? selection.token_list.size()
                        : selection.tokens == 0       ? shape.tokens - selection.first_token
                                                      : selection.tokens;
  std::string out(tokens * heads * shape.dim * ElementBytes(dtype), '\x55');
  const absl::Status status =
      DecodeKv(codec, side, shape, payload, selection, rope,
               ContiguousTarget(absl::MakeSpan(reinterpret_cast<std::byte*>(out.data()), out.size()), dtype, heads, shape.dim));
  EXPECT_TRUE(status.ok()) << status;
  return out;
}

// Half a unit in the last place of the type (and of f32 arithmetic before it), relative and absolute.
float Tolerance(KvDtype dtype, float magnitude) {
  const float step = dtype == KvDtype::kF32 ? 0x1p-24f : dtype == KvDtype::kF16 ? 0x1p-11f : 0x1p-8f;
  return magnitude * (step + 8 * 0x1p-24f) + 0x1p-24f;
}

class DecodeTest : public hwy::TestWithParamTarget {};
HWY_TARGET_INSTANTIATE_TEST_SUITE_P(DecodeTest);

TEST_P(DecodeTest, EveryCodecAndTypeAgreesWithTheReference) {
  for (KvTensorShape shape : kShapes) {
    for (KvDtype dtype : kDtypes) {
      shape.dtype = dtype;
      for (const std::string codec : kCodecs) {
        for (KvSide side : {KvSide::kKey, KvSide::kValue}) {
          const std::string payload = Encode(codec, side, shape);
          for (KvDtype to : kDtypes) {
            const std::vector<float> found = NumbersOf(to, Decode(codec, side, shape, payload, nullptr, to));
            for (uint32_t t = 0; t < shape.tokens; ++t) {
              const std::vector<float> expected = ReferenceRow(codec, shape, payload, t);
              for (size_t c = 0; c < expected.size(); ++c) {
                ASSERT_NEAR(found[t * expected.size() + c], expected[c],
                            Tolerance(to, std::abs(expected[c])) + (codec == "raw" ? 0 : 2e-5f))
                    << Name(codec, side, shape, to) << " token " << t << " column " << c;
              }
            }
          }
        }
      }
    }
  }
}

TEST_P(DecodeTest, RotationAgreesWithTheReference) {
  for (const KvTensorShape& shape : kShapes) {
    const std::string payload = Encode("int8", KvSide::kKey, shape);
    for (RopeStyle style : {RopeStyle::kNeox, RopeStyle::kInterleaved}) {
      for (uint32_t rotary : {2u, 4u, 6u, 16u, 20u, 64u, 96u, 128u, 256u}) {
        if (rotary > shape.dim) continue;
        const KvRope rope = PlainRope(style, rotary);
        const auto table = RopeTable::At(rope, 1234, 0, shape.tokens);
        ASSERT_TRUE(table.ok()) << table.status();
        for (KvDtype to : kDtypes) {
          const std::vector<float> found = NumbersOf(to, Decode("int8", KvSide::kKey, shape, payload, &*table, to));
          for (uint32_t t = 0; t < shape.tokens; ++t) {
            std::vector<float> expected = ReferencePayload(payload).Row(t);
            for (uint32_t head = 0; head < shape.heads; ++head) {
              ReferenceTurn(rope, 1234.0 + t, &expected[head * shape.dim]);
            }
            for (size_t c = 0; c < expected.size(); ++c) {
              ASSERT_NEAR(found[t * expected.size() + c], expected[c], Tolerance(to, std::abs(expected[c])) + 2e-5f)
                  << Name("int8", KvSide::kKey, shape, to) << " style " << static_cast<int>(style) << " rotary "
                  << rotary << " token " << t << " column " << c;
            }
          }
        }
      }
    }
  }
}

TEST_P(DecodeTest, RoundsToNearestEvenAsTheScalarDoes) {
  std::vector<float> numbers = {0.0f, -0.0f, 1.0f, 65504.0f, 65519.0f, 65520.0f, 1e9f, -1e9f, 6e-8f, 2.9e-8f, 3e-8f,
                                5.9e-5f, 6.1e-5f, 1e-38f, 3.4e38f, INFINITY, -INFINITY, NAN, 1.0009765625f};
  std::mt19937 random(3);
  while (numbers.size() < 4096) {
    const float number = std::bit_cast<float>(static_cast<uint32_t>(random()));
    numbers.push_back(random() % 2 == 0 ? number : std::ldexp(1.0f + 0.5f * static_cast<float>(random() % 4096) / 2048, static_cast<int>(random() % 44) - 26));
  }
  const KvTensorShape shape{1, 1, static_cast<uint32_t>(numbers.size()), KvDtype::kF32};
  for (KvDtype to : {KvDtype::kF16, KvDtype::kBf16}) {
    const std::string out = Decode("raw", KvSide::kKey, shape, TensorOf(KvDtype::kF32, numbers), nullptr, to);
    const std::string expected = TensorOf(to, numbers);
    for (size_t i = 0; i < numbers.size(); ++i) {
      if (std::isnan(numbers[i])) {
        ASSERT_TRUE(std::isnan(LoadElement(to, &out[2 * i])));
        continue;
      }
      ASSERT_EQ(LoadElement(to, &out[2 * i]), LoadElement(to, &expected[2 * i])) << numbers[i] << ' ' << i;
    }
  }
}

TEST_P(DecodeTest, SlicesAreTheSameNumbersAsTheWhole) {
  for (const KvTensorShape& shape : {KvTensorShape{40, 5, 80}, KvTensorShape{33, 4, 64}, KvTensorShape{21, 7, 9}}) {
    for (const std::string codec : kCodecs) {
      for (KvSide side : {KvSide::kKey, KvSide::kValue}) {
        const std::string payload = Encode(codec, side, shape);
        const auto table = RopeTable::At(PlainRope(RopeStyle::kNeox, 8), 77, 0, shape.tokens);
        const RopeTable* rope = side == KvSide::kKey ? &*table : nullptr;
        const std::string whole = Decode(codec, side, shape, payload, rope, KvDtype::kF16);
        const std::vector<uint32_t> list = {20, 3, 3, 0, 19, 7};
        for (uint32_t first_head = 0; first_head < shape.heads; ++first_head) {
          for (uint32_t heads = 1; first_head + heads <= shape.heads; ++heads) {
            KvSelection selection{2, 9, first_head, heads, {}};
            if (heads % 2 == 0) selection = {0, 0, first_head, heads, list};
            const std::string part = Decode(codec, side, shape, payload, rope, KvDtype::kF16, selection);
            const size_t row = heads * shape.dim * 2;
            for (size_t n = 0; n < part.size() / row; ++n) {
              const uint32_t token = selection.token_list.empty() ? 2 + static_cast<uint32_t>(n) : list[n];
              ASSERT_EQ(part.substr(n * row, row), whole.substr(token * shape.RowBytes() + first_head * shape.dim * 2, row))
                  << Name(codec, side, shape, KvDtype::kF16) << " heads " << first_head << "+" << heads << " row " << n;
            }
          }
        }
      }
    }
  }
}

TEST_P(DecodeTest, RowsGoToTheirPagesAndNothingElseIsWritten) {
  const KvTensorShape shape{37, 3, 48};
  const std::vector<uint32_t> blocks = {9, 2, 5, 0, 7, 3, 4};
  for (const std::string codec : kCodecs) {
    const std::string payload = Encode(codec, KvSide::kKey, shape);
    const std::string whole = Decode(codec, KvSide::kKey, shape, payload, nullptr, KvDtype::kBf16);
    for (uint64_t gap : {0, 32, 14}) {
      for (uint32_t first_slot : {0u, 5u, 11u}) {
        KvTarget target;
        target.dtype = KvDtype::kBf16, target.head_stride = shape.dim * 2 + gap;
        target.token_stride = shape.heads * target.head_stride + gap;
        target.block_table = blocks, target.block_tokens = 8, target.block_stride = 8 * target.token_stride + 3 * gap;
        target.first_slot = first_slot;
        std::string pages(10 * target.block_stride, '\x55'), expected = pages;
        target.data = absl::MakeSpan(reinterpret_cast<std::byte*>(pages.data()), pages.size());
        for (uint32_t t = 0; t < shape.tokens; ++t) {
          for (uint32_t head = 0; head < shape.heads; ++head) {
            const uint32_t slot = first_slot + t;
            whole.copy(&expected[blocks[slot / 8] * target.block_stride + slot % 8 * target.token_stride + head * target.head_stride],
                       shape.dim * 2, t * shape.RowBytes() + head * shape.dim * 2);
          }
        }
        const absl::Status status = DecodeKv(codec, KvSide::kKey, shape, payload, {}, nullptr, target);
        ASSERT_TRUE(status.ok()) << status;
        ASSERT_EQ(pages, expected) << codec << ' ' << gap << ' ' << first_slot;
      }
    }
  }
}

// Large enough to be written past the caches, at every alignment.
TEST_P(DecodeTest, LargeOutputsAreTheSameWhereverTheyBegin) {
  const KvTensorShape shape{600, 4, 64};
  for (KvSide side : {KvSide::kKey, KvSide::kValue}) {
    const std::string payload = Encode("int4", side, shape);
    const auto table = RopeTable::At(PlainRope(RopeStyle::kNeox, 64), 5, 0, shape.tokens);
    const RopeTable* rope = side == KvSide::kKey ? &*table : nullptr;
    std::string expected;
    for (uint32_t t = 0; t < shape.tokens; t += 100) {  // small calls
      expected += Decode("int4", side, shape, payload, rope, KvDtype::kF16, {t, 100, 0, 0, {}});
    }
    for (size_t shift : {0, 2, 16, 32, 63}) {
      std::vector<std::byte> out(expected.size() + 128);
      const size_t base = (64 - reinterpret_cast<uintptr_t>(out.data()) % 64) % 64 + shift;
      const auto bytes = absl::MakeSpan(out).subspan(base, expected.size());
      ASSERT_TRUE(DecodeKv("int4", side, shape, payload, {}, rope, ContiguousTarget(bytes, KvDtype::kF16, 4, 64)).ok());
      ASSERT_EQ(std::memcmp(bytes.data(), expected.data(), expected.size()), 0) << shift;
    }
  }
}

TEST(RopeTable, AnglesAreExactAtFarPositions) {
  for (double theta : {10000.0, 500000.0}) {
    const KvRope rope = PlainRope(RopeStyle::kNeox, 128, theta);
    for (int64_t position : {0L, 1L, 131'071L, 1'000'000L, -777'777L, (1L << 24) - 3}) {
      const auto table = RopeTable::At(rope, position, 2, 3);
      ASSERT_TRUE(table.ok());
      for (uint32_t t = 2; t < 5; ++t) {
        for (uint32_t i = 0; i < 64; ++i) {
          const long double angle = static_cast<long double>(position + t) * static_cast<long double>(rope.frequencies[i]);
          ASSERT_NEAR(table->Row(t)[i], static_cast<double>(std::cos(angle)), 1e-7) << position << ' ' << i;
          ASSERT_NEAR(table->Row(t)[64 + i], static_cast<double>(std::sin(angle)), 1e-7) << position << ' ' << i;
        }
      }
    }
  }
}

}  // namespace
}  // namespace larder::kv

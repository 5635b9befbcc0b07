// The bytes of payloads: golden ones, and what a damaged one may do.
#include "engine/kv/codec/payload.h"

#include <cmath>
#include <random>

#include "absl/strings/escaping.h"
#include "engine/kv/codec/codec_test_support.h"
#include "gtest/gtest.h"

namespace larder::kv {
namespace {

constexpr CodecKind kKinds[] = {CodecKind::kInt8, CodecKind::kInt4, CodecKind::kMixed};

std::string Encode(CodecKind kind, KvSide side, const KvTensorShape& shape, const std::vector<float>& numbers) {
  auto payload = EncodeKv(CodecName(kind), side, shape, TensorOf(shape.dtype, numbers));
  EXPECT_TRUE(payload.ok()) << payload.status();
  return payload.ok() ? *payload : "";
}

// Multiples of 1/4 and their square, so that every step of encoding is the same on all machines.
std::vector<float> GoldenNumbers(const KvTensorShape& shape) {
  std::vector<float> numbers(size_t{shape.tokens} * shape.heads * shape.dim);
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<float>((i * 37 + i / 5) % 29) * 0.25f - 3;
  numbers[numbers.size() / 2 + 3] = 50;
  return numbers;
}

// Payloads that version 1 wrote. Never regenerate them to go green: they are on users' disks.
struct Golden {
  CodecKind kind;
  KvSide side;
  const char* hex;
};
constexpr Golden kGolden[] = {
#include "engine/kv/codec/golden_payloads.inc"
};
constexpr KvTensorShape kGoldenShape{10, 2, 9, KvDtype::kF16};

TEST(Payload, GoldenBytesAreReadAndWritten) {
  const std::vector<float> numbers = GoldenNumbers(kGoldenShape);
  for (const Golden& golden : kGolden) {
    const std::string bytes = absl::HexStringToBytes(golden.hex);
    std::string written = Encode(golden.kind, golden.side, kGoldenShape, numbers);
    // The measured error depends on the machine's arithmetic in its last bits.
    if (written.size() == bytes.size()) bytes.copy(&written[32], 8, 32);
    EXPECT_EQ(absl::BytesToHexString(written), golden.hex) << CodecName(golden.kind);
    std::vector<float> out(numbers.size());
    const auto span = absl::MakeSpan(reinterpret_cast<std::byte*>(out.data()), out.size() * 4);
    ASSERT_TRUE(DecodeKv(CodecName(golden.kind), golden.side, kGoldenShape, bytes, {}, nullptr,
                         ContiguousTarget(span, KvDtype::kF32, 2, 9)).ok());
    const float bound = KvPayloadError(CodecName(golden.kind), golden.side, kGoldenShape, bytes)->max_abs;
    for (size_t i = 0; i < out.size(); ++i) EXPECT_NEAR(out[i], numbers[i], bound) << i;
  }
  EXPECT_EQ(std::size(kGolden), 6u);
}

TEST(Payload, SectionsEndWhereThePayloadEnds) {
  for (const KvTensorShape& shape : {KvTensorShape{1, 1, 1}, KvTensorShape{30, 3, 100}, KvTensorShape{5, 1, 7}}) {
    for (CodecKind kind : kKinds) {
      for (KvSide side : {KvSide::kKey, KvSide::kValue}) {
        const std::string payload = Encode(kind, side, shape, KeyLikeNumbers(shape));
        EXPECT_EQ(payload.size(), ReferencePayload(payload).end());
      }
    }
  }
}

TEST(Payload, AnotherShapeCodecOrSizeIsRefused) {
  const KvTensorShape shape{40, 2, 24};
  for (CodecKind kind : kKinds) {
    const std::string payload = Encode(kind, KvSide::kKey, shape, KeyLikeNumbers(shape));
    const auto code = [&](CodecKind as, KvSide side, const KvTensorShape& of, absl::string_view bytes) {
      return CheckKvPayload(CodecName(as), side, of, bytes).code();
    };
    EXPECT_EQ(code(kind, KvSide::kKey, shape, payload), absl::StatusCode::kOk);
    EXPECT_EQ(code(kind, KvSide::kValue, shape, payload), absl::StatusCode::kDataLoss);
    for (const KvTensorShape& other : {KvTensorShape{41, 2, 24}, KvTensorShape{40, 3, 24}, KvTensorShape{40, 2, 23},
                                       KvTensorShape{40, 2, 24, KvDtype::kBf16}}) {
      EXPECT_EQ(code(kind, KvSide::kKey, other, payload), absl::StatusCode::kDataLoss);
    }
    for (CodecKind other : kKinds) {
      if (other == kind) continue;
      EXPECT_EQ(code(other, KvSide::kKey, shape, payload), absl::StatusCode::kDataLoss);
    }
    for (size_t size = 0; size < payload.size(); ++size) {
      ASSERT_EQ(code(kind, KvSide::kKey, shape, absl::string_view(payload).substr(0, size)), absl::StatusCode::kDataLoss);
    }
    EXPECT_EQ(code(kind, KvSide::kKey, shape, payload + '\0'), absl::StatusCode::kDataLoss);
  }
  EXPECT_EQ(CheckKvPayload("raw", KvSide::kKey, shape, std::string(shape.Bytes() - 1, 0)).code(), absl::StatusCode::kDataLoss);
}

// Whatever the bytes, decoding ends, stays within its buffers (address sanitizer sees to it) and either answers or
// says DataLoss.
void DecodeDamaged(CodecKind kind, KvSide side, const KvTensorShape& shape, const std::string& payload) {
  const std::vector<char> exact(payload.begin(), payload.end());  // no slack behind it
  const absl::string_view bytes(exact.data(), exact.size());
  std::vector<std::byte> out(shape.Bytes());
  const absl::Status whole = DecodeKv(CodecName(kind), side, shape, bytes, {}, nullptr,
                                      ContiguousTarget(absl::MakeSpan(out), shape.dtype, shape.heads, shape.dim));
  ASSERT_TRUE(whole.ok() || absl::IsDataLoss(whole)) << whole;
  const absl::Status part = DecodeKv(CodecName(kind), side, shape, bytes, {5, 20, shape.heads - 1, 1, {}}, nullptr,
                                     ContiguousTarget(absl::MakeSpan(out), shape.dtype, 1, shape.dim));
  ASSERT_EQ(part.code(), whole.code());
}

TEST(Payload, DamagedBytesNeverReachBeyondTheirBuffers) {
  std::mt19937 random(11);
  for (const KvTensorShape& shape : {KvTensorShape{40, 3, 100}, KvTensorShape{30, 2, 64, KvDtype::kF32}}) {
    for (CodecKind kind : kKinds) {
      for (KvSide side : {KvSide::kKey, KvSide::kValue}) {
        const std::string payload = Encode(kind, side, shape, KeyLikeNumbers(shape));
        for (size_t i = 0; i < 64 * 4; ++i) {  // every byte of the header, four values each
          std::string damaged = payload;
          damaged[i / 4] = static_cast<char>(i % 4 == 0 ? 0 : i % 4 == 1 ? 255 : random());
          DecodeDamaged(kind, side, shape, damaged);
        }
        for (int i = 0; i < 300; ++i) {
          std::string damaged = payload;
          for (uint32_t n = 0; n <= random() % 8; ++n) damaged[random() % damaged.size()] = static_cast<char>(random());
          DecodeDamaged(kind, side, shape, damaged);
        }
        for (int i = 0; i < 30; ++i) {  // all but the header
          std::string damaged = payload;
          for (size_t at = 64; at < damaged.size(); ++at) damaged[at] = static_cast<char>(random());
          DecodeDamaged(kind, side, shape, damaged);
        }
      }
    }
  }
}

// Counts and classes that agree with the header but point anywhere.
TEST(Payload, OutliersThatPointBehindTheRowAreHarmless) {
  const KvTensorShape shape{40, 1, 40};
  std::string payload = Encode(CodecKind::kInt8, KvSide::kKey, shape, KeyLikeNumbers(shape));
  PayloadHeader header;
  std::memcpy(&header, payload.data(), sizeof(header));
  const PayloadLayout layout(header);
  ASSERT_GT(header.outliers, 0u);
  for (uint64_t at = layout.places; at < layout.places + header.outliers; ++at) payload[at] = '\xff';
  DecodeDamaged(CodecKind::kInt8, KvSide::kKey, shape, payload);
}

TEST(Payload, WrongSelectionsAndTargetsAreRefusedBeforeAnythingIsWritten) {
  const KvTensorShape shape{40, 3, 16};
  const std::string payload = Encode(CodecKind::kInt4, KvSide::kKey, shape, KeyLikeNumbers(shape));
  std::vector<std::byte> out(shape.Bytes(), std::byte{0x55});
  const KvTarget good = ContiguousTarget(absl::MakeSpan(out), shape.dtype, 3, 16);
  const auto refused = [&](const KvSelection& selection, const KvTarget& target, const RopeTable* rope = nullptr) {
    const absl::Status status = DecodeKv("int4", KvSide::kKey, shape, payload, selection, rope, target);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  };
  const std::vector<uint32_t> beyond = {3, 40}, many(41), blocks = {0, 1, 2}, far = {0, 1, 2, 3, 4, 9};
  refused({40, 0, 0, 0, {}}, good);
  refused({0, 41, 0, 0, {}}, good);
  refused({4'294'967'295u, 2, 0, 0, {}}, good);
  refused({0, 0, 3, 0, {}}, good);
  refused({0, 0, 1, 3, {}}, good);
  refused({0, 0, 0, 0, beyond}, good);
  refused({0, 0, 0, 0, many}, good);
  refused({1, 0, 0, 0, blocks}, good);
  KvTarget target = good;
  target.data = target.data.first(shape.Bytes() - 1);
  refused({}, target);
  target = good, target.first_slot = 1;
  refused({}, target);
  target = good, target.token_stride = uint64_t{1} << 60;
  refused({}, target);
  target = good, target.head_stride = 31;
  refused({}, target);
  target = good, target.dtype = static_cast<KvDtype>(9);
  refused({}, target);
  target = good, target.block_table = blocks, target.block_tokens = 8, target.block_stride = 8 * shape.RowBytes();
  refused({}, target);  // three blocks of 8 for 40 tokens
  target.block_table = far;
  target.first_slot = 8;
  refused({}, target);  // block 9 lies outside
  target.block_tokens = 0;
  refused({}, target);
  const std::vector<uint32_t> backwards = {4, 3, 2, 1, 0};  // fits to the byte
  target = good, target.block_table = backwards, target.block_tokens = 8, target.block_stride = 8 * shape.RowBytes();
  target.data = target.data.first(shape.Bytes() - 1);
  refused({}, target);
  const auto wide = RopeTable::At(PlainRope(RopeStyle::kNeox, 18), 0, 0, 40);
  const auto few = RopeTable::At(PlainRope(RopeStyle::kNeox, 16), 0, 0, 39);
  const auto late = RopeTable::At(PlainRope(RopeStyle::kNeox, 16), 0, 1, 40);
  for (const auto* table : {&*wide, &*few, &*late}) refused({}, good, table);
  for (std::byte byte : out) ASSERT_EQ(byte, std::byte{0x55});
  target.data = absl::MakeSpan(out);
  EXPECT_TRUE(DecodeKv("int4", KvSide::kKey, shape, payload, {}, nullptr, target).ok());
}

}  // namespace
}  // namespace larder::kv

// The GPU's numbers beside the CPU's. Without a GPU everything is skipped.
#include "client/cuda/decode.h"

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace larder::cuda {
namespace {

constexpr KvDtype kDtypes[] = {KvDtype::kF32, KvDtype::kF16, KvDtype::kBf16};

// Bytes that both sides can read, and bytes of the device.
struct Memory {
  Memory(size_t size, bool device) : bytes(size), on_device(device) {
    const cudaError_t error = device ? cudaMalloc(&data, size) : cudaHostAlloc(&data, size, cudaHostAllocMapped);
    EXPECT_EQ(error, cudaSuccess);
  }
  ~Memory() { on_device ? cudaFree(data) : cudaFreeHost(data); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  absl::Span<std::byte> span() const { return {static_cast<std::byte*>(data), bytes}; }

  void* data = nullptr;
  const size_t bytes;
  const bool on_device;
};

class CudaDecodeTest : public testing::Test {
 protected:
  void SetUp() override {
    const absl::Status device = CheckDevice();
    if (!device.ok()) GTEST_SKIP() << device.message();
  }

  static std::string Tensor(const kv::KvTensorShape& shape) {
    std::mt19937 random(7);
    std::normal_distribution<float> normal;
    std::vector<float> numbers(size_t{shape.tokens} * shape.heads * shape.dim);
    for (float& number : numbers) number = normal(random) * (random() % 100 == 0 ? 9.0f : 1.0f);
    std::string tensor(shape.Bytes(), '\0');
    kv::KvTensorShape given = shape;
    given.dtype = KvDtype::kF32;
    const absl::Status status = kv::DecodeKv(
        "raw", kv::KvSide::kKey, given, {reinterpret_cast<char*>(numbers.data()), numbers.size() * sizeof(float)}, {},
        nullptr,
        kv::ContiguousTarget({reinterpret_cast<std::byte*>(tensor.data()), tensor.size()}, shape.dtype, shape.heads, shape.dim));
    EXPECT_TRUE(status.ok()) << status;
    return tensor;
  }

  // Pages of 8 tokens, in any order, with a gap between heads.
  static kv::KvTarget Pages(absl::Span<std::byte> data, const kv::KvTensorShape& shape, KvDtype dtype,
                            const std::vector<uint32_t>& blocks) {
    kv::KvTarget target = kv::ContiguousTarget(data, dtype, shape.heads, shape.dim);
    target.head_stride += 16, target.token_stride = target.head_stride * shape.heads;
    target.block_table = blocks, target.block_tokens = 8, target.block_stride = 8 * target.token_stride;
    target.first_slot = 3;
    return target;
  }

  static void ExpectSame(const std::string& codec, kv::KvSide side, const kv::KvTensorShape& shape, KvDtype dtype,
                         const kv::KvSelection& selection, const kv::RopeTable* table) {
    const auto payload = kv::EncodeKv(codec, side, shape, Tensor(shape));
    ASSERT_TRUE(payload.ok()) << payload.status();
    const Memory pinned(payload->size(), false);
    std::memcpy(pinned.data, payload->data(), payload->size());
    const std::vector<uint32_t> blocks = {4, 0, 6, 2, 5, 1, 3};
    const size_t bytes = 7 * 8 * shape.heads * (shape.dim * 4 + 16);
    std::vector<std::byte> expected(bytes, std::byte{0x55}), found(bytes);
    ASSERT_TRUE(kv::DecodeKv(codec, side, shape, *payload, selection, table,
                             Pages(absl::MakeSpan(expected), shape, dtype, blocks)).ok());
    const Memory pages(bytes, true);
    ASSERT_EQ(cudaMemset(pages.data, 0x55, bytes), cudaSuccess);
    absl::StatusOr<DeviceRope> rope = absl::UnavailableError("");
    if (table != nullptr) rope = DeviceRope::Make(*table);
    const absl::Status status =
        DecodeKv(codec, side, shape, {static_cast<char*>(pinned.data), payload->size()}, selection,
                 table == nullptr ? nullptr : &*rope, Pages(pages.span(), shape, dtype, blocks), nullptr);
    ASSERT_TRUE(status.ok()) << status;
    ASSERT_EQ(cudaMemcpy(found.data(), pages.data, bytes, cudaMemcpyDeviceToHost), cudaSuccess);
    ASSERT_EQ(std::memcmp(found.data(), expected.data(), bytes), 0)
        << codec << " side " << static_cast<int>(side) << " dtype " << static_cast<int>(dtype) << " dim " << shape.dim;
  }
};

// Bit for bit, as the CPUs with a fused multiply-add do.
TEST_F(CudaDecodeTest, NumbersAreTheCpus) {
  for (kv::KvTensorShape shape : {kv::KvTensorShape{40, 3, 64}, kv::KvTensorShape{45, 2, 80}, kv::KvTensorShape{33, 5, 128}}) {
    for (KvDtype dtype : kDtypes) {
      shape.dtype = dtype == KvDtype::kF32 ? KvDtype::kF16 : dtype;
      for (const char* codec : {"raw", "int8", "int4", "mixed"}) {
        for (kv::KvSide side : {kv::KvSide::kKey, kv::KvSide::kValue}) {
          ExpectSame(codec, side, shape, dtype, {}, nullptr);
          ExpectSame(codec, side, shape, dtype, {3, 20, 1, 1, {}}, nullptr);
        }
      }
    }
  }
}

TEST_F(CudaDecodeTest, RotatedNumbersAreTheCpus) {
  const kv::KvTensorShape shape{40, 3, 64};
  for (RopeStyle style : {RopeStyle::kNeox, RopeStyle::kInterleaved}) {
    for (uint32_t rotary : {64u, 32u}) {
      kv::KvRope rope{style, rotary, {}};
      for (uint32_t i = 0; i < rotary / 2; ++i) rope.frequencies.push_back(std::pow(10000.0, -2.0 * i / rotary));
      const auto table = kv::RopeTable::At(rope, 5000, 0, shape.tokens);
      const auto move = kv::RopeTable::By(rope, -77);
      const std::vector<uint32_t> list = {39, 1, 2, 17};
      for (const char* codec : {"raw", "int8", "int4", "mixed"}) {
        for (KvDtype dtype : kDtypes) {
          ExpectSame(codec, kv::KvSide::kKey, shape, dtype, {}, &*table);
          ExpectSame(codec, kv::KvSide::kKey, shape, dtype, {0, 0, 0, 0, list}, &*table);
          ExpectSame(codec, kv::KvSide::kKey, shape, dtype, {}, &*move);
        }
      }
    }
  }
}

}  // namespace
}  // namespace larder::cuda

#include "tools/readers/elements.h"

#include <bit>
#include <cstring>

namespace larder::tools {
namespace {

static_assert(std::endian::native == std::endian::little, "matrix files are read without swapping");

template <typename From, typename To>
void Convert(const void* from, size_t count, To* to) {
  const char* bytes = static_cast<const char*>(from);
  for (size_t i = 0; i < count; ++i) {
    From value;
    std::memcpy(&value, bytes + i * sizeof(From), sizeof(From));
    to[i] = static_cast<To>(value);
  }
}

void ConvertHalves(const void* from, size_t count, float* to) {
  const char* bytes = static_cast<const char*>(from);
  for (size_t i = 0; i < count; ++i) {
    uint16_t half;
    std::memcpy(&half, bytes + i * sizeof(half), sizeof(half));
    to[i] = HalfToFloat(half);
  }
}

}  // namespace

size_t ElementBytes(ElementType type) {
  static constexpr size_t kBytes[] = {2, 4, 8, 1, 1, 4, 8};
  return kBytes[static_cast<size_t>(type)];
}

absl::string_view ElementName(ElementType type) {
  static constexpr absl::string_view kNames[] = {"f16", "f32", "f64", "i8", "u8", "i32", "i64"};
  return kNames[static_cast<size_t>(type)];
}

bool IsInteger(ElementType type) { return type >= ElementType::kI8; }

// After Fabian Giesen's half_to_float: the exponent is rebiased by a multiplication, which makes
// subnormals right as well, and there is no branch to keep the compiler from vectorizing.
float HalfToFloat(uint16_t half) {
  const uint32_t magnitude = (half & 0x7FFFu) << 13;
  const float scaled = std::bit_cast<float>(magnitude) * 0x1p112f;
  const uint32_t infinite = (half & 0x7C00u) == 0x7C00u ? 0x7F800000u : 0u;
  const uint32_t sign = (half & 0x8000u) << 16;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(scaled) | infinite | sign);
}

void ElementsToFloat(ElementType type, const void* from, size_t count, float* to) {
  switch (type) {
    case ElementType::kF16:
      return ConvertHalves(from, count, to);
    case ElementType::kF32:
      return void(std::memcpy(to, from, count * sizeof(float)));
    case ElementType::kF64:
      return Convert<double>(from, count, to);
    case ElementType::kI8:
      return Convert<int8_t>(from, count, to);
    case ElementType::kU8:
      return Convert<uint8_t>(from, count, to);
    case ElementType::kI32:
      return Convert<int32_t>(from, count, to);
    case ElementType::kI64:
      return Convert<int64_t>(from, count, to);
  }
}

void ElementsToInt64(ElementType type, const void* from, size_t count, int64_t* to) {
  switch (type) {
    case ElementType::kI8:
      return Convert<int8_t>(from, count, to);
    case ElementType::kU8:
      return Convert<uint8_t>(from, count, to);
    case ElementType::kI32:
      return Convert<int32_t>(from, count, to);
    case ElementType::kI64:
      return Convert<int64_t>(from, count, to);
    default:
      return;
  }
}

}  // namespace larder::tools

// The number types that matrix files hold, and their conversion. Thread-safe.
#ifndef LARDER_TOOLS_READERS_ELEMENTS_H_
#define LARDER_TOOLS_READERS_ELEMENTS_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace larder::tools {

enum class ElementType : uint8_t { kF16, kF32, kF64, kI8, kU8, kI32, kI64 };

size_t ElementBytes(ElementType type);
absl::string_view ElementName(ElementType type);  // "f16"
bool IsInteger(ElementType type);

// `from` holds `count` little-endian elements, aligned in any way. Integers beyond 2^24 and doubles
// are rounded to the nearest float.
void ElementsToFloat(ElementType type, const void* from, size_t count, float* to);
// Only for integers.
void ElementsToInt64(ElementType type, const void* from, size_t count, int64_t* to);

// IEEE 754 binary16, subnormals, infinities and NaN included.
float HalfToFloat(uint16_t half);

}  // namespace larder::tools

#endif  // LARDER_TOOLS_READERS_ELEMENTS_H_

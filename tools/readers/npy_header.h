// The header of NumPy's .npy format, versions 1 to 3 (numpy.lib.format). Nothing in it is trusted.
#ifndef LARDER_TOOLS_READERS_NPY_HEADER_H_
#define LARDER_TOOLS_READERS_NPY_HEADER_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tools/readers/elements.h"

namespace larder::tools {

struct NpyHeader {
  ElementType type = ElementType::kF32;
  uint64_t rows = 0;
  uint64_t columns = 1;      // 1 for an array of one dimension
  uint64_t data_offset = 0;  // of the first element
};

// The magic string, version and length of header that fit any file worth reading.
inline constexpr size_t kMaxNpyHeaderBytes = 64 << 10;

// `start` is the file's beginning: all of it, or at least kMaxNpyHeaderBytes. InvalidArgument naming
// the byte, what was expected and what was found.
absl::StatusOr<NpyHeader> ParseNpyHeader(absl::string_view start);

}  // namespace larder::tools

#endif  // LARDER_TOOLS_READERS_NPY_HEADER_H_

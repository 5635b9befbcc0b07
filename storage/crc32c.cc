#include "storage/crc32c.h"

#include <isa-l/crc.h>
#include <isa-l/crc64.h>

#include <algorithm>

namespace larder::storage {

uint32_t Crc32c(absl::string_view data, uint32_t crc) {
  // ISA-L takes an int length, a mutable pointer, and neither inverts its input nor its output.
  constexpr size_t kMostAtOnce = size_t{1} << 30;
  uint32_t raw = ~crc;
  while (!data.empty()) {
    const size_t size = std::min(data.size(), kMostAtOnce);
    raw = crc32_iscsi(reinterpret_cast<unsigned char*>(const_cast<char*>(data.data())),
                      static_cast<int>(size), raw);
    data.remove_prefix(size);
  }
  return ~raw;
}

uint64_t Crc64(absl::string_view data, uint64_t crc) {
  return crc64_ecma_refl(crc, reinterpret_cast<const unsigned char*>(data.data()), data.size());
}

}  // namespace larder::storage

// CRC-32C (Castagnoli, as in iSCSI and RocksDB): Crc32c("123456789") == 0xE3069283.
#ifndef LARDER_STORAGE_CRC32C_H_
#define LARDER_STORAGE_CRC32C_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace larder::storage {

// Of `data`; `crc` is that of the bytes before it, so Crc32c(b, Crc32c(a)) == Crc32c(a + b).
uint32_t Crc32c(absl::string_view data, uint32_t crc = 0);

// CRC-64/XZ, for digests where 32 bits are too few. Extends like Crc32c.
uint64_t Crc64(absl::string_view data, uint64_t crc = 0);

}  // namespace larder::storage

#endif  // LARDER_STORAGE_CRC32C_H_

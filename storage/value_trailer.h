// The crc32c that ends every stored value: over the table's number, the key's length, the key and
// the value, so that a value under a wrong key is noticed as well as a flipped bit.
#ifndef LARDER_STORAGE_VALUE_TRAILER_H_
#define LARDER_STORAGE_VALUE_TRAILER_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "storage/store.h"

namespace larder::storage {

inline constexpr size_t kTrailerBytes = 4;

void AppendTrailer(Table table, absl::string_view key, absl::string_view value, std::string* out);
// The value without its trailer (into `stored`); DataLoss naming table and key.
absl::StatusOr<absl::string_view> CheckTrailer(Table table, absl::string_view key, absl::string_view stored);

// Of at most 64 bytes, as text when it is text, else as hex.
std::string PrintableKey(absl::string_view key);

}  // namespace larder::storage

#endif  // LARDER_STORAGE_VALUE_TRAILER_H_

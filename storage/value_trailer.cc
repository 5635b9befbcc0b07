#include "storage/value_trailer.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "storage/coding.h"
#include "storage/crc32c.h"

namespace larder::storage {
namespace {

uint32_t TrailerOf(Table table, absl::string_view key, absl::string_view value) {
  char head[5] = {static_cast<char>(table)};
  const uint32_t size = static_cast<uint32_t>(key.size());
  for (int i = 0; i < 4; ++i) head[1 + i] = static_cast<char>(size >> (8 * i));
  return Crc32c(value, Crc32c(key, Crc32c(absl::string_view(head, sizeof(head)))));
}

}  // namespace

void AppendTrailer(Table table, absl::string_view key, absl::string_view value, std::string* out) {
  AppendKey32(TrailerOf(table, key, value), out);
}

absl::StatusOr<absl::string_view> CheckTrailer(Table table, absl::string_view key, absl::string_view stored) {
  if (stored.size() < kTrailerBytes) {
    return absl::DataLossError(absl::StrCat("table ", TableName(table), ", key ", PrintableKey(key),
                                            ": value of ", stored.size(),
                                            " bytes, expected at least its 4-byte checksum"));
  }
  const absl::string_view value = stored.substr(0, stored.size() - kTrailerBytes);
  const uint32_t found = ReadKey32(stored.data() + value.size());
  const uint32_t expected = TrailerOf(table, key, value);
  if (found == expected) return value;
  return absl::DataLossError(absl::StrCat("table ", TableName(table), ", key ", PrintableKey(key),
                                          ": value of ", value.size(), " bytes has crc32c ",
                                          absl::Hex(expected, absl::kZeroPad8), ", expected ",
                                          absl::Hex(found, absl::kZeroPad8)));
}

std::string PrintableKey(absl::string_view key) {
  constexpr size_t kMost = 64;
  const absl::string_view shown = key.substr(0, kMost);
  const bool text = std::all_of(shown.begin(), shown.end(), [](char c) { return absl::ascii_isprint(c); });
  return absl::StrCat(text ? absl::StrCat("\"", absl::CEscape(shown), "\"")
                           : absl::StrCat("0x", absl::BytesToHexString(shown)),
                      key.size() > kMost ? absl::StrCat("... (", key.size(), " bytes)") : "");
}

}  // namespace larder::storage

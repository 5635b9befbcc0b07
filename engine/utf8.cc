#include "engine/utf8.h"

#include <unicode/utf8.h>  // macros: needs no library of ICU

#include <cstring>

#include "absl/strings/str_cat.h"

namespace larder {
namespace {

// The length of the well-formed sequence that `bytes` start with, 0 if there is none.
size_t SequenceLength(const uint8_t* bytes, size_t size) {
  size_t length = 0;
  UChar32 code_point;
  U8_NEXT(bytes, length, size, code_point);
  return code_point < 0 ? 0 : length;
}

}  // namespace

size_t ValidUtf8Prefix(absl::string_view text) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
  size_t i = 0;
  while (i < text.size()) {
    // Eight ASCII bytes at a time: most text is.
    uint64_t word = 0;
    while (i + 8 <= text.size()) {
      std::memcpy(&word, bytes + i, 8);
      if ((word & 0x8080808080808080ull) != 0) break;
      i += 8;
    }
    if (i == text.size()) break;
    size_t length = SequenceLength(bytes + i, text.size() - i);
    if (length == 0) return i;
    i += length;
  }
  return i;
}

std::string ToValidUtf8(absl::string_view text) {
  std::string valid;
  for (size_t i = 0; i < text.size();) {
    const size_t run = ValidUtf8Prefix(text.substr(i));
    absl::StrAppend(&valid, text.substr(i, run));
    i += run;
    if (i == text.size()) break;
    absl::StrAppend(&valid, "\xEF\xBF\xBD");
    ++i;
  }
  return valid;
}

void AppendUtf8(uint32_t code_point, std::string* out) {
  char bytes[U8_MAX_LENGTH];
  size_t size = 0;
  U8_APPEND_UNSAFE(bytes, size, code_point);
  out->append(bytes, size);
}

std::string QuoteForMessage(absl::string_view text, size_t limit) {
  std::string quoted = "\"";
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
  size_t i = 0;
  while (i < text.size() && i < limit) {
    size_t length = SequenceLength(bytes + i, text.size() - i);
    if (length == 0 || bytes[i] < 0x20 || bytes[i] == 0x7F) {
      absl::StrAppend(&quoted, "\\x", absl::Hex(bytes[i], absl::kZeroPad2));
      ++i;
      continue;
    }
    quoted.append(text.data() + i, length);
    i += length;
  }
  return absl::StrCat(quoted, i < text.size() ? "...\"" : "\"");
}

}  // namespace larder

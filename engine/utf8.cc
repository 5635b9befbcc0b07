#include "engine/utf8.h"

#include <cstring>

#include "absl/strings/str_cat.h"

namespace larder {
namespace {

bool IsTail(uint8_t byte) { return (byte & 0xC0) == 0x80; }

// The length of the sequence at p, or 0 if it is not UTF-8. Table 3-7 of the Unicode standard.
size_t SequenceLength(const uint8_t* p, size_t left) {
  uint8_t lead = p[0];
  if (lead < 0x80) return 1;
  if (lead < 0xC2) return 0;
  if (lead < 0xE0) return left >= 2 && IsTail(p[1]) ? 2 : 0;
  if (lead < 0xF0) {
    if (left < 3 || !IsTail(p[1]) || !IsTail(p[2])) return 0;
    bool overlong = lead == 0xE0 && p[1] < 0xA0, surrogate = lead == 0xED && p[1] >= 0xA0;
    return overlong || surrogate ? 0 : 3;
  }
  if (lead > 0xF4 || left < 4 || !IsTail(p[1]) || !IsTail(p[2]) || !IsTail(p[3])) return 0;
  bool overlong = lead == 0xF0 && p[1] < 0x90, beyond = lead == 0xF4 && p[1] >= 0x90;
  return overlong || beyond ? 0 : 4;
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

void AppendUtf8(uint32_t c, std::string* out) {
  if (c < 0x80) {
    out->push_back(static_cast<char>(c));
    return;
  }
  int tails = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
  static constexpr uint8_t kLead[] = {0, 0xC0, 0xE0, 0xF0};
  out->push_back(static_cast<char>(kLead[tails] | c >> (6 * tails)));
  while (tails-- > 0) out->push_back(static_cast<char>(0x80 | (c >> (6 * tails) & 0x3F)));
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

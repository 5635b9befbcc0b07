// Whether bytes are UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF). A leaf
// of its own, larder_utf8: the protocol's conversion uses it as the engine does. Thread-safe.
#ifndef LARDER_ENGINE_UTF8_H_
#define LARDER_ENGINE_UTF8_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace larder {

// The length of the longest prefix that is UTF-8: text.size() if all of it is, else the offset of
// the first byte that cannot be right (the lead byte of a sequence that is cut short).
size_t ValidUtf8Prefix(absl::string_view text);

inline bool IsUtf8(absl::string_view text) { return ValidUtf8Prefix(text) == text.size(); }

// Every byte that does not belong to a well-formed sequence becomes U+FFFD.
std::string ToValidUtf8(absl::string_view text);

// Appends one code point, which must not be a surrogate nor above U+10FFFF.
void AppendUtf8(uint32_t code_point, std::string* out);

// For messages: the text in quotes, cut between code points to about `limit` bytes, with control
// characters and bytes that are not UTF-8 escaped ("\x1b").
std::string QuoteForMessage(absl::string_view text, size_t limit = 40);

}  // namespace larder

#endif  // LARDER_ENGINE_UTF8_H_

// Where sentences, words and user-perceived characters end, by the rules of Unicode (UAX #29, from
// ICU), in byte offsets of UTF-8.
#ifndef LARDER_ENGINE_TEXT_BREAKS_H_
#define LARDER_ENGINE_TEXT_BREAKS_H_

#include <cstddef>
#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace larder {

enum class BreakKind { kSentence = 0, kWord = 1, kGrapheme = 2 };

// One piece: text[begin, end). `is_word` is set for kWord pieces that hold letters or digits.
using PieceFn = absl::FunctionRef<void(size_t begin, size_t end, bool is_word)>;

// Calls `piece` for each piece of `text`, in order; together they are the whole of it. Linear, in
// bounded memory. Internal if ICU's data cannot be loaded. Thread-safe: iterators are per thread.
absl::Status ForEachPiece(absl::string_view text, BreakKind kind, PieceFn piece);

// The largest boundary of a code point at or below `offset`.
size_t CodePointFloor(absl::string_view text, size_t offset);

inline bool IsAsciiSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
// The part of text[begin, end) without ASCII white space at either end; empty at `end` if none is left.
void TrimRange(absl::string_view text, size_t* begin, size_t* end);

}  // namespace larder

#endif  // LARDER_ENGINE_TEXT_BREAKS_H_

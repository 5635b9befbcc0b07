// The tokens of the filter language. Private to the filter's parser.
#ifndef LARDER_ENGINE_FILTER_LEXER_H_
#define LARDER_ENGINE_FILTER_LEXER_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "engine/filter.h"

namespace larder {

enum class TokenKind : uint8_t {
  kEnd,
  kName,     // a bare word that is not reserved
  kKeyword,  // and or not in prefix exists true false
  kString,   // "..." or '...', unescaped in `text`
  kNumber,   // in `number`: int64 or double
  kCompare,  // = != < <= > >=
  kOpen,
  kClose,
  kComma,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  size_t offset = 0;         // of its first byte
  absl::string_view source;  // as written; points into the expression
  std::string text;          // of kString
  Scalar number;             // of kNumber
};

// Whether a word must be quoted to be a field's name.
bool IsFilterKeyword(absl::string_view word);
// Whether a field's name may stand without quotes.
bool IsBareFilterName(absl::string_view name);

// Reads one token after another. `expression` must be UTF-8 and outlive the tokens. Linear.
class FilterLexer {
 public:
  explicit FilterLexer(absl::string_view expression) : expression_(expression) {}

  // InvalidArgument for what is no token: a string without end, a number out of range.
  absl::Status Next(Token* token);

 private:
  absl::Status ReadString(Token* token);
  absl::Status ReadEscape(Token* token);
  absl::Status ReadCodeUnit(uint32_t* unit);
  absl::Status ReadNumber(Token* token);
  bool ReadPunctuation(Token* token);
  absl::Status Error(size_t offset, absl::string_view expected, absl::string_view found) const;

  const absl::string_view expression_;
  size_t pos_ = 0;
};

// "filter: byte 12: expected X, found Y".
absl::Status FilterSyntaxError(size_t offset, absl::string_view expected, absl::string_view found);

}  // namespace larder

#endif  // LARDER_ENGINE_FILTER_LEXER_H_

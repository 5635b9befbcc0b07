#include "engine/filter_lexer.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/utf8.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

constexpr const char* kKeywords[] = {"and", "or", "not", "in", "prefix", "exists", "true", "false"};

// Bytes from 0x80 on are letters here; the expression is known to be UTF-8.
bool IsNameStart(char c) { return absl::ascii_isalpha(c) || c == '_' || static_cast<uint8_t>(c) >= 0x80; }
bool IsNameByte(char c) { return IsNameStart(c) || absl::ascii_isdigit(c) || c == '.' || c == '-'; }

bool IsSurrogate(uint32_t unit, uint32_t first) { return unit >= first && unit < first + 0x400; }

}  // namespace

absl::Status FilterSyntaxError(size_t offset, absl::string_view expected, absl::string_view found) {
  return absl::InvalidArgumentError(
      absl::StrCat("filter: byte ", offset, ": expected ", expected, ", found ", found));
}

bool IsFilterKeyword(absl::string_view word) {
  return std::any_of(std::begin(kKeywords), std::end(kKeywords), [&](const char* k) { return word == k; });
}

bool IsBareFilterName(absl::string_view name) {
  return !name.empty() && IsNameStart(name[0]) && std::all_of(name.begin(), name.end(), IsNameByte) &&
         !IsFilterKeyword(name);
}

absl::Status FilterLexer::Next(Token* token) {
  while (pos_ < expression_.size() && absl::ascii_isspace(expression_[pos_])) ++pos_;
  *token = Token{};
  token->offset = pos_;
  if (pos_ == expression_.size()) return absl::OkStatus();
  char c = expression_[pos_];
  if (c == '"' || c == '\'') return ReadString(token);
  bool signed_digit = c == '-' && pos_ + 1 < expression_.size() && absl::ascii_isdigit(expression_[pos_ + 1]);
  if (absl::ascii_isdigit(c) || signed_digit) return ReadNumber(token);
  if (IsNameStart(c)) {
    while (pos_ < expression_.size() && IsNameByte(expression_[pos_])) ++pos_;
    token->source = expression_.substr(token->offset, pos_ - token->offset);
    token->kind = IsFilterKeyword(token->source) ? TokenKind::kKeyword : TokenKind::kName;
    return absl::OkStatus();
  }
  if (ReadPunctuation(token)) return absl::OkStatus();
  return FilterSyntaxError(pos_, "a field, a value, an operator or a parenthesis",
                           QuoteForMessage(expression_.substr(pos_, 1)));
}

bool FilterLexer::ReadPunctuation(Token* token) {
  char c = expression_[pos_];
  size_t length = 1;
  if (c == '(' || c == ')' || c == ',') {
    token->kind = c == '(' ? TokenKind::kOpen : c == ')' ? TokenKind::kClose : TokenKind::kComma;
  } else if (c == '=' || c == '<' || c == '>' || c == '!') {
    if (c != '=' && pos_ + 1 < expression_.size() && expression_[pos_ + 1] == '=') length = 2;
    if (c == '!' && length == 1) return false;
    token->kind = TokenKind::kCompare;
  } else {
    return false;
  }
  token->source = expression_.substr(pos_, length);
  pos_ += length;
  return true;
}

absl::Status FilterLexer::ReadString(Token* token) {
  const char quote = expression_[pos_++];
  token->kind = TokenKind::kString;
  while (pos_ < expression_.size()) {
    char c = expression_[pos_];
    if (c == quote) {
      ++pos_;
      token->source = expression_.substr(token->offset, pos_ - token->offset);
      return absl::OkStatus();
    }
    if (c == '\\') {
      RETURN_IF_ERROR(ReadEscape(token));
    } else {
      token->text.push_back(c);
      ++pos_;
    }
  }
  return FilterSyntaxError(token->offset, absl::StrCat("a string that ends with ", std::string(1, quote)),
                           QuoteForMessage(expression_.substr(token->offset)));
}

absl::Status FilterLexer::ReadEscape(Token* token) {
  const size_t start = pos_;
  char c = pos_ + 1 < expression_.size() ? expression_[pos_ + 1] : '\0';
  static constexpr absl::string_view kEscaped = "\"'\\nt", kMeaning = "\"'\\\n\t";
  if (size_t i = kEscaped.find(c); i != absl::string_view::npos) {
    token->text.push_back(kMeaning[i]);
    pos_ += 2;
    return absl::OkStatus();
  }
  if (c != 'u') return Error(start, "\\\", \\', \\\\, \\n, \\t or \\uXXXX", expression_.substr(start, 2));
  uint32_t unit = 0;
  RETURN_IF_ERROR(ReadCodeUnit(&unit));
  if (IsSurrogate(unit, 0xD800)) {  // one half of a character beyond U+FFFF
    uint32_t low = 0;
    if (pos_ < expression_.size() && expression_[pos_] == '\\') RETURN_IF_ERROR(ReadCodeUnit(&low));
    if (!IsSurrogate(low, 0xDC00)) {
      return Error(start, "a pair of surrogates", expression_.substr(start, pos_ - start));
    }
    unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
  } else if (IsSurrogate(unit, 0xDC00)) {
    return Error(start, "a character", expression_.substr(start, 6));
  }
  AppendUtf8(unit, &token->text);
  return absl::OkStatus();
}

absl::Status FilterLexer::ReadCodeUnit(uint32_t* unit) {
  absl::string_view escape = expression_.substr(pos_, 6);
  bool good = escape.size() == 6 && escape[1] == 'u' &&
              std::all_of(escape.begin() + 2, escape.end(), [](char c) { return absl::ascii_isxdigit(c); });
  if (!good || !absl::SimpleHexAtoi(escape.substr(2), unit)) {
    return Error(pos_, "\\u and four hexadecimal digits", escape);
  }
  pos_ += 6;
  return absl::OkStatus();
}

absl::Status FilterLexer::ReadNumber(Token* token) {
  const size_t start = pos_;
  auto digits = [this] {
    size_t from = pos_;
    while (pos_ < expression_.size() && absl::ascii_isdigit(expression_[pos_])) ++pos_;
    return pos_ > from;
  };
  auto at = [this](absl::string_view any) {
    return pos_ < expression_.size() && any.find(expression_[pos_]) != absl::string_view::npos;
  };
  if (at("-")) ++pos_;
  bool good = digits(), decimal = false;
  if (good && at(".")) decimal = true, ++pos_, good = digits();
  if (good && at("eE")) {
    decimal = true, ++pos_;
    if (at("+-")) ++pos_;
    good = digits();
  }
  while (pos_ < expression_.size() && IsNameByte(expression_[pos_])) good = false, ++pos_;
  token->kind = TokenKind::kNumber;
  token->source = expression_.substr(start, pos_ - start);
  if (!good) return Error(start, "a number", token->source);
  if (decimal) {
    double value = 0;
    if (!absl::SimpleAtod(token->source, &value) || !std::isfinite(value)) {
      return Error(start, "a decimal that a double can hold", token->source);
    }
    token->number = value;
    return absl::OkStatus();
  }
  int64_t value = 0;
  if (!absl::SimpleAtoi(token->source, &value)) {
    return Error(start, "an integer from -2^63 to 2^63 - 1", token->source);
  }
  token->number = value;
  return absl::OkStatus();
}

absl::Status FilterLexer::Error(size_t offset, absl::string_view expected, absl::string_view found) const {
  return FilterSyntaxError(offset, expected, QuoteForMessage(found));
}

}  // namespace larder

#include "tools/readers/npy_header.h"

#include <limits>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/utf8.h"
#include "storage/status_macros.h"

namespace larder::tools {
namespace {

constexpr absl::string_view kMagic = "\x93NUMPY";

absl::Status HeaderError(size_t offset, absl::string_view expected, absl::string_view found) {
  return absl::InvalidArgumentError(
      absl::StrCat("byte ", offset, ": expected ", expected, ", found ", QuoteForMessage(found)));
}

// Reads the Python literal {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }, keys in any
// order, each once.
class DictParser {
 public:
  // Offsets are those of the file: text[begin, end) is the literal.
  DictParser(absl::string_view text, size_t begin, size_t end) : text_(text.substr(0, end)), pos_(begin) {}

  absl::Status Parse();

  std::string descr;
  bool fortran_order = false;
  std::vector<uint64_t> shape;
  size_t descr_offset = 0, shape_offset = 0;

 private:
  absl::Status ParseEntry();
  absl::Status ParseString(std::string* out);
  absl::Status ParseBool(bool* out);
  absl::Status ParseShape();
  absl::Status Once(bool* seen, absl::string_view key, size_t offset);

  void SkipSpace() {
    while (pos_ < text_.size() && absl::ascii_isspace(text_[pos_])) ++pos_;
  }
  bool Accept(absl::string_view token) {
    SkipSpace();
    if (!absl::StartsWith(text_.substr(pos_), token)) return false;
    pos_ += token.size();
    return true;
  }
  absl::Status Unexpected(absl::string_view expected) const {
    return HeaderError(pos_, expected, text_.substr(pos_, 20));
  }

  const absl::string_view text_;
  size_t pos_;
  bool has_descr_ = false, has_order_ = false, has_shape_ = false;
};

absl::Status DictParser::Parse() {
  if (!Accept("{")) return Unexpected("\"{\"");
  while (!Accept("}")) {
    RETURN_IF_ERROR(ParseEntry());
    if (Accept(",")) continue;
    if (!Accept("}")) return Unexpected("\",\" or \"}\"");
    break;
  }
  SkipSpace();
  if (pos_ != text_.size()) return Unexpected("the end of the header");
  if (!has_descr_ || !has_order_ || !has_shape_) {
    return HeaderError(pos_, "'descr', 'fortran_order' and 'shape'", "fewer");
  }
  return absl::OkStatus();
}

absl::Status DictParser::Once(bool* seen, absl::string_view key, size_t offset) {
  if (*seen) return HeaderError(offset, "each key once", key);
  *seen = true;
  if (!Accept(":")) return Unexpected("\":\"");
  SkipSpace();
  return absl::OkStatus();
}

absl::Status DictParser::ParseEntry() {
  SkipSpace();
  const size_t key_offset = pos_;
  std::string key;
  RETURN_IF_ERROR(ParseString(&key));
  if (key == "descr") {
    RETURN_IF_ERROR(Once(&has_descr_, key, key_offset));
    descr_offset = pos_;
    return ParseString(&descr);
  }
  if (key == "fortran_order") {
    RETURN_IF_ERROR(Once(&has_order_, key, key_offset));
    return ParseBool(&fortran_order);
  }
  if (key == "shape") {
    RETURN_IF_ERROR(Once(&has_shape_, key, key_offset));
    shape_offset = pos_;
    return ParseShape();
  }
  return HeaderError(key_offset, "'descr', 'fortran_order' or 'shape'", key);
}

absl::Status DictParser::ParseString(std::string* out) {
  SkipSpace();
  char quote = pos_ < text_.size() ? text_[pos_] : '\0';
  if (quote != '\'' && quote != '"') return Unexpected("a string");
  size_t end = text_.find(quote, pos_ + 1);
  if (end == absl::string_view::npos) return Unexpected("a string that ends");
  *out = std::string(text_.substr(pos_ + 1, end - pos_ - 1));
  pos_ = end + 1;
  return absl::OkStatus();
}

absl::Status DictParser::ParseBool(bool* out) {
  *out = Accept("True");
  if (!*out && !Accept("False")) return Unexpected("True or False");
  return absl::OkStatus();
}

absl::Status DictParser::ParseShape() {
  if (!Accept("(")) return Unexpected("\"(\"");
  while (!Accept(")")) {
    SkipSpace();
    size_t end = pos_;
    while (end < text_.size() && absl::ascii_isdigit(text_[end])) ++end;
    uint64_t size = 0;
    if (!absl::SimpleAtoi(text_.substr(pos_, end - pos_), &size)) {
      return Unexpected("a size from 0 to 2^64 - 1");
    }
    shape.push_back(size);
    pos_ = end;
    Accept("L");  // written by Python 2
    if (Accept(",")) continue;
    if (!Accept(")")) return Unexpected("\",\" or \")\"");
    break;
  }
  return absl::OkStatus();
}

absl::StatusOr<ElementType> TypeOf(absl::string_view descr, size_t offset) {
  static constexpr struct {
    absl::string_view descr;
    ElementType type;
  } kTypes[] = {{"<f2", ElementType::kF16}, {"<f4", ElementType::kF32}, {"<f8", ElementType::kF64},
                {"|i1", ElementType::kI8},  {"|u1", ElementType::kU8},  {"<i4", ElementType::kI32},
                {"<i8", ElementType::kI64}};
  for (const auto& known : kTypes) {
    if (descr == known.descr) return known.type;
  }
  return HeaderError(offset, "a type of <f2, <f4, <f8, |i1, |u1, <i4 or <i8", descr);
}

uint64_t LittleEndian(absl::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

}  // namespace

absl::StatusOr<NpyHeader> ParseNpyHeader(absl::string_view start) {
  if (!absl::StartsWith(start, kMagic)) return HeaderError(0, "\\x93NUMPY", start.substr(0, kMagic.size()));
  if (start.size() < 8) return HeaderError(start.size(), "a version", "");
  const int version = static_cast<uint8_t>(start[6]);
  if (version < 1 || version > 3 || start[7] != 0) {
    return HeaderError(6, "version 1.0, 2.0 or 3.0",
                       absl::StrCat(version, ".", static_cast<int>(static_cast<uint8_t>(start[7]))));
  }
  const size_t length_bytes = version == 1 ? 2 : 4, begin = 8 + length_bytes;
  if (start.size() < begin) return HeaderError(8, "a header length", start.substr(8));
  const uint64_t length = LittleEndian(start.substr(8, length_bytes));
  if (length > kMaxNpyHeaderBytes - begin || begin + length > start.size()) {
    return HeaderError(
        8, absl::StrCat("a header of at most ", std::min(start.size(), kMaxNpyHeaderBytes) - begin, " bytes"),
        absl::StrCat(length));
  }
  DictParser dict(start, begin, begin + length);
  RETURN_IF_ERROR(dict.Parse());
  NpyHeader header;
  header.data_offset = begin + length;
  ASSIGN_OR_RETURN(header.type, TypeOf(dict.descr, dict.descr_offset));
  if (dict.shape.empty() || dict.shape.size() > 2) {
    return HeaderError(dict.shape_offset, "one or two dimensions", absl::StrCat(dict.shape.size()));
  }
  header.rows = dict.shape[0];
  if (dict.shape.size() == 2) header.columns = dict.shape[1];
  if (dict.fortran_order && header.rows > 1 && header.columns > 1) {
    return HeaderError(begin, "C order", "fortran_order True");
  }
  return header;
}

}  // namespace larder::tools

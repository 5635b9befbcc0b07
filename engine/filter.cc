#include "engine/filter.h"

#include <algorithm>
#include <cmath>
#include <compare>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/filter_lexer.h"
#include "engine/filter_parser.h"
#include "engine/utf8.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

using Op = Filter::Op;

// By value, without rounding the integer: 2^53 + 1 is greater than 2^53 as a double.
std::partial_ordering CompareIntToDouble(int64_t a, double b) {
  if (std::isnan(b)) return std::partial_ordering::unordered;
  if (b >= 0x1p63) return std::partial_ordering::less;
  if (b < -0x1p63) return std::partial_ordering::greater;
  double whole = std::trunc(b);
  auto integer = static_cast<int64_t>(whole);
  if (a != integer) return a <=> integer;
  return whole <=> b;
}

// Unordered: of different types.
std::partial_ordering CompareScalars(const Scalar& a, const Scalar& b) {
  const auto* int_a = std::get_if<int64_t>(&a);
  const auto* int_b = std::get_if<int64_t>(&b);
  if (int_a != nullptr && std::holds_alternative<double>(b)) {
    return CompareIntToDouble(*int_a, std::get<double>(b));
  }
  if (int_b != nullptr && std::holds_alternative<double>(a)) {
    return 0 <=> CompareIntToDouble(*int_b, std::get<double>(a));
  }
  if (a.index() != b.index()) return std::partial_ordering::unordered;
  return a <=> b;
}

bool ScalarMatches(Op op, const Scalar& have, const std::vector<Scalar>& wanted) {
  if (op == Op::kIn) {
    return std::any_of(wanted.begin(), wanted.end(),
                       [&](const Scalar& w) { return CompareScalars(have, w) == 0; });
  }
  if (op == Op::kPrefix) {
    const auto* text = std::get_if<std::string>(&have);
    return text != nullptr && absl::StartsWith(*text, std::get<std::string>(wanted[0]));
  }
  std::partial_ordering order = CompareScalars(have, wanted[0]);
  switch (op) {
    case Op::kEq:
      return order == 0;
    case Op::kLt:
      return order < 0;
    case Op::kLe:
      return order <= 0;
    case Op::kGt:
      return order > 0;
    case Op::kGe:
      return order >= 0;
    default:
      return false;
  }
}

bool FieldMatches(Op op, const Filter& filter, const Metadata& metadata) {
  auto field = metadata.find(filter.field);
  if (field == metadata.end()) return false;
  if (op == Op::kExists) return true;
  const std::vector<Scalar>& values = field->second.values;
  return std::any_of(values.begin(), values.end(),
                     [&](const Scalar& value) { return ScalarMatches(op, value, filter.values); });
}

absl::Status Invalid(absl::string_view what, absl::string_view expected, absl::string_view found) {
  return absl::InvalidArgumentError(
      absl::StrCat("filter: ", what, ": expected ", expected, ", found ", found));
}

absl::string_view OpName(Op op) {
  static constexpr absl::string_view kNames[] = {"and", "or", "not", "=",  "!=",     "<",
                                                 "<=",  ">",  ">=",  "in", "exists", "prefix"};
  return kNames[static_cast<size_t>(op)];
}

bool IsBranch(Op op) { return op == Op::kAnd || op == Op::kOr || op == Op::kNot; }

absl::Status ValidateScalar(const Filter& filter, const Scalar& value) {
  std::string where = absl::StrCat(QuoteForMessage(filter.field), " ", OpName(filter.op));
  const auto* text = std::get_if<std::string>(&value);
  if (text != nullptr && !IsUtf8(*text)) return Invalid(where, "UTF-8", QuoteForMessage(*text));
  if (filter.op == Op::kPrefix && text == nullptr) return Invalid(where, "a string", "another type");
  const auto* number = std::get_if<double>(&value);
  if (number != nullptr && !std::isfinite(*number)) {
    return Invalid(where, "a finite number", absl::StrCat(*number));
  }
  return absl::OkStatus();
}

absl::Status ValidateLeaf(const Filter& filter) {
  std::string where = absl::StrCat(QuoteForMessage(filter.field), " ", OpName(filter.op));
  if (!filter.children.empty()) {
    return Invalid(where, "no children", absl::StrCat(filter.children.size()));
  }
  if (!IsUtf8(filter.field)) return Invalid(where, "a field in UTF-8", "other bytes");
  size_t count = filter.values.size();
  bool good = filter.op == Op::kExists ? count == 0 : filter.op == Op::kIn ? count > 0 : count == 1;
  if (!good) {
    absl::string_view expected = filter.op == Op::kExists ? "no values"
                                 : filter.op == Op::kIn   ? "values"
                                                          : "one value";
    return Invalid(where, expected, absl::StrCat(count));
  }
  for (const Scalar& value : filter.values) RETURN_IF_ERROR(ValidateScalar(filter, value));
  return absl::OkStatus();
}

absl::Status ValidateTree(const Filter& filter, int depth, int* terms) {
  if (depth > kMaxFilterDepth) return Invalid("depth", absl::StrCat("at most ", kMaxFilterDepth), "more");
  if (static_cast<size_t>(filter.op) > static_cast<size_t>(Op::kPrefix)) {
    return Invalid("operator", "0 to 11", absl::StrCat(static_cast<int>(filter.op)));
  }
  if (filter.children.empty()) {
    size_t count = std::max<size_t>(1, filter.values.size());
    if (count > static_cast<size_t>(kMaxFilterTerms - *terms)) {
      return Invalid("terms", absl::StrCat("at most ", kMaxFilterTerms), "more");
    }
    *terms += static_cast<int>(count);
  }
  if (!IsBranch(filter.op)) return ValidateLeaf(filter);
  if (!filter.values.empty() || !filter.field.empty()) {
    return Invalid(OpName(filter.op), "neither field nor values", QuoteForMessage(filter.field));
  }
  if (filter.op == Op::kNot && filter.children.size() != 1) {
    return Invalid("not", "one child", absl::StrCat(filter.children.size()));
  }
  for (const Filter& child : filter.children) RETURN_IF_ERROR(ValidateTree(child, depth + 1, terms));
  return absl::OkStatus();
}

void AppendString(absl::string_view text, std::string* out) {
  out->push_back('"');
  for (char c : text) {
    if (c == '"' || c == '\\') {
      absl::StrAppend(out, "\\", std::string(1, c));
    } else if (c == '\n' || c == '\t') {
      out->append(c == '\n' ? "\\n" : "\\t");
    } else if (static_cast<uint8_t>(c) < 0x20 || c == 0x7F) {
      absl::StrAppendFormat(out, "\\u%04x", static_cast<unsigned>(c));
    } else {
      out->push_back(c);
    }
  }
  out->push_back('"');
}

void AppendScalar(const Scalar& value, std::string* out) {
  if (const auto* text = std::get_if<std::string>(&value)) return AppendString(*text, out);
  if (const auto* flag = std::get_if<bool>(&value)) return absl::StrAppend(out, *flag ? "true" : "false");
  if (const auto* integer = std::get_if<int64_t>(&value)) return absl::StrAppend(out, *integer);
  std::string decimal = absl::StrFormat("%.17g", std::get<double>(value));
  // Without a point or an exponent it would come back as an integer.
  if (decimal.find_first_of(".e") == std::string::npos) decimal += ".0";
  absl::StrAppend(out, decimal);
}

void AppendLeaf(const Filter& filter, std::string* out) {
  std::string field;
  if (IsBareFilterName(filter.field)) {
    field = filter.field;
  } else {
    AppendString(filter.field, &field);
  }
  if (filter.op == Op::kExists) return absl::StrAppend(out, "exists(", field, ")");
  absl::StrAppend(out, field, " ", OpName(filter.op), filter.op == Op::kIn ? " (" : " ");
  for (size_t i = 0; i < filter.values.size(); ++i) {
    if (i > 0) absl::StrAppend(out, ", ");
    AppendScalar(filter.values[i], out);
  }
  if (filter.op == Op::kIn) out->push_back(')');
}

void AppendFilter(const Filter& filter, bool nested, std::string* out) {
  if (!IsBranch(filter.op)) return AppendLeaf(filter, out);
  if (filter.op == Op::kNot) {
    out->append("not ");
    return AppendFilter(filter.children[0], true, out);
  }
  if (filter.children.empty()) return absl::StrAppend(out, filter.op == Op::kAnd ? "true" : "false");
  if (filter.children.size() == 1) return AppendFilter(filter.children[0], nested, out);
  if (nested) out->push_back('(');
  for (size_t i = 0; i < filter.children.size(); ++i) {
    if (i > 0) absl::StrAppend(out, " ", OpName(filter.op), " ");
    AppendFilter(filter.children[i], true, out);
  }
  if (nested) out->push_back(')');
}

}  // namespace

absl::StatusOr<Filter> ParseFilter(absl::string_view expression) {
  size_t valid = ValidUtf8Prefix(expression);
  if (valid < expression.size()) {
    return FilterSyntaxError(valid, "UTF-8", QuoteForMessage(expression.substr(valid, 1)));
  }
  Filter filter;
  RETURN_IF_ERROR(FilterParser(expression).Parse(&filter));
  RETURN_IF_ERROR(ValidateFilter(filter));  // "a or b and c" is deeper than its parentheses
  return filter;
}

absl::Status ValidateFilter(const Filter& filter) {
  int terms = 0;
  return ValidateTree(filter, 1, &terms);
}

std::string FilterToString(const Filter& filter) {
  std::string text;
  if (filter.op == Op::kAnd && filter.children.empty()) return text;
  AppendFilter(filter, /*nested=*/false, &text);
  return text;
}

bool Matches(const Filter& filter, const Metadata& metadata) {
  auto matches = [&](const Filter& child) { return Matches(child, metadata); };
  switch (filter.op) {
    case Op::kAnd:
      return std::all_of(filter.children.begin(), filter.children.end(), matches);
    case Op::kOr:
      return std::any_of(filter.children.begin(), filter.children.end(), matches);
    case Op::kNot:
      return !matches(filter.children[0]);
    case Op::kNe:
      return !FieldMatches(Op::kEq, filter, metadata);
    default:
      return FieldMatches(filter.op, filter, metadata);
  }
}

}  // namespace larder

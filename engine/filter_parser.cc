#include "engine/filter_parser.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/utf8.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

Filter::Op CompareOp(absl::string_view source) {
  if (source == "=") return Filter::Op::kEq;
  if (source == "!=") return Filter::Op::kNe;
  if (source == "<") return Filter::Op::kLt;
  if (source == "<=") return Filter::Op::kLe;
  return source == ">" ? Filter::Op::kGt : Filter::Op::kGe;
}

}  // namespace

absl::Status FilterParser::Parse(Filter* filter) {
  *filter = Filter{};
  RETURN_IF_ERROR(Advance());
  if (token_.kind == TokenKind::kEnd) return absl::OkStatus();
  RETURN_IF_ERROR(ParseOr(filter));
  if (token_.kind != TokenKind::kEnd) return Unexpected("\"and\", \"or\" or the end");
  return absl::OkStatus();
}

absl::Status FilterParser::ParseChain(absl::string_view keyword, Filter::Op op, Rule element,
                                      Filter* filter) {
  RETURN_IF_ERROR((this->*element)(filter));
  if (!At(keyword)) return absl::OkStatus();
  Filter chain;
  chain.op = op;
  chain.children.push_back(std::move(*filter));
  while (At(keyword)) {
    RETURN_IF_ERROR(Advance());
    RETURN_IF_ERROR((this->*element)(&chain.children.emplace_back()));
  }
  *filter = std::move(chain);
  return absl::OkStatus();
}

absl::Status FilterParser::ParseOr(Filter* filter) {
  return ParseChain("or", Filter::Op::kOr, &FilterParser::ParseAnd, filter);
}

absl::Status FilterParser::ParseAnd(Filter* filter) {
  return ParseChain("and", Filter::Op::kAnd, &FilterParser::ParseNot, filter);
}

absl::Status FilterParser::ParseNot(Filter* filter) {
  if (!At("not")) return ParsePredicate(filter);
  RETURN_IF_ERROR(Deeper());
  RETURN_IF_ERROR(Advance());
  filter->op = Filter::Op::kNot;
  RETURN_IF_ERROR(ParseNot(&filter->children.emplace_back()));
  --depth_;
  return absl::OkStatus();
}

absl::Status FilterParser::ParsePredicate(Filter* filter) {
  if (token_.kind == TokenKind::kOpen) {
    RETURN_IF_ERROR(Deeper());
    RETURN_IF_ERROR(Advance());
    RETURN_IF_ERROR(ParseOr(filter));
    --depth_;
    return Expect(TokenKind::kClose, "\"and\", \"or\" or \")\"");
  }
  RETURN_IF_ERROR(CountTerm());
  if (At("exists")) return ParseExists(filter);
  if (At("true") || At("false")) {
    filter->op = At("true") ? Filter::Op::kAnd : Filter::Op::kOr;
    return Advance();
  }
  RETURN_IF_ERROR(ParseField(filter));
  return ParseComparison(filter);
}

absl::Status FilterParser::ParseExists(Filter* filter) {
  filter->op = Filter::Op::kExists;
  RETURN_IF_ERROR(Advance());
  RETURN_IF_ERROR(Expect(TokenKind::kOpen, "\"(\""));
  RETURN_IF_ERROR(ParseField(filter));
  return Expect(TokenKind::kClose, "\")\"");
}

absl::Status FilterParser::ParseComparison(Filter* filter) {
  if (token_.kind == TokenKind::kCompare) {
    filter->op = CompareOp(token_.source);
    RETURN_IF_ERROR(Advance());
    return ParseValue(filter);
  }
  if (At("in")) {
    filter->op = Filter::Op::kIn;
    RETURN_IF_ERROR(Advance());
    return ParseList(filter);
  }
  if (!At("prefix")) return Unexpected("=, !=, <, <=, >, >=, \"in\" or \"prefix\"");
  filter->op = Filter::Op::kPrefix;
  RETURN_IF_ERROR(Advance());
  if (token_.kind != TokenKind::kString) return Unexpected("a string");
  return ParseValue(filter);
}

absl::Status FilterParser::ParseList(Filter* filter) {
  RETURN_IF_ERROR(Expect(TokenKind::kOpen, "\"(\""));
  RETURN_IF_ERROR(ParseValue(filter));
  while (token_.kind == TokenKind::kComma) {
    RETURN_IF_ERROR(CountTerm());
    RETURN_IF_ERROR(Advance());
    RETURN_IF_ERROR(ParseValue(filter));
  }
  return Expect(TokenKind::kClose, "\",\" or \")\"");
}

absl::Status FilterParser::ParseField(Filter* filter) {
  if (token_.kind == TokenKind::kString) {
    filter->field = std::move(token_.text);
  } else if (token_.kind == TokenKind::kName) {
    filter->field = std::string(token_.source);
  } else {
    return Unexpected("a field");
  }
  return Advance();
}

absl::Status FilterParser::ParseValue(Filter* filter) {
  if (token_.kind == TokenKind::kString) {
    filter->values.emplace_back(std::move(token_.text));
  } else if (token_.kind == TokenKind::kNumber) {
    filter->values.push_back(token_.number);
  } else if (At("true") || At("false")) {
    filter->values.emplace_back(At("true"));
  } else {
    return Unexpected("a string, a number, true or false");
  }
  return Advance();
}

absl::Status FilterParser::Advance() { return lexer_.Next(&token_); }

bool FilterParser::At(absl::string_view keyword) const {
  return token_.kind == TokenKind::kKeyword && token_.source == keyword;
}

absl::Status FilterParser::Expect(TokenKind kind, absl::string_view what) {
  if (token_.kind != kind) return Unexpected(what);
  return Advance();
}

absl::Status FilterParser::Deeper() {
  if (++depth_ < kMaxFilterDepth) return absl::OkStatus();
  return FilterSyntaxError(token_.offset, absl::StrCat("at most ", kMaxFilterDepth, " levels"),
                           "a deeper one");
}

absl::Status FilterParser::CountTerm() {
  if (++terms_ <= kMaxFilterTerms) return absl::OkStatus();
  return FilterSyntaxError(token_.offset, absl::StrCat("at most ", kMaxFilterTerms, " terms"), "one more");
}

absl::Status FilterParser::Unexpected(absl::string_view expected) const {
  bool end = token_.kind == TokenKind::kEnd;
  return FilterSyntaxError(token_.offset, expected, end ? "the end" : QuoteForMessage(token_.source));
}

}  // namespace larder

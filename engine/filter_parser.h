// Recursive descent over the filter language, bounded in depth. Private: callers use ParseFilter.
//
//   expression = conjunction { "or" conjunction }
//   conjunction = negation { "and" negation }
//   negation = { "not" } predicate
//   predicate = "(" expression ")" | "exists" "(" field ")" | "true" | "false"
//             | field compare value | field "in" "(" value { "," value } ")" | field "prefix" string
#ifndef LARDER_ENGINE_FILTER_PARSER_H_
#define LARDER_ENGINE_FILTER_PARSER_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "engine/filter.h"
#include "engine/filter_lexer.h"

namespace larder {

// For one expression, once. Single-threaded.
class FilterParser {
 public:
  explicit FilterParser(absl::string_view expression) : lexer_(expression) {}

  absl::Status Parse(Filter* filter);

 private:
  using Rule = absl::Status (FilterParser::*)(Filter*);
  // element { keyword element }; a chain of one is that one.
  absl::Status ParseChain(absl::string_view keyword, Filter::Op op, Rule element, Filter* filter);
  absl::Status ParseOr(Filter* filter);
  absl::Status ParseAnd(Filter* filter);
  absl::Status ParseNot(Filter* filter);
  absl::Status ParsePredicate(Filter* filter);
  absl::Status ParseExists(Filter* filter);
  absl::Status ParseComparison(Filter* filter);
  absl::Status ParseList(Filter* filter);
  absl::Status ParseField(Filter* filter);
  absl::Status ParseValue(Filter* filter);

  absl::Status Advance();
  bool At(absl::string_view keyword) const;
  absl::Status Expect(TokenKind kind, absl::string_view what);
  absl::Status Deeper();
  absl::Status CountTerm();
  absl::Status Unexpected(absl::string_view expected) const;

  FilterLexer lexer_;
  Token token_;
  int depth_ = 0;
  int terms_ = 0;
};

}  // namespace larder

#endif  // LARDER_ENGINE_FILTER_PARSER_H_

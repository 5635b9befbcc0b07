// Typed predicates over metadata, and the expression language they are written in:
//
//   year >= 1970 and section in ("2", "3")        not (lang = "de" or draft = true)
//   title prefix "Intro"                          exists(author) and pages < 12.5
//
// Operators: = != < <= > >= in (...) prefix exists(...) and or not, parentheses. Fields are names or
// "quoted names"; values are "strings" ('…' too), integers, decimals, true, false. Comparisons are
// typed: a number never equals a string; integers and decimals compare by value. A missing field
// matches only under `not` and `!=`. A list field matches if any element does.
#ifndef LARDER_ENGINE_FILTER_H_
#define LARDER_ENGINE_FILTER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "larder/types.h"

namespace larder {

inline constexpr int kMaxFilterDepth = 32;
inline constexpr int kMaxFilterTerms = 1024;

struct Filter {
  enum class Op : uint8_t { kAnd, kOr, kNot, kEq, kNe, kLt, kLe, kGt, kGe, kIn, kExists, kPrefix };
  Op op = Op::kAnd;                // kAnd without children matches all
  std::vector<Filter> children;    // and, or: any number; not: one
  std::string field;
  std::vector<Scalar> values;      // one; in: one or more; exists: none
};

// InvalidArgument naming the byte offset and what was expected there. Linear in its input, bounded
// in depth and terms whatever it is given.
absl::StatusOr<Filter> ParseFilter(absl::string_view expression);
// For filters that came as a tree (protobuf): depth, terms, arity and types.
absl::Status ValidateFilter(const Filter& filter);
// Text that parses back to an equal filter.
std::string FilterToString(const Filter& filter);
// The definition of a match: the oracle of the compiled form.
bool Matches(const Filter& filter, const Metadata& metadata);

}  // namespace larder

#endif  // LARDER_ENGINE_FILTER_H_

// Typed predicates over metadata, and the expression language they are written in:
//
//   year >= 1970 and section in ("2", "3")        not (lang = "de" or draft = true)
//   title prefix "Intro"                          exists(author) and pages < 12.5
//
// Operators: = != < <= > >= in (...) prefix exists(...) and or not, parentheses; `not` binds tighter
// than `and`, `and` tighter than `or`. Fields are names ([A-Za-z_][A-Za-z0-9_.-]*, and letters beyond
// ASCII) or "quoted names"; values are "strings" ('…' too, with \" \' \\ \n \t \uXXXX), integers,
// decimals, true, false. `true` or `false` in place of a predicate matches all or nothing; so does
// the empty expression, which matches all. Comparisons are typed: a number never equals a string;
// integers and decimals compare exactly by value; strings by bytes. A list field matches if any
// element does, a missing field never, and `x != v` is `not x = v`: so it holds for a missing field,
// a field of another type, and a list without v.
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
  Op op = Op::kAnd;              // without children, kAnd matches all and kOr nothing
  std::vector<Filter> children;  // and, or: any number; not: one
  std::string field;
  std::vector<Scalar> values;  // one; in: one or more; exists: none
};

// InvalidArgument naming the byte offset, what was expected there and what was found. Linear in its
// input, bounded in depth and terms whatever it is given. A term is a predicate, or one value of `in`.
absl::StatusOr<Filter> ParseFilter(absl::string_view expression);
// For filters that came as a tree (protobuf): depth, terms, arity and types; NaN and infinities are
// refused.
absl::Status ValidateFilter(const Filter& filter);
// Text that parses back to an equal filter; a lone child of `and` or `or` comes back by itself. The
// filter must be valid, here and below.
std::string FilterToString(const Filter& filter);
// The definition of a match: the oracle of the compiled form.
bool Matches(const Filter& filter, const Metadata& metadata);

}  // namespace larder

#endif  // LARDER_ENGINE_FILTER_H_

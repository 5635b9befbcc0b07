#include "rpc/filter_decode.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/convert.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

absl::StatusOr<Filter> Decode(const v1::Filter& message, int depth);

absl::StatusOr<Filter::Op> DecodeOperator(v1::Comparison::Operator op) {
  switch (op) {
    case v1::Comparison::OPERATOR_EQUAL:
      return Filter::Op::kEq;
    case v1::Comparison::OPERATOR_NOT_EQUAL:
      return Filter::Op::kNe;
    case v1::Comparison::OPERATOR_LESS:
      return Filter::Op::kLt;
    case v1::Comparison::OPERATOR_LESS_OR_EQUAL:
      return Filter::Op::kLe;
    case v1::Comparison::OPERATOR_GREATER:
      return Filter::Op::kGt;
    case v1::Comparison::OPERATOR_GREATER_OR_EQUAL:
      return Filter::Op::kGe;
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("filter tree: operator is ", static_cast<int>(op), ", which is unset or not known"));
  }
}

absl::StatusOr<Filter> DecodeList(Filter::Op op, const v1::FilterList& list, int depth) {
  Filter filter{.op = op, .children = {}, .field = "", .values = {}};
  filter.children.reserve(list.filters_size());
  for (const v1::Filter& child : list.filters()) {
    ASSIGN_OR_RETURN(Filter decoded, Decode(child, depth + 1));
    filter.children.push_back(std::move(decoded));
  }
  return filter;
}

absl::StatusOr<Filter> DecodeComparison(const v1::Comparison& comparison) {
  Filter filter;
  ASSIGN_OR_RETURN(filter.op, DecodeOperator(comparison.op()));
  filter.field = comparison.field();
  ASSIGN_OR_RETURN(Scalar value, FromProto(comparison.value()));
  filter.values.push_back(std::move(value));
  return filter;
}

absl::StatusOr<Filter> DecodeMembership(const v1::Membership& membership) {
  Filter filter{.op = Filter::Op::kIn, .children = {}, .field = membership.field(), .values = {}};
  for (const v1::Scalar& sent : membership.values()) {
    ASSIGN_OR_RETURN(Scalar value, FromProto(sent));
    filter.values.push_back(std::move(value));
  }
  return filter;
}

absl::StatusOr<Filter> Decode(const v1::Filter& message, int depth) {
  if (depth > kMaxFilterDepth) {
    return absl::InvalidArgumentError(absl::StrCat("filter tree: deeper than ", kMaxFilterDepth));
  }
  switch (message.kind_case()) {
    case v1::Filter::kAllOf:
      return DecodeList(Filter::Op::kAnd, message.all_of(), depth);
    case v1::Filter::kAnyOf:
      return DecodeList(Filter::Op::kOr, message.any_of(), depth);
    case v1::Filter::kNotOf: {
      Filter filter{.op = Filter::Op::kNot, .children = {}, .field = "", .values = {}};
      ASSIGN_OR_RETURN(Filter child, Decode(message.not_of(), depth + 1));
      filter.children.push_back(std::move(child));
      return filter;
    }
    case v1::Filter::kComparison:
      return DecodeComparison(message.comparison());
    case v1::Filter::kMembership:
      return DecodeMembership(message.membership());
    case v1::Filter::kExists:
      return Filter{.op = Filter::Op::kExists, .children = {}, .field = message.exists(), .values = {}};
    case v1::Filter::kPrefix:
      return Filter{.op = Filter::Op::kPrefix,
                    .children = {},
                    .field = message.prefix().field(),
                    .values = {Scalar(message.prefix().prefix())}};
    case v1::Filter::KIND_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError("filter tree: a node is not set");
}

}  // namespace

absl::StatusOr<Filter> DecodeFilter(const v1::Filter& message) {
  ASSIGN_OR_RETURN(Filter filter, Decode(message, 1));
  RETURN_IF_ERROR(ValidateFilter(filter));
  return filter;
}

}  // namespace larder

// Filters that came as a tree -> the expression that the library's requests carry.
#ifndef LARDER_RPC_FILTER_DECODE_H_
#define LARDER_RPC_FILTER_DECODE_H_

#include <string>

#include "absl/status/statusor.h"
#include "engine/filter.h"
#include "larder/v1/types.pb.h"

namespace larder {

// InvalidArgument for a node, operator or value that is not set, and beyond the engine's limits.
absl::StatusOr<Filter> DecodeFilter(const v1::Filter& message);

// The filter of a request with `oneof where`, as an expression; "" if there is none.
template <typename Request>
absl::StatusOr<std::string> FilterOf(const Request& request) {
  if (!request.has_filter_tree()) return request.filter();
  absl::StatusOr<Filter> filter = DecodeFilter(request.filter_tree());
  if (!filter.ok()) return filter.status();
  return FilterToString(*filter);
}

}  // namespace larder

#endif  // LARDER_RPC_FILTER_DECODE_H_

// RETURN_IF_ERROR and ASSIGN_OR_RETURN: Debian 12's Abseil (20220623) has none.
#ifndef LARDER_STORAGE_STATUS_MACROS_H_
#define LARDER_STORAGE_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define LARDER_CONCAT_INNER(a, b) a##b
#define LARDER_CONCAT(a, b) LARDER_CONCAT_INNER(a, b)

#define RETURN_IF_ERROR(expr)                                   \
  do {                                                          \
    if (absl::Status larder_status_ = (expr); !larder_status_.ok()) return larder_status_; \
  } while (false)

#define ASSIGN_OR_RETURN(lhs, expr) \
  LARDER_ASSIGN_OR_RETURN(LARDER_CONCAT(larder_or_, __LINE__), lhs, expr)
#define LARDER_ASSIGN_OR_RETURN(or_, lhs, expr) \
  auto or_ = (expr);                            \
  if (!or_.ok()) return std::move(or_).status();  \
  lhs = *std::move(or_)

#endif  // LARDER_STORAGE_STATUS_MACROS_H_

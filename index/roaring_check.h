// Checks a serialised 32-bit roaring bitmap (github.com/RoaringBitmap/RoaringFormatSpec) before
// CRoaring reads it: its "safe" reader checks lengths, but trusts the order and the counts inside,
// and an unsorted container gives wrong answers or worse later.
#ifndef LARDER_INDEX_ROARING_CHECK_H_
#define LARDER_INDEX_ROARING_CHECK_H_

#include <cstddef>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace larder::index {

// The length of the bitmap that `bytes` begin with; DataLoss if they do not begin with one.
absl::StatusOr<size_t> CheckRoaring(absl::string_view bytes);

}  // namespace larder::index

#endif  // LARDER_INDEX_ROARING_CHECK_H_

// What a fuzzer calls: an input is a list of edits (10 bytes each) of sound bytes that the target makes itself, and
// whose checksums it mends afterwards, so that what stands behind right checksums is hostile. Aborts where the
// code under test breaks its word; a sanitizer sees the rest.
#ifndef LARDER_INDEX_FUZZ_TARGETS_H_
#define LARDER_INDEX_FUZZ_TARGETS_H_

#include "absl/strings/string_view.h"

namespace larder::index {

// A snapshot is refused with a status; or its index answers: min(k, live) distinct live vids, sorted, with finite
// distances, before and after further rows.
void FuzzSnapshot(absl::string_view edits);

// A code's bytes are refused with a status; or it estimates, bounds and decodes rows of any bytes and is written
// as it was read.
void FuzzCode(absl::string_view edits);

}  // namespace larder::index

#endif  // LARDER_INDEX_FUZZ_TARGETS_H_

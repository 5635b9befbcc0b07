// Work in numbered pieces on a few threads.
#ifndef LARDER_INDEX_TREE_PARALLEL_H_
#define LARDER_INDEX_TREE_PARALLEL_H_

#include <cstddef>
#include <functional>

#include "absl/status/status.h"

namespace larder::index {

// Calls work(i) for i in [0, count), in any order, on `threads` threads, the caller's among them. The first
// error ends it and is returned; running out of memory is one (ResourceExhausted). With threads that cannot be
// started it goes on with fewer.
absl::Status ParallelFor(size_t count, int threads, const std::function<absl::Status(size_t)>& work);

}  // namespace larder::index

#endif  // LARDER_INDEX_TREE_PARALLEL_H_

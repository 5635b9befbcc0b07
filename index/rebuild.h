// Fills a fresh index from the live rows of another, with several threads.
#ifndef LARDER_INDEX_REBUILD_H_
#define LARDER_INDEX_REBUILD_H_

#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "index/vector_index.h"

namespace larder::index {

// Copies the rows of `vids` that are still live into `vectors`, and sets `vids` to those.
using CopyRows = std::function<void(std::vector<Vid>* vids, std::vector<float>* vectors)>;

// An index of `options` with the rows of `live`. `copy` is called by `threads` threads at once.
absl::StatusOr<std::unique_ptr<VectorIndex>> BuildFrom(const VidSet& live, const CopyRows& copy,
                                                       const IndexOptions& options, int threads);

// InvalidArgument unless an index with options `from` can be rebuilt as one with `to`.
absl::Status CheckRebuild(const IndexOptions& from, const IndexOptions& to, int threads);

}  // namespace larder::index

#endif  // LARDER_INDEX_REBUILD_H_

// Builds a tree from given vectors, as a stream: memory holds a sample, one cell of rows a thread and buffers, never
// all vectors.
//
//   train    a sample becomes coarse cells; their centres are the frozen anchors of the codes
//   spill    every row is set aside by its nearest cell
//   cluster  cell by cell: rows become leaves by balanced k-means and are written, leaf by leaf, as groups of vectors
//   refine   one pass of Lloyd over all leaves, whatever their cells
//   assign   every row is coded for its nearest leaf, and once more for a second by SOAR's loss
//   write    cell by cell: postings
//   measure  how many postings and candidates buy which recall
//
// Every step is one commit; a build that was killed goes on from its last one when BuildTree is called again.
#ifndef LARDER_INDEX_TREE_TREE_BUILD_H_
#define LARDER_INDEX_TREE_TREE_BUILD_H_

#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "index/tree/tree_rows.h"
#include "storage/extent_store.h"
#include "storage/store.h"

namespace larder::index {

// Rows in a fixed order, valid for the metric (CheckVector), that can be read any number of times. Thread-safe.
class VectorSource {
 public:
  virtual ~VectorSource() = default;
  virtual uint64_t rows() const = 0;
  // Rows [first, first + count).
  virtual absl::Status Read(uint64_t first, size_t count, Vid* vids, float* out) const = 0;
};

struct TreeBuildOptions {
  TreeOptions tree;
  int threads = 2;
  uint64_t memory_bytes = 256 << 20;   // about as much; 16 MiB at least
  uint64_t checkpoint_rows = 200'000;  // a kill loses no more work than this
  // What is done of a phase, in rows. May cancel the build by an error. Called by one thread at a time.
  std::function<absl::Status(absl::string_view phase, uint64_t done, uint64_t total)> progress;
};

// AlreadyExists if the space has a tree, InvalidArgument for an empty source, FailedPrecondition if an unfinished
// build had other options. While a build is unfinished there is no tree (TreeIndex::Open: NotFound).
absl::Status BuildTree(storage::Store* store, storage::ExtentStore* extents, const VectorSource& source,
                       const TreeBuildOptions& options);

}  // namespace larder::index

#endif  // LARDER_INDEX_TREE_TREE_BUILD_H_

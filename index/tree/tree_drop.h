// Takes a tree away, finished or not.
#ifndef LARDER_INDEX_TREE_TREE_DROP_H_
#define LARDER_INDEX_TREE_TREE_DROP_H_

#include <cstdint>

#include "absl/status/status.h"
#include "storage/extent_store.h"
#include "storage/store.h"

namespace larder::index {

// Appends to `batch` the removal of every row of the space in kTree and the release of its extents. Nobody may change
// the tree between this and the commit; rows that cannot be read leave extents behind, which DataLoss then says, and
// all others go.
absl::Status AppendTreeDrop(const storage::Store& store, storage::ExtentStore* extents, uint32_t space,
                            storage::WriteBatch* batch);

}  // namespace larder::index

#endif  // LARDER_INDEX_TREE_TREE_DROP_H_

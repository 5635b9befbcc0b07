// The vectors of one space as the store has them.
#ifndef LARDER_ENGINE_STORED_ROWS_H_
#define LARDER_ENGINE_STORED_ROWS_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "index/tree/tree_build.h"
#include "index/vid_set.h"
#include "storage/store.h"

namespace larder {

// Ascending.
std::vector<uint64_t> ToVector(const index::VidSet& set);

// Thread-safe.
class StoredRows {
 public:
  // `store` must outlive it.
  StoredRows(const storage::Store* store, uint32_t collection, uint16_t space, uint32_t dimension)
      : store_(store), collection_(collection), space_(space), dimension_(dimension) {}
  uint32_t dimension() const { return dimension_; }

  // vids.size() rows of `dimension`, row-major. `vids` ascending; `missing` gets the positions of those that the
  // store does not have, whose rows are left as they are.
  absl::Status Read(absl::Span<const uint64_t> vids, float* out, std::vector<size_t>* missing) const;

 private:
  absl::Status ReadDense(absl::Span<const uint64_t> vids, float* out, std::vector<size_t>* missing) const;
  absl::Status ReadSparse(absl::Span<const uint64_t> vids, float* out, std::vector<size_t>* missing) const;
  absl::Status Take(absl::string_view bytes, uint64_t vid, float* out) const;

  const storage::Store* const store_;
  const uint32_t collection_;
  const uint16_t space_;
  const uint32_t dimension_;
};

// What a tree is built from: these vids, in ascending order, for as long as a build takes. One that was deleted
// meanwhile has a unit vector: whoever builds removes it before the tree serves.
class StoredSource : public index::VectorSource {
 public:
  StoredSource(const StoredRows& rows, const index::VidSet& vids) : rows_(rows), vids_(ToVector(vids)) {}
  uint64_t rows() const override { return vids_.size(); }
  absl::Status Read(uint64_t first, size_t count, index::Vid* vids, float* out) const override;

 private:
  const StoredRows rows_;
  const std::vector<uint64_t> vids_;
};

}  // namespace larder

#endif  // LARDER_ENGINE_STORED_ROWS_H_

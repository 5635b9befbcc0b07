// The inverted index over metadata: one empty row in kFields for each (field, value, chunk), in an
// order-preserving encoding, so that every predicate is a range of keys. It lives in the store, costs
// no memory and no time at open, and changes in the same batch as the chunk.
#ifndef LARDER_ENGINE_METADATA_INDEX_H_
#define LARDER_ENGINE_METADATA_INDEX_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/filter.h"
#include "index/vid_set.h"
#include "larder/types.h"
#include "storage/store.h"

namespace larder {

// The rows of one chunk. `metadata` is merged (the document's and the chunk's).
std::vector<std::string> FieldKeys(uint32_t collection, absl::string_view tenant, const Metadata& metadata,
                                   uint64_t vid);

// Strings longer than this are cut in their rows; a match on a cut value is decided by the record.
inline constexpr size_t kMaxIndexedStringBytes = 512;

// Thread-compatible; made for one query.
class FilterCompiler {
 public:
  using MetadataOf = std::function<absl::StatusOr<Metadata>(uint64_t vid)>;
  // `live` holds every live vid of the collection; borrowed, like all the others.
  FilterCompiler(const storage::Store& store, uint32_t collection, const index::VidSet& live,
                 MetadataOf metadata_of);

  // Exactly the live vids whose merged metadata Matches(filter).
  absl::StatusOr<index::VidSet> Compile(const Filter& filter) const;
  // The tenant's vids; "" = those of no tenant.
  absl::StatusOr<index::VidSet> CompileTenant(absl::string_view tenant) const;

 private:
  absl::StatusOr<index::VidSet> Combine(const Filter& filter) const;
  absl::StatusOr<index::VidSet> Leaf(const Filter& leaf) const;
  absl::Status ScanEqual(const Filter& leaf, const Scalar& value, index::VidSet* out) const;
  absl::Status ScanRange(const Filter& leaf, const std::string& prefix, const std::string& begin,
                         const std::string& end, index::VidSet* out) const;
  absl::StatusOr<index::VidSet> ScanField(absl::string_view field) const;
  absl::StatusOr<bool> Decide(const Filter& leaf, absl::string_view encoded_value, uint64_t vid) const;

  const storage::Store& store_;
  const uint32_t collection_;
  const index::VidSet& live_;
  const MetadataOf metadata_of_;
};

}  // namespace larder

#endif  // LARDER_ENGINE_METADATA_INDEX_H_

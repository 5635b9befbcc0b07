// The inverted index over metadata: one empty row in kFields for each (field, value, chunk), in an
// order-preserving encoding, so that every predicate is a range of keys. It lives in the store, costs
// no time at open, and changes in the same batch as the chunk. What filters read of it stays in a cache
// (posting_cache.h).
#ifndef LARDER_ENGINE_METADATA_INDEX_H_
#define LARDER_ENGINE_METADATA_INDEX_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/filter.h"
#include "engine/posting_cache.h"
#include "index/vid_set.h"
#include "larder/types.h"

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
  // `live` holds every live vid of the collection, and was taken before anything is compiled; borrowed, like all
  // the others.
  FilterCompiler(PostingCache* postings, uint32_t collection, const index::VidSet& live, MetadataOf metadata_of);

  // Exactly the live vids whose merged metadata Matches(filter).
  absl::StatusOr<index::VidSet> Compile(const Filter& filter) const;
  // The tenant's vids; "" = those of no tenant.
  absl::StatusOr<index::VidSet> CompileTenant(absl::string_view tenant) const;

 private:
  using Vids = PostingCache::Vids;
  absl::StatusOr<Vids> Combine(const Filter& filter) const;
  absl::StatusOr<Vids> And(const Filter& filter) const;
  absl::StatusOr<Vids> Or(const Filter& filter) const;
  absl::StatusOr<Vids> Not(absl::StatusOr<Vids> without) const;
  absl::StatusOr<Vids> Leaf(const Filter& leaf) const;
  absl::StatusOr<Vids> Equal(const Filter& leaf) const;
  // An order or a prefix.
  absl::StatusOr<Vids> Range(const Filter& leaf) const;
  KeyRange RangeOf(const Filter& leaf) const;
  // The vids of rows with cut values in the range whose metadata match.
  absl::StatusOr<Vids> MatchCut(const Filter& leaf, const KeyRange& range) const;

  PostingCache& postings_;
  const uint32_t collection_;
  const index::VidSet& live_;
  const MetadataOf metadata_of_;
};

}  // namespace larder

#endif  // LARDER_ENGINE_METADATA_INDEX_H_

// Which document a vid belongs to, for every live chunk of a collection, in memory: a hit needs its
// document's id, and ten store reads would cost more than the search. Rebuilt from kChunks.
#ifndef LARDER_ENGINE_CHUNK_DIRECTORY_H_
#define LARDER_ENGINE_CHUNK_DIRECTORY_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "index/vid_set.h"
#include "larder/types.h"

namespace larder {

struct ChunkPlace {
  std::string tenant, document_id;
  uint32_t ordinal = 0;
};

// Thread-safe.
class ChunkDirectory {
 public:
  // vids[i] is the chunk of ordinal i.
  void AddDocument(absl::string_view tenant, absl::string_view id, absl::Span<const uint64_t> vids);
  void Remove(absl::Span<const uint64_t> vids);  // unknown vids are ignored

  // Fills document_id and ordinal of every hit by its vid; drops those that are no longer live.
  void Resolve(std::vector<Hit>* hits) const;
  bool Find(uint64_t vid, ChunkPlace* place) const;
  // The distinct documents that own these chunks.
  std::vector<std::pair<std::string, std::string>> DocumentsOf(const index::VidSet& vids) const;

  // The live vids of this moment; shared until they change.
  std::shared_ptr<const index::VidSet> live() const;
  uint64_t chunks() const;
  uint64_t documents() const;
  bool has_tenants() const;  // any document of a tenant other than ""
  uint64_t resident_bytes() const;

  // All of it as bytes with a checksum, and back; `tag` travels along. DataLoss if damaged.
  std::string Serialize(absl::string_view tag) const;
  absl::Status Deserialize(absl::string_view bytes, std::string* tag);
  void Clear();

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  static constexpr uint64_t kPageVids = 4096;
  struct Owner {
    std::string id;
    uint32_t tenant = 0;  // index into tenants_
    uint32_t chunks = 0;  // live
  };
  struct Place {
    uint32_t owner = kNone, ordinal = 0;
  };
  struct Page {
    Place places[kPageVids];
    uint32_t live = 0;
  };

  const Place* FindPlace(uint64_t vid) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  uint32_t TenantNumber(absl::string_view tenant) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  uint32_t NewOwner(absl::string_view tenant, absl::string_view id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void PlaceChunk(uint64_t vid, uint32_t owner, uint32_t ordinal) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  absl::flat_hash_map<uint64_t, std::unique_ptr<Page>> pages_ ABSL_GUARDED_BY(mutex_);
  std::deque<Owner> owners_ ABSL_GUARDED_BY(mutex_);
  std::vector<uint32_t> free_owners_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> tenants_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, uint32_t> tenant_numbers_ ABSL_GUARDED_BY(mutex_);
  index::VidSet live_ ABSL_GUARDED_BY(mutex_);
  mutable std::shared_ptr<const index::VidSet> shared_live_ ABSL_GUARDED_BY(mutex_);  // null: live_ has changed since
  uint64_t tenanted_documents_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace larder

#endif  // LARDER_ENGINE_CHUNK_DIRECTORY_H_

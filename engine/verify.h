// Holds every record against the records it belongs to, under one snapshot of the store.
#ifndef LARDER_ENGINE_VERIFY_H_
#define LARDER_ENGINE_VERIFY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/records.h"
#include "index/vid_set.h"
#include "storage/store.h"

namespace larder {

// What the walk found, to be held against the counters of the commit record.
struct RecordCounts {
  uint64_t documents = 0, chunks = 0;
};

// Single-threaded; made for one walk.
class RecordVerifier {
 public:
  RecordVerifier(const storage::Store& store, const storage::Snapshot& snapshot,
                 std::vector<std::string>* problems);
  // Every document, chunk, vector, source, metadata row, expiry row and tombstone of a collection.
  absl::Status Check(const CollectionRecord& collection, RecordCounts* counts);

 private:
  struct Expected {
    uint64_t sources = 0, expiries = 0, fields = 0;
    index::VidSet listed;                                   // vids that documents name
    index::VidSet chunks;                                   // vids that have a chunk row
  };
  absl::Status CheckDocuments(RecordCounts* counts);
  void CheckDocument(absl::string_view key, absl::string_view tenant, absl::string_view id,
                     const DocumentRecord& record);
  absl::Status CheckChunks(RecordCounts* counts);
  void CheckChunk(uint64_t vid, const ChunkRecord& chunk);
  absl::Status CheckVectors();
  absl::Status CheckCounted(storage::Table table, uint64_t expected);
  absl::Status CheckTombstones();
  bool Has(storage::Table table, const std::string& key) const;
  void Problem(const std::string& what);

  const storage::Store& store_;
  const storage::Snapshot& snapshot_;
  std::vector<std::string>* const problems_;
  const CollectionRecord* collection_ = nullptr;
  std::string prefix_;
  Expected expected_;
  // The document that was read last: the chunks of one stand together.
  std::string last_key_;
  absl::StatusOr<DocumentRecord> last_document_;
};

}  // namespace larder

#endif  // LARDER_ENGINE_VERIFY_H_

// A collection from the inside. The public Collection guards every call against a closed database;
// in here the store is open.
//
// Locks, in the order they are taken: document stripes (read-modify-write of one id), gate_ (shared
// by every change from before its commit until the indexes have it; exclusive for a snapshot, so
// that a snapshot covers whole commits), KV stripes, then the leaves (directory, spaces).
#ifndef LARDER_ENGINE_COLLECTION_IMPL_H_
#define LARDER_ENGINE_COLLECTION_IMPL_H_

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "engine/chunk_directory.h"
#include "engine/database_services.h"
#include "engine/filter.h"
#include "engine/posting_cache.h"
#include "engine/prepare.h"
#include "engine/records.h"
#include "engine/vector_space.h"
#include "engine/vid_allocator.h"
#include "larder/options.h"
#include "larder/types.h"

namespace larder {

class StripeLock;

// Thread-safe.
class CollectionImpl {
 public:
  // Loads the newest snapshot, replays what came after it, rebuilds what is damaged.
  static absl::StatusOr<std::shared_ptr<CollectionImpl>> Open(CollectionRecord record,
                                                              DatabaseServices* services);

  const CollectionRecord& record() const { return record_; }
  CollectionInfo Info() const;
  absl::Span<const std::unique_ptr<VectorSpace>> spaces() const { return spaces_; }
  uint64_t directory_bytes() const { return directory_.resident_bytes(); }

  absl::StatusOr<std::vector<UpsertResult>> Upsert(absl::Span<const Document> documents, bool sync);
  absl::StatusOr<bool> Delete(absl::string_view id, absl::string_view tenant, bool sync);
  absl::StatusOr<uint64_t> DeleteWhere(absl::string_view filter, absl::string_view tenant, bool sync);
  absl::StatusOr<Document> Get(absl::string_view id, absl::string_view tenant, bool include_chunks) const;
  absl::StatusOr<std::vector<Chunk>> Chunks(absl::string_view id, absl::string_view tenant) const;
  absl::StatusOr<ScrollReply> Scroll(const ScrollRequest& request) const;
  absl::StatusOr<uint64_t> Count(absl::string_view filter, absl::string_view tenant) const;
  absl::StatusOr<SearchReply> Search(const SearchRequest& request) const;

  // The vid of a document's chunk; NotFound if there is none.
  absl::StatusOr<uint64_t> ResolveChunk(absl::string_view tenant, absl::string_view id, uint32_t ordinal) const;

  // Deletes what has expired by now; called by the database's sweeper and before reads.
  absl::Status SweepExpired();
  // Writes index snapshots if anything changed since the last.
  absl::Status TakeSnapshot();
  // Folds tombstones out of indexes that hold many (or, if `all`, any).
  absl::Status Fold(bool all);
  // Builds trees where they are due, and does a piece of the others' background work; whether there was any. A build
  // takes long, and ends soon after `stop` says so.
  absl::StatusOr<bool> MaintainTrees(const std::function<bool()>& stop);
  // VectorSpace::Relocate.
  absl::StatusOr<bool> RelocateTree(uint16_t space, const storage::ExtentOwner& owner, const storage::ExtentPointer& from,
                                    const storage::ExtentPointer& to, storage::WriteBatch* batch);
  // Calibrates and checks recall (VectorSpace::TuneRecall), and keeps what was calibrated in a file.
  // Takes `life` itself, and only for that file.
  void TuneRecall(const std::function<bool()>& stop);
  uint64_t changes_since_snapshot() const { return changes_.load(std::memory_order_relaxed); }
  // Appends to `batch` the removal of every row; afterwards nothing may be written.
  void AppendDrop(storage::WriteBatch* batch) const;
  void RemoveSnapshots() const;

  // Holds the indexes and the directory against the store; the rest of verify is the database's.
  absl::Status VerifyIndexes(uint64_t* entries, std::vector<std::string>* problems) const;

  // Public calls hold it shared; closing and dropping hold it exclusively.
  absl::Mutex life;
  absl::Status closed ABSL_GUARDED_BY(life);  // not OK: what every call answers
  std::atomic<bool> dropping{false};          // whoever holds `life` for long ends it soon

 private:
  CollectionImpl(CollectionRecord record, DatabaseServices* services);
  absl::Status Load();
  absl::Status ReplayDirectory(uint64_t from);
  absl::StatusOr<std::vector<uint64_t>> Tombstones() const;

  // One transaction of documents with distinct ids.
  absl::Status WriteRun(absl::Span<PreparedDocument* const> run, bool sync, std::vector<UpsertResult*> results);
  absl::Status AppendUpsert(const PreparedDocument& document, uint64_t first_vid, const DocumentRecord* old,
                            storage::WriteBatch* batch, uint64_t* version) const;
  absl::Status AppendRemoval(absl::string_view tenant, absl::string_view id, const DocumentRecord& record,
                             storage::WriteBatch* batch) const;
  // What a batch does to the indexes: chunks that begin at `first_vid`, and vids that go.
  struct Changes {
    absl::Span<PreparedDocument* const> added;
    uint64_t first_vid = 0;
    absl::Span<const uint64_t> removed;
  };
  // Writes the batch, with the rows of every tree from space `number` on; the directory knows of it before any index.
  absl::Status Commit(const Changes& changes, storage::WriteBatch batch, bool sync, size_t number = 0);
  absl::Status ApplyUpserts(absl::Span<PreparedDocument* const> run, uint64_t first_vid, uint64_t chunks);
  void TellPostings(const PreparedDocument& document, uint64_t first_vid);
  void ApplyRemoval(absl::Span<const uint64_t> vids);

  absl::StatusOr<DocumentRecord> ReadDocument(absl::string_view tenant, absl::string_view id) const;
  absl::StatusOr<ChunkRecord> ReadChunk(uint64_t vid) const;
  absl::StatusOr<Metadata> MetadataOf(uint64_t vid) const;
  // The matching live vids, and whether that is all of them (no filter, no tenants).
  absl::StatusOr<index::VidSet> Match(const Filter& filter, absl::string_view tenant, bool* all) const;
  absl::StatusOr<std::vector<float>> QueryVector(const SearchRequest& request, const VectorSpace& space) const;
  absl::StatusOr<const VectorSpace*> FindSpace(absl::string_view name) const;
  absl::Status FillHits(const SearchRequest& request, const VectorSpace& space, std::vector<Hit>* hits) const;
  bool Expired(const DocumentRecord& record) const;
  void NoteExpiry(int64_t expires_at_ms);
  std::string SnapshotRoot() const;
  std::string RecallPath(const VectorSpace& space) const;

  const CollectionRecord record_;
  DatabaseServices* const services_;
  std::vector<std::unique_ptr<VectorSpace>> spaces_;  // by number; set at open
  ChunkDirectory directory_;
  VidAllocator vids_;
  mutable PostingCache postings_;
  std::atomic<uint64_t> changes_{0};
  std::atomic<int64_t> next_expiry_ms_{INT64_MAX};  // nothing expires before
  mutable absl::Mutex gate_;
  absl::Mutex snapshot_mutex_;  // one snapshot at a time
  uint64_t generation_ ABSL_GUARDED_BY(snapshot_mutex_) = 0;
  std::array<absl::Mutex, 256> stripes_;
};

}  // namespace larder

#endif  // LARDER_ENGINE_COLLECTION_IMPL_H_

// A collection: documents, their chunks, and the vector spaces they are found by.
#ifndef LARDER_COLLECTION_H_
#define LARDER_COLLECTION_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "larder/collection_info.h"
#include "larder/options.h"
#include "larder/types.h"

namespace larder {

class CollectionImpl;

// A handle, cheap to copy, valid until its Database closes; after that, and after the collection is
// dropped, every call answers FailedPrecondition. Thread-safe.
class Collection {
 public:
  explicit Collection(std::shared_ptr<CollectionImpl> impl) : impl_(std::move(impl)) {}

  const std::string& name() const;
  const CollectionOptions& options() const;
  CollectionInfo Info() const;

  // Stores documents, replacing those of the same tenant and id. Each document is all or nothing:
  // text, metadata, chunks and vectors appear together, or not at all. The i-th result belongs to
  // the i-th document; a bad document does not stop the others. The call itself fails only when
  // nothing could be stored (closed, disk full, data loss). An id that stands twice in one batch
  // is stored in order: the last one wins.
  absl::StatusOr<std::vector<UpsertResult>> Upsert(absl::Span<const Document> documents,
                                                   const WriteOptions& options = {});
  // One document: its failure is the call's.
  absl::StatusOr<UpsertResult> Upsert(const Document& document, const WriteOptions& options = {});

  // NotFound if there is none. `include_chunks` fills Document::chunks with text, section, span
  // and vectors as stored.
  absl::StatusOr<Document> Get(absl::string_view id, absl::string_view tenant = "",
                               bool include_chunks = false) const;
  absl::StatusOr<std::vector<Chunk>> Chunks(absl::string_view id, absl::string_view tenant = "") const;

  // Deletes the document, its chunks, vectors and KV entries in one transaction. Returns whether it
  // existed.
  absl::StatusOr<bool> Delete(absl::string_view id, absl::string_view tenant = "",
                              const WriteOptions& options = {});
  // Deletes every document that has a matching chunk; returns how many. An empty filter is refused.
  absl::StatusOr<uint64_t> DeleteWhere(absl::string_view filter, absl::string_view tenant = "",
                                       const WriteOptions& options = {});

  absl::StatusOr<ScrollReply> Scroll(const ScrollRequest& request) const;
  // Documents (not chunks) that match; "" counts all of the tenant.
  absl::StatusOr<uint64_t> Count(absl::string_view filter = "", absl::string_view tenant = "") const;

  // min(k, matches) hits, best first, ties by vid. InvalidArgument for a wrong dimension, NaN, a
  // zero vector under cosine, a bad filter or k.
  absl::StatusOr<SearchReply> Search(const SearchRequest& request) const;

 private:
  std::shared_ptr<CollectionImpl> impl_;
};

}  // namespace larder

#endif  // LARDER_COLLECTION_H_

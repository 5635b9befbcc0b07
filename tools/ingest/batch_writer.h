// Stores batches of documents, trying again what may pass, and leaving out what is stored already.
#ifndef LARDER_TOOLS_INGEST_BATCH_WRITER_H_
#define LARDER_TOOLS_INGEST_BATCH_WRITER_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tools/backend.h"
#include "tools/readers/document_reader.h"

namespace larder::tools {

struct BatchWriterOptions {
  std::string collection;
  bool sync = true;
  bool retry_exhausted = false;  // a server that is busy says ResourceExhausted; a full disk does too
  int max_attempts = 8;
  absl::Duration first_backoff = absl::Milliseconds(250);  // doubles with each attempt
  std::function<bool()> cancelled = [] { return false; };
};

struct BatchOutcome {
  uint64_t stored = 0, unchanged = 0, chunks = 0;
  std::vector<absl::Status> refused;  // one a document that was not stored, naming where it stands
  std::vector<bool> in_store;         // for each document: stored now or before
};

// Thread-safe.
class BatchWriter {
 public:
  BatchWriter(Backend* backend, BatchWriterOptions options)
      : backend_(backend), options_(std::move(options)) {}

  // With `compare`, a document that the collection holds as it is is not written again. The call fails
  // only where nothing more can be stored: closed, disk full, a server that stays away.
  absl::StatusOr<BatchOutcome> Write(std::vector<SourcedDocument> batch, bool compare) const;

 private:
  absl::StatusOr<bool> IsStored(const Document& document) const;
  // The call, again after a while if it may then succeed.
  absl::StatusOr<std::vector<UpsertResult>> Upsert(const std::vector<Document>& documents) const;
  bool MayPass(absl::StatusCode code) const;
  // False if cancelled meanwhile.
  bool Wait(int attempt) const;

  Backend* const backend_;
  const BatchWriterOptions options_;
};

// Whether `stored`, as Get returns it, is what upserting `given` would store.
bool SameDocument(const Document& given, const Document& stored);

}  // namespace larder::tools

#endif  // LARDER_TOOLS_INGEST_BATCH_WRITER_H_

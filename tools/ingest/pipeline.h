// Reads documents into batches, stores several batches at once, and notes in the journal how far all
// are stored: read | chunk, embed, write | note.
#ifndef LARDER_TOOLS_INGEST_PIPELINE_H_
#define LARDER_TOOLS_INGEST_PIPELINE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "tools/ingest/batch_writer.h"
#include "tools/ingest/feed.h"
#include "tools/ingest/ingest_state.h"
#include "tools/progress.h"

namespace larder::tools {

struct PipelineOptions {
  size_t batch_documents = 64;
  size_t batch_bytes = size_t{4} << 20;  // of text and vectors, before the batch is closed
  size_t in_flight = 3;                  // batches being stored at once
  bool skip_refused = false;             // go on past documents that the collection refuses
  // How many documents at the start of a source, by its index, may be stored already.
  std::function<uint64_t(size_t source)> compare_first = [](size_t) { return 0; };
  std::function<bool()> cancelled = [] { return false; };
  std::function<void(const absl::Status&)> on_refused = [](const absl::Status&) {};
};

struct IngestSummary {
  uint64_t stored = 0, unchanged = 0, refused = 0, skipped = 0;  // documents
  uint64_t chunks = 0;
  bool interrupted = false;
  absl::Status status;  // why it ended early; the counts hold all the same
};

// For one run.
class Pipeline {
 public:
  Pipeline(Feed* feed, const BatchWriter* writer, IngestState* state, Progress* progress,
           PipelineOptions options);

  // Returns when nothing is in flight any more.
  IngestSummary Run();

 private:
  struct Batch {
    std::vector<SourcedDocument> documents;
    std::vector<std::string> keys;  // of documents and tenants
    size_t bytes = 0;
    bool compare = false;
    ReadMark mark;  // behind the last document
  };
  // A batch that is queued or being written. In the order of reading.
  struct Flight {
    std::vector<std::string> keys;
    ReadMark mark;
    StoredDocument last;
    bool stored = false;
  };

  // Whether all was read and queued.
  bool Read();
  void Add(SourcedDocument sourced, Batch* batch);
  bool Stopped() ABSL_LOCKS_EXCLUDED(mutex_);
  // Waits for a place, then queues the batch and empties it.
  void Dispatch(Batch* batch) ABSL_LOCKS_EXCLUDED(mutex_);
  void WaitForAll() ABSL_LOCKS_EXCLUDED(mutex_);
  void Work() ABSL_LOCKS_EXCLUDED(mutex_);
  void Complete(Flight* flight, const absl::StatusOr<BatchOutcome>& outcome)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Notes in the journal what lies before the mark.
  void Commit(const ReadMark& mark, const std::optional<StoredDocument>& last)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Fail(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Feed* const feed_;
  const BatchWriter* const writer_;
  IngestState* const state_;
  Progress* const progress_;
  const PipelineOptions options_;

  // Of the reading thread.
  ReadMark read_;
  size_t source_ = 0;  // of the last document
  uint64_t seen_in_source_ = 0;

  absl::Mutex mutex_;
  absl::CondVar changed_;  // queue, flights or the end
  std::deque<std::pair<Batch, Flight*>> queue_ ABSL_GUARDED_BY(mutex_);
  std::deque<Flight> flights_ ABSL_GUARDED_BY(mutex_);  // references stay valid: only the ends change
  size_t unfinished_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_set<std::string> keys_ ABSL_GUARDED_BY(mutex_);  // of the flights
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  ReadMark committed_ ABSL_GUARDED_BY(mutex_);
  IngestSummary summary_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace larder::tools

#endif  // LARDER_TOOLS_INGEST_PIPELINE_H_

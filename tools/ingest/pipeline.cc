#include "tools/ingest/pipeline.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"

namespace larder::tools {
namespace {

size_t BytesOf(const Document& document) {
  size_t bytes = document.text.size();
  for (const GivenChunk& chunk : document.chunks) {
    bytes += chunk.text.size();
    for (const auto& [space, vector] : chunk.vectors) bytes += vector.size() * sizeof(float);
  }
  return bytes;
}

// Neither ids nor tenants hold a NUL.
std::string KeyOf(const Document& document) {
  return absl::StrCat(document.tenant, absl::string_view("\0", 1), document.id);
}

}  // namespace

Pipeline::Pipeline(Feed* feed, const BatchWriter* writer, IngestState* state, Progress* progress,
                   PipelineOptions options)
    : feed_(feed),
      writer_(writer),
      state_(state),
      progress_(progress),
      options_(std::move(options)),
      read_(feed->mark()),
      source_(read_.source),
      committed_(read_) {}

IngestSummary Pipeline::Run() {
  std::vector<std::thread> workers;
  for (size_t i = 0; i < options_.in_flight; ++i) workers.emplace_back([this] { Work(); });
  const bool complete = Read();
  WaitForAll();
  {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
    changed_.SignalAll();
    // Sources that ended without another document.
    if (complete && flights_.empty()) Commit(read_, {});
  }
  for (std::thread& worker : workers) worker.join();
  absl::MutexLock lock(&mutex_);
  summary_.skipped = feed_->skipped();
  summary_.interrupted = options_.cancelled();
  return summary_;
}

bool Pipeline::Read() {
  Batch batch;
  absl::Status status;
  bool complete = false;
  while (!Stopped() && !complete) {
    absl::StatusOr<std::optional<SourcedDocument>> next = feed_->Next();
    status = next.status();
    if (!status.ok()) break;
    read_ = feed_->mark();
    if (complete = !next->has_value(); complete) break;
    const std::string key = KeyOf((*next)->document);
    bool in_flight = false;
    {
      absl::MutexLock lock(&mutex_);
      in_flight = keys_.contains(key);
    }
    if (in_flight) {  // the later of two documents with one id must win
      Dispatch(&batch);
      WaitForAll();
    }
    Add(**std::move(next), &batch);
    if (batch.documents.size() >= options_.batch_documents || batch.bytes >= options_.batch_bytes)
      Dispatch(&batch);
  }
  if (Stopped()) return false;
  Dispatch(&batch);  // what came before a bad document is stored
  if (status.ok()) return complete;
  absl::MutexLock lock(&mutex_);
  Fail(status);
  return false;
}

void Pipeline::Add(SourcedDocument sourced, Batch* batch) {
  // read_.source is the next one already where a file is one document.
  const std::vector<Source>& sources = feed_->sources().sources;
  while (source_ < sources.size() && sources[source_].path != sourced.source) {
    ++source_;
    seen_in_source_ = 0;
  }
  batch->compare |= seen_in_source_++ < options_.compare_first(source_);
  batch->keys.push_back(KeyOf(sourced.document));
  batch->bytes += BytesOf(sourced.document);
  batch->documents.push_back(std::move(sourced));
  batch->mark = read_;
}

bool Pipeline::Stopped() {
  absl::MutexLock lock(&mutex_);
  return !summary_.status.ok() || options_.cancelled();
}

void Pipeline::Dispatch(Batch* batch) {
  if (batch->documents.empty()) return;
  absl::MutexLock lock(&mutex_);
  while (unfinished_ >= options_.in_flight) changed_.Wait(&mutex_);
  const Document& last = batch->documents.back().document;
  flights_.push_back({batch->keys, batch->mark, {last.id, last.tenant}});
  keys_.insert(batch->keys.begin(), batch->keys.end());
  ++unfinished_;
  queue_.emplace_back(std::exchange(*batch, Batch()), &flights_.back());
  changed_.SignalAll();
}

void Pipeline::WaitForAll() {
  absl::MutexLock lock(&mutex_);
  while (unfinished_ > 0) changed_.Wait(&mutex_);
}

void Pipeline::Work() {
  while (true) {
    std::pair<Batch, Flight*> work;
    {
      absl::MutexLock lock(&mutex_);
      while (!closed_ && queue_.empty()) changed_.Wait(&mutex_);
      if (queue_.empty()) return;
      work = std::move(queue_.front());
      queue_.pop_front();
    }
    absl::StatusOr<BatchOutcome> outcome =
        writer_->Write(std::move(work.first.documents), work.first.compare);
    absl::MutexLock lock(&mutex_);
    Complete(work.second, outcome);
  }
}

void Pipeline::Complete(Flight* flight, const absl::StatusOr<BatchOutcome>& outcome) {
  --unfinished_;
  changed_.SignalAll();
  for (const std::string& key : flight->keys) keys_.erase(key);
  if (!outcome.ok()) {
    Fail(outcome.status());
    return;
  }
  summary_.stored += outcome->stored;
  summary_.unchanged += outcome->unchanged;
  summary_.chunks += outcome->chunks;
  summary_.refused += outcome->refused.size();
  for (const absl::Status& refused : outcome->refused) {
    if (options_.skip_refused) {
      options_.on_refused(refused);
    } else {
      Fail(refused);
    }
  }
  flight->stored = outcome->refused.empty() || options_.skip_refused;
  // Only what has nothing unstored before it is noted.
  std::optional<Flight> last;
  while (!flights_.empty() && flights_.front().stored) {
    last = std::move(flights_.front());
    flights_.pop_front();
  }
  if (last) Commit(last->mark, last->last);
}

void Pipeline::Commit(const ReadMark& mark, const std::optional<StoredDocument>& last) {
  const std::vector<Source>& sources = feed_->sources().sources;
  std::vector<std::pair<std::string, SourceProgress>> progress;
  uint64_t bytes = 0;
  for (size_t i = committed_.source; i < sources.size() && i <= mark.source; ++i) {
    const Source& source = sources[i];
    const uint64_t from = i == committed_.source ? committed_.offset : source.start_offset;
    const bool done = i < mark.source;
    const uint64_t to = std::max(from, done ? source.bytes : mark.offset);  // a file may shrink meanwhile
    if (!done && to == from) continue;
    bytes += to - from;
    progress.push_back(
        {source.path, {source.bytes, source.mtime_ns, done ? 0 : mark.offset, done ? 1 : mark.line, done}});
  }
  absl::Status status = state_->Record(progress, last);
  if (!status.ok()) return Fail(status);
  committed_ = mark;
  progress_->SetNote(absl::StrCat(summary_.stored + summary_.unchanged, " documents"));
  progress_->Advance(bytes);
}

void Pipeline::Fail(const absl::Status& status) {
  if (summary_.status.ok()) summary_.status = status;
}

}  // namespace larder::tools

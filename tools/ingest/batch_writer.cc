#include "tools/ingest/batch_writer.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/utf8.h"
#include "storage/status_macros.h"

namespace larder::tools {
namespace {

constexpr absl::Duration kPoll = absl::Milliseconds(50);

std::string Where(const SourcedDocument& sourced) {
  return absl::StrCat(sourced.source, ":", sourced.line, ": document ",
                      QuoteForMessage(sourced.document.id, 80));
}

bool SameChunk(const GivenChunk& given, const GivenChunk& stored) {
  const bool same_vectors = std::all_of(given.vectors.begin(), given.vectors.end(), [&](const auto& vector) {
    auto found = stored.vectors.find(vector.first);
    return found != stored.vectors.end() && found->second == vector.second;
  });
  return same_vectors && given.text == stored.text && given.section == stored.section &&
         given.span == stored.span && given.metadata == stored.metadata;
}

}  // namespace

bool SameDocument(const Document& given, const Document& stored) {
  if (given.id != stored.id || given.tenant != stored.tenant || given.title != stored.title ||
      given.text != stored.text || given.uri != stored.uri || given.media_type != stored.media_type ||
      given.metadata != stored.metadata || given.expires_at_ms != stored.expires_at_ms) {
    return false;
  }
  if (given.chunks.empty()) return true;  // cut by the collection, the same way each time
  return std::equal(given.chunks.begin(), given.chunks.end(), stored.chunks.begin(), stored.chunks.end(),
                    SameChunk);
}

bool BatchWriter::MayPass(absl::StatusCode code) const {
  return code == absl::StatusCode::kUnavailable || code == absl::StatusCode::kDeadlineExceeded ||
         code == absl::StatusCode::kAborted ||
         (code == absl::StatusCode::kResourceExhausted && options_.retry_exhausted);
}

bool BatchWriter::Wait(int attempt) const {
  const absl::Time until = absl::Now() + options_.first_backoff * (1 << std::min(attempt, 6));
  while (absl::Now() < until) {
    if (options_.cancelled()) return false;
    absl::SleepFor(std::min(kPoll, until - absl::Now()));
  }
  return !options_.cancelled();
}

absl::StatusOr<bool> BatchWriter::IsStored(const Document& document) const {
  for (int attempt = 0;; ++attempt) {
    absl::StatusOr<Document> stored =
        backend_->Get(options_.collection, document.id, document.tenant, !document.chunks.empty());
    if (stored.ok()) return SameDocument(document, *stored);
    // What is not there, or no id at all: let Upsert answer.
    if (absl::IsNotFound(stored.status()) || absl::IsInvalidArgument(stored.status())) return false;
    if (!MayPass(stored.status().code()) || attempt + 1 >= options_.max_attempts || !Wait(attempt)) {
      return stored.status();
    }
  }
}

absl::StatusOr<std::vector<UpsertResult>> BatchWriter::Upsert(const std::vector<Document>& documents) const {
  WriteOptions write;
  write.sync = options_.sync;
  std::vector<UpsertResult> results(documents.size());
  std::vector<size_t> left(documents.size());  // those without a final result
  std::iota(left.begin(), left.end(), size_t{0});
  std::vector<Document> again;
  for (int attempt = 0;; ++attempt) {
    const std::vector<Document>& now = attempt == 0 || again.empty() ? documents : again;
    absl::StatusOr<std::vector<UpsertResult>> found = backend_->Upsert(options_.collection, now, write);
    absl::Status status = found.status();
    if (found.ok() && found->size() != now.size()) {
      return absl::InternalError(
          absl::StrCat("upsert: expected ", now.size(), " results, found ", found->size()));
    }
    // An embedding service that is away fails documents, not the call.
    std::vector<size_t> failed;
    for (size_t i = 0; found.ok() && i < found->size(); ++i) {
      const auto code = static_cast<absl::StatusCode>((*found)[i].error_code);
      if (MayPass(code)) {
        status = absl::Status(code, (*found)[i].error);
        failed.push_back(left[i]);
      }
      results[left[i]] = std::move((*found)[i]);
    }
    if (status.ok()) return results;
    if (!MayPass(status.code()) || attempt + 1 >= options_.max_attempts || !Wait(attempt)) return status;
    if (!found.ok()) continue;
    left = std::move(failed);
    again.clear();
    for (size_t i : left) again.push_back(documents[i]);
  }
}

absl::StatusOr<BatchOutcome> BatchWriter::Write(std::vector<SourcedDocument> batch, bool compare) const {
  BatchOutcome outcome;
  outcome.in_store.assign(batch.size(), false);
  std::vector<Document> documents;
  std::vector<size_t> places;
  for (size_t i = 0; i < batch.size(); ++i) {
    if (compare) {
      ASSIGN_OR_RETURN(bool stored, IsStored(batch[i].document));
      if (stored) {
        outcome.in_store[i] = true;
        ++outcome.unchanged;
        continue;
      }
    }
    places.push_back(i);
    documents.push_back(std::move(batch[i].document));
  }
  if (documents.empty()) return outcome;
  ASSIGN_OR_RETURN(std::vector<UpsertResult> results, Upsert(documents));
  for (size_t i = 0; i < results.size(); ++i) {
    SourcedDocument& sourced = batch[places[i]];
    if (results[i].error_code == 0) {
      outcome.in_store[places[i]] = true;
      ++outcome.stored;
      outcome.chunks += results[i].chunks;
      continue;
    }
    sourced.document.id = documents[i].id;
    outcome.refused.emplace_back(static_cast<absl::StatusCode>(results[i].error_code),
                                 absl::StrCat(Where(sourced), ": ", results[i].error));
  }
  return outcome;
}

}  // namespace larder::tools

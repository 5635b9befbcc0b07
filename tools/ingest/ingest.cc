#include "tools/ingest/ingest.h"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "storage/status_macros.h"
#include "tools/readers/matrix_reader.h"

namespace larder::tools {
namespace {

constexpr size_t kDocumentBatch = 64;
constexpr size_t kVectorBatch = 1000;

class Ingestion {
 public:
  Ingestion(const IngestArguments& arguments, const std::function<bool()>& cancelled,
            const std::function<void(const std::string&)>& warn)
      : arguments_(arguments), cancelled_(cancelled), warn_(warn) {}

  absl::StatusOr<IngestReport> Run();

 private:
  absl::Status ListInput();
  absl::Status PrepareCollection();
  absl::StatusOr<CollectionOptions> OptionsToCreate() const;
  absl::Status OpenState();
  // Whether the collection holds the document that the journal last noted.
  absl::StatusOr<bool> JournalIsTrue() const;
  void LeaveOutDone();
  absl::StatusOr<std::unique_ptr<Feed>> MakeFeed();
  IngestSummary Store(Feed* feed);

  MatrixFeedOptions MatrixOptions() const {
    return {arguments_.format.empty() ? "" : absl::StrCat(".", arguments_.format), arguments_.ids,
            arguments_.tenant, arguments_.space};
  }
  size_t BatchDocuments() const {
    if (arguments_.batch > 0) return arguments_.batch;
    return is_matrix_ ? kVectorBatch : kDocumentBatch;
  }
  // Documents that a killed run may have stored behind what its journal says.
  uint64_t Window() const { return BatchDocuments() * (arguments_.in_flight + 1); }

  const IngestArguments& arguments_;
  const std::function<bool()>& cancelled_;
  const std::function<void(const std::string&)>& warn_;

  bool is_matrix_ = false;
  SourceList all_;                 // as listed
  SourceList pending_;             // without what is done
  std::vector<bool> compare_all_;  // of pending_: changed since an earlier run read it
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<IngestState> state_;
  bool holds_documents_ = false;
  bool may_hold_any_ = false;  // documents of whatever source may be stored, unknown to the journal
  IngestReport report_;
};

absl::StatusOr<IngestReport> Ingestion::Run() {
  const absl::Time start = absl::Now();
  RETURN_IF_ERROR(ListInput());
  ASSIGN_OR_RETURN(backend_, OpenBackend(arguments_.address, arguments_.create));
  RETURN_IF_ERROR(PrepareCollection());
  RETURN_IF_ERROR(OpenState());
  LeaveOutDone();
  report_.unknown_files = all_.unknown_files;
  ASSIGN_OR_RETURN(std::unique_ptr<Feed> feed, MakeFeed());
  report_.summary = Store(feed.get());
  const absl::Status closed = backend_->Close();
  if (report_.summary.status.ok()) report_.summary.status = closed;
  report_.elapsed = absl::Now() - start;
  return report_;
}

absl::Status Ingestion::ListInput() {
  auto is_matrix = [](const std::string& path) { return IsMatrixPath(path); };
  const bool forced_text = DocumentFormatFromName(arguments_.format).has_value();
  is_matrix_ = !forced_text && (!arguments_.format.empty() ||
                                std::any_of(arguments_.paths.begin(), arguments_.paths.end(), is_matrix));
  if (!is_matrix_) {
    if (!arguments_.ids.empty()) return absl::InvalidArgumentError("--ids is for matrices of vectors");
    ASSIGN_OR_RETURN(all_, ListSources(arguments_.paths, DocumentFormatFromName(arguments_.format)));
    if (!all_.sources.empty()) return absl::OkStatus();
    return absl::NotFoundError("no .txt, .md, .html or .jsonl among the paths");
  }
  if (arguments_.paths.size() != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("a matrix is ingested alone: expected one path, found ", arguments_.paths.size()));
  }
  ASSIGN_OR_RETURN(Source source, MatrixSource(arguments_.paths[0], MatrixOptions()));
  all_.total_bytes = source.bytes;
  all_.sources.push_back(std::move(source));
  return absl::OkStatus();
}

absl::StatusOr<CollectionOptions> Ingestion::OptionsToCreate() const {
  CollectionOptions options = arguments_.options;
  VectorSpaceOptions& space = options.spaces[0];
  space.name = arguments_.space;
  space.dimension = arguments_.dimension;
  std::string embedder = arguments_.embedder;
  if (embedder.empty()) embedder = is_matrix_ ? "none" : "minilm";
  options.embedder = embedder == "none"   ? EmbedderKind::kNone
                     : embedder == "http" ? EmbedderKind::kHttp
                                          : EmbedderKind::kMiniLm;
  if (is_matrix_) {
    ASSIGN_OR_RETURN(uint32_t dimension, MatrixDimension(arguments_.paths[0], MatrixOptions()));
    if (space.dimension == 0) space.dimension = dimension;
  }
  if (options.embedder == EmbedderKind::kNone && space.dimension == 0) {
    return absl::InvalidArgumentError(
        "--embedder none: expected --dim, since nothing else tells the dimension");
  }
  return options;
}

absl::Status Ingestion::PrepareCollection() {
  absl::StatusOr<CollectionDescription> found = backend_->DescribeCollection(arguments_.collection);
  if (found.ok()) holds_documents_ = found->info.documents > 0;
  if (!absl::IsNotFound(found.status())) return found.status();
  if (!arguments_.create) {
    return absl::NotFoundError(
        absl::StrCat("collection \"", arguments_.collection, "\" is not there; --create makes it"));
  }
  ASSIGN_OR_RETURN(CollectionOptions options, OptionsToCreate());
  return backend_->CreateCollection(arguments_.collection, options);
}

absl::Status Ingestion::OpenState() {
  std::string path = arguments_.state;
  if (path.empty()) {
    ASSIGN_OR_RETURN(path, DefaultStatePath(arguments_.address, arguments_.collection));
  }
  const IngestJob job{
      arguments_.collection,
      absl::StrCat("format=", arguments_.format, "\nids=", arguments_.ids, "\ntenant=", arguments_.tenant,
                   "\nspace=", arguments_.space, "\nextra=", arguments_.extra_fields_to_metadata)};
  ASSIGN_OR_RETURN(state_, IngestState::Open(path, job, Window(), arguments_.restart));
  ASSIGN_OR_RETURN(bool is_true, JournalIsTrue());
  may_hold_any_ = holds_documents_ && !state_->started();
  if (is_true) return absl::OkStatus();
  warn_(absl::StrCat(path, ": notes documents that collection \"", arguments_.collection,
                     "\" does not hold; beginning anew"));
  may_hold_any_ = true;
  state_.reset();
  ASSIGN_OR_RETURN(state_, IngestState::Open(path, job, Window(), /*forget=*/true));
  return absl::OkStatus();
}

absl::StatusOr<bool> Ingestion::JournalIsTrue() const {
  if (!state_->last()) return true;
  absl::Status found =
      backend_->Get(arguments_.collection, state_->last()->id, state_->last()->tenant, false).status();
  if (absl::IsNotFound(found)) return false;
  RETURN_IF_ERROR(found);
  return true;
}

void Ingestion::LeaveOutDone() {
  pending_.total_bytes = 0;
  for (Source& source : all_.sources) {
    const std::optional<SourceProgress> earlier = state_->Find(source.path);
    const bool unchanged = earlier && earlier->bytes == source.bytes && earlier->mtime_ns == source.mtime_ns;
    if (unchanged && earlier->done) {
      ++report_.sources_done;
      continue;
    }
    if (unchanged) {
      source.start_offset = earlier->offset;
      source.start_line = earlier->line;
    }
    const bool changed = earlier && !unchanged;
    compare_all_.push_back(changed || may_hold_any_);
    pending_.total_bytes += source.bytes;
    pending_.sources.push_back(source);
  }
  report_.resumed = state_->started();
}

absl::StatusOr<std::unique_ptr<Feed>> Ingestion::MakeFeed() {
  if (is_matrix_ && !pending_.sources.empty()) return MakeMatrixFeed(pending_.sources[0], MatrixOptions());
  DocumentReaderOptions options;
  options.format = DocumentFormatFromName(arguments_.format);
  options.json.extra_fields_to_metadata = arguments_.extra_fields_to_metadata;
  options.json.vector_space = arguments_.space;
  options.tenant = arguments_.tenant;
  options.skip_bad = arguments_.skip_bad;
  options.on_skip = [this](const absl::Status& status) { warn_(std::string(status.message())); };
  return MakeDocumentFeed(pending_, std::move(options));
}

IngestSummary Ingestion::Store(Feed* feed) {
  uint64_t done_bytes = all_.total_bytes - pending_.total_bytes;
  for (const Source& source : pending_.sources) done_bytes += source.start_offset;
  Progress progress({.label = "ingest",
                     .unit = ProgressUnit::kBytes,
                     .total = all_.total_bytes,
                     .already_done = done_bytes,
                     .quiet = arguments_.quiet || pending_.sources.empty()});
  BatchWriterOptions writing;
  writing.collection = arguments_.collection;
  writing.sync = arguments_.sync;
  writing.retry_exhausted = !arguments_.address.server.empty();
  writing.cancelled = cancelled_;
  const BatchWriter writer(backend_.get(), writing);
  PipelineOptions options;
  options.batch_documents = BatchDocuments();
  options.in_flight = arguments_.in_flight;
  options.skip_refused = arguments_.skip_bad;
  options.cancelled = cancelled_;
  options.on_refused = [this](const absl::Status& status) { warn_(std::string(status.message())); };
  const uint64_t window = state_->started() ? std::max(state_->window(), Window()) : 0;
  options.compare_first = [this, window](size_t source) {
    return source < compare_all_.size() && compare_all_[source] ? UINT64_MAX : window;
  };
  IngestSummary summary = Pipeline(feed, &writer, state_.get(), &progress, options).Run();
  progress.Finish();
  return summary;
}

}  // namespace

absl::StatusOr<IngestReport> RunIngest(const IngestArguments& arguments,
                                       const std::function<bool()>& cancelled,
                                       const std::function<void(const std::string&)>& warn) {
  return Ingestion(arguments, cancelled, warn).Run();
}

absl::StatusOr<std::string> DefaultStatePath(const Address& address, const std::string& collection) {
  if (!address.db.empty()) return absl::StrCat(address.db, "/ingest/", collection, ".journal");
  const char* state = std::getenv("XDG_STATE_HOME");
  const char* home = std::getenv("HOME");
  std::string folder;
  if (state != nullptr && *state != '\0') {
    folder = state;
  } else if (home != nullptr && *home != '\0') {
    folder = absl::StrCat(home, "/.local/state");
  } else {
    return absl::InvalidArgumentError(
        "--state: expected a path, since neither XDG_STATE_HOME nor HOME is set");
  }
  std::string name = absl::StrCat(address.server, "-", collection);
  for (char& c : name) c = absl::ascii_isalnum(c) || c == '.' || c == '-' ? c : '_';
  return absl::StrCat(folder, "/larder/ingest-", name, ".journal");
}

}  // namespace larder::tools

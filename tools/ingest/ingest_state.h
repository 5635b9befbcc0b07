// How far an ingestion has come: a journal beside the data that outlives a kill. One JSON object a
// line; the first names the job, each further one the state of a source:
//
//   {"larder_ingest":1,"collection":"docs","settings":"...","window":512}
//   {"source":"a.jsonl","bytes":913,"mtime_ns":17,"offset":300,"line":4,"done":false,"id":"x","tenant":""}
//
// The last line about a source counts. A line is appended and synced after its documents are
// acknowledged, so what it says is stored; up to `window` documents behind it may be stored as well.
#ifndef LARDER_TOOLS_INGEST_INGEST_STATE_H_
#define LARDER_TOOLS_INGEST_INGEST_STATE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace larder::tools {

// What decides which documents a source gives, and where they go.
struct IngestJob {
  std::string collection;
  std::string settings;
  friend bool operator==(const IngestJob&, const IngestJob&) = default;
};

struct SourceProgress {
  uint64_t bytes = 0;  // of the source when it was read
  int64_t mtime_ns = 0;
  uint64_t offset = 0;  // where reading goes on
  uint64_t line = 1;
  bool done = false;
};

struct StoredDocument {
  std::string id, tenant;
};

// Single-threaded. Holds a lock on its file.
class IngestState {
 public:
  // Reads the journal and writes it anew, short. Another job's journal, and any if `forget`, counts as
  // none. Unavailable if another ingestion holds it; DataLoss naming the line if it is damaged
  // elsewhere than at its end.
  static absl::StatusOr<std::unique_ptr<IngestState>> Open(const std::string& path, const IngestJob& job,
                                                           uint64_t window, bool forget);
  ~IngestState();

  const std::string& path() const { return path_; }
  // An earlier run was there, if only to begin: documents at the start may be stored already.
  bool started() const { return started_; }
  uint64_t window() const { return window_; }  // of the earlier run
  std::optional<SourceProgress> Find(const std::string& source) const;
  // The last document that the journal knows to be stored.
  const std::optional<StoredDocument>& last() const { return last_; }

  // Durable when it returns.
  absl::Status Record(const std::vector<std::pair<std::string, SourceProgress>>& progress,
                      const std::optional<StoredDocument>& last);

 private:
  IngestState(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}
  absl::Status Load(const IngestJob& job);
  // False if the line names another job.
  absl::StatusOr<bool> LoadLine(absl::string_view line, bool first, const IngestJob& job);
  absl::Status Rewrite(const IngestJob& job, uint64_t window);

  const std::string path_;
  const int lock_;  // open files
  int journal_ = -1;
  bool started_ = false;
  uint64_t window_ = 0;
  std::map<std::string, SourceProgress> sources_;
  std::optional<StoredDocument> last_;
};

}  // namespace larder::tools

#endif  // LARDER_TOOLS_INGEST_INGEST_STATE_H_

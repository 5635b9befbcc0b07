#include "tools/ingest/ingest_state.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/status_macros.h"
#include "tools/readers/input_file.h"
#include "tools/readers/line_reader.h"

namespace larder::tools {
namespace {

using Json = nlohmann::json;

constexpr int kFormat = 1;
constexpr size_t kMaxLineBytes = 1 << 20;

absl::Status StateError(const std::string& path, absl::string_view action) {
  return absl::ErrnoToStatus(errno, absl::StrCat(path, ": cannot ", action, " the state of the ingestion"));
}

absl::Status WriteAll(int fd, const std::string& path, absl::string_view text) {
  while (!text.empty()) {
    ssize_t n = write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return StateError(path, "write");
    text.remove_prefix(static_cast<size_t>(n));
  }
  return fdatasync(fd) == 0 ? absl::OkStatus() : StateError(path, "sync");
}

// Paths need not be UTF-8; JSON must.
std::string Line(const Json& json) {
  return absl::StrCat(json.dump(-1, ' ', false, Json::error_handler_t::replace), "\n");
}

std::string SourceLine(const std::string& path, const SourceProgress& progress,
                       const std::optional<StoredDocument>& last) {
  Json json = {{"source", path},
               {"bytes", progress.bytes},
               {"mtime_ns", progress.mtime_ns},
               {"offset", progress.offset},
               {"line", progress.line},
               {"done", progress.done}};
  if (last) json["id"] = last->id, json["tenant"] = last->tenant;
  return Line(json);
}

absl::Status SyncFolderOf(const std::string& path) {
  std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (folder.empty()) folder = ".";
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return StateError(folder.string(), "open the folder of");
  const bool synced = fsync(fd) == 0;
  absl::Status status = synced ? absl::OkStatus() : StateError(folder.string(), "sync the folder of");
  close(fd);
  return status;
}

int OpenLocked(const std::string& path) {
  int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
    const int error = errno;
    close(fd);
    errno = error;
    return -1;
  }
  return fd;
}

}  // namespace

absl::StatusOr<std::unique_ptr<IngestState>> IngestState::Open(const std::string& path, const IngestJob& job,
                                                               uint64_t window, bool forget) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  std::error_code error;
  if (!folder.empty()) std::filesystem::create_directories(folder, error);
  // The lock is on a file of its own: the journal is replaced when it is written anew.
  int fd = OpenLocked(path + ".lock");
  if (fd < 0 && errno == EWOULDBLOCK) {
    return absl::UnavailableError(absl::StrCat(path, ": another ingestion is using it"));
  }
  if (fd < 0) return StateError(path, "lock");
  std::unique_ptr<IngestState> state(new IngestState(path, fd));
  if (!forget) RETURN_IF_ERROR(state->Load(job));
  RETURN_IF_ERROR(state->Rewrite(job, window));
  return state;
}

IngestState::~IngestState() {
  if (journal_ >= 0) close(journal_);
  close(lock_);
}

absl::Status IngestState::Load(const IngestJob& job) {
  absl::StatusOr<InputFile> file = InputFile::Open(path_);
  if (absl::IsNotFound(file.status())) return absl::OkStatus();
  RETURN_IF_ERROR(file.status());
  LineReader lines(&*file, 0, kMaxLineBytes);
  absl::string_view text;
  for (uint64_t number = 1;; ++number) {
    ASSIGN_OR_RETURN(bool more, lines.Next(&text));
    if (!more) return absl::OkStatus();
    const bool torn = lines.offset() == file->size();  // perhaps: the end of what a kill cut short
    absl::StatusOr<bool> same_job = LoadLine(text, number == 1, job);
    if (!same_job.ok() && torn) return absl::OkStatus();
    if (!same_job.ok()) {
      return absl::DataLossError(
          absl::StrCat(path_, ":", number, ": ", same_job.status().message(), "; --restart begins anew"));
    }
    if (!*same_job) return absl::OkStatus();
  }
}

absl::StatusOr<bool> IngestState::LoadLine(absl::string_view line, bool first, const IngestJob& job) {
  try {
    const Json json = Json::parse(line.begin(), line.end());
    if (first) {
      if (json.at("larder_ingest").get<int>() != kFormat) {
        return absl::InvalidArgumentError(absl::StrCat("expected format ", kFormat));
      }
      if (IngestJob{json.at("collection"), json.at("settings")} != job) return false;
      window_ = json.at("window");
      started_ = true;
      return true;
    }
    SourceProgress progress{json.at("bytes"), json.at("mtime_ns"), json.at("offset"), json.at("line"),
                            json.at("done")};
    sources_[json.at("source")] = progress;
    if (json.contains("id")) last_ = StoredDocument{json.at("id"), json.at("tenant")};
    return true;
  } catch (const Json::exception&) {
    return absl::InvalidArgumentError("expected a line of the journal");
  }
}

// Aside and renamed: a kill leaves the old journal or the new one.
absl::Status IngestState::Rewrite(const IngestJob& job, uint64_t window) {
  std::string text = Line({{"larder_ingest", kFormat},
                           {"collection", job.collection},
                           {"settings", job.settings},
                           {"window", std::max(window, window_)}});
  for (const auto& [path, progress] : sources_) absl::StrAppend(&text, SourceLine(path, progress, last_));
  const std::string aside = path_ + ".new";
  const int fd = open(aside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) return StateError(aside, "create");
  journal_ = fd;  // follows the rename
  RETURN_IF_ERROR(WriteAll(fd, aside, text));
  if (rename(aside.c_str(), path_.c_str()) != 0) return StateError(path_, "replace");
  return SyncFolderOf(path_);
}

std::optional<SourceProgress> IngestState::Find(const std::string& source) const {
  auto found = sources_.find(source);
  if (found == sources_.end()) return {};
  return found->second;
}

absl::Status IngestState::Record(const std::vector<std::pair<std::string, SourceProgress>>& progress,
                                 const std::optional<StoredDocument>& last) {
  if (progress.empty()) return absl::OkStatus();
  std::string text;
  for (const auto& [path, state] : progress) absl::StrAppend(&text, SourceLine(path, state, last));
  return WriteAll(journal_, path_, text);
}

}  // namespace larder::tools

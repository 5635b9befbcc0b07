#include "tools/readers/source_list.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "storage/status_macros.h"

namespace larder::tools {
namespace {

struct DirCloser {
  void operator()(DIR* dir) const { closedir(dir); }
};

absl::Status PathError(const std::string& path, absl::string_view action, int error) {
  return absl::ErrnoToStatus(error, absl::StrCat(path, ": cannot ", action));
}

std::string Normalize(const std::string& path) {
  std::string normal = std::filesystem::path(path).lexically_normal().string();
  while (normal.size() > 1 && normal.back() == '/') normal.pop_back();
  return normal;
}

class Lister {
 public:
  explicit Lister(std::optional<DocumentFormat> forced) : forced_(forced) {}

  absl::Status AddPath(const std::string& path);
  SourceList Take() && { return std::move(list_); }

 private:
  absl::Status AddDirectory(const std::string& path);
  absl::StatusOr<std::vector<std::string>> Names(const std::string& directory) const;
  void AddFile(const std::string& path, DocumentFormat format, const struct stat& info);

  const std::optional<DocumentFormat> forced_;
  std::set<std::string> seen_;
  SourceList list_;
};

absl::Status Lister::AddPath(const std::string& given) {
  if (given.empty()) return absl::InvalidArgumentError("a path is empty");
  const std::string path = Normalize(given);
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return PathError(given, "find", errno);
  if (S_ISDIR(info.st_mode)) return AddDirectory(path);
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(given, ": expected a file or a directory"));
  }
  std::optional<DocumentFormat> format = forced_ ? forced_ : DocumentFormatOf(path);
  if (!format) {
    return absl::InvalidArgumentError(absl::StrCat(
        given, ": expected .txt, .md, .html, .htm or .jsonl, or a format that says what the file is"));
  }
  AddFile(path, *format, info);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> Lister::Names(const std::string& directory) const {
  std::unique_ptr<DIR, DirCloser> dir(opendir(directory.c_str()));
  if (dir == nullptr) return PathError(directory, "list", errno);
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = readdir(dir.get())) {
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  if (errno != 0) return PathError(directory, "list", errno);
  std::sort(names.begin(), names.end());
  return names;
}

// Without recursion: directories may nest as deep as paths are long.
absl::Status Lister::AddDirectory(const std::string& root) {
  std::vector<std::string> pending = {root};  // the next one is at the end
  bool first = true;
  while (!pending.empty()) {
    std::string path = std::move(pending.back());
    pending.pop_back();
    struct stat info;
    // The root itself may be a link; what lies inside is not followed out of it.
    if ((first ? stat(path.c_str(), &info) : lstat(path.c_str(), &info)) != 0)
      return PathError(path, "find", errno);
    first = false;
    if (S_ISDIR(info.st_mode)) {
      ASSIGN_OR_RETURN(std::vector<std::string> names, Names(path));
      for (size_t i = names.size(); i-- > 0;)
        pending.push_back(absl::StrCat(path, path == "/" ? "" : "/", names[i]));
    } else if (S_ISREG(info.st_mode)) {
      std::optional<DocumentFormat> format = forced_ ? forced_ : DocumentFormatOf(path);
      if (format) AddFile(path, *format, info);
      if (!format) ++list_.unknown_files;
    }
  }
  return absl::OkStatus();
}

void Lister::AddFile(const std::string& path, DocumentFormat format, const struct stat& info) {
  if (!seen_.insert(path).second) return;
  Source source;
  source.path = path;
  source.format = format;
  source.bytes = static_cast<uint64_t>(info.st_size);
  source.mtime_ns = int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
  list_.total_bytes += source.bytes;
  list_.sources.push_back(std::move(source));
}

}  // namespace

std::optional<DocumentFormat> DocumentFormatFromName(absl::string_view name) {
  if (name == "text") return DocumentFormat::kText;
  if (name == "markdown") return DocumentFormat::kMarkdown;
  if (name == "html") return DocumentFormat::kHtml;
  if (name == "jsonl") return DocumentFormat::kJsonLines;
  return {};
}

std::optional<DocumentFormat> DocumentFormatOf(absl::string_view path) {
  static constexpr std::pair<absl::string_view, DocumentFormat> kExtensions[] = {
      {".txt", DocumentFormat::kText},          {".md", DocumentFormat::kMarkdown},
      {".markdown", DocumentFormat::kMarkdown}, {".html", DocumentFormat::kHtml},
      {".htm", DocumentFormat::kHtml},          {".xhtml", DocumentFormat::kHtml},
      {".jsonl", DocumentFormat::kJsonLines},   {".ndjson", DocumentFormat::kJsonLines}};
  for (const auto& [extension, format] : kExtensions) {
    if (absl::EndsWithIgnoreCase(path, extension)) return format;
  }
  return {};
}

absl::StatusOr<SourceList> ListSources(const std::vector<std::string>& paths,
                                       std::optional<DocumentFormat> forced) {
  Lister lister(forced);
  for (const std::string& path : paths) RETURN_IF_ERROR(lister.AddPath(path));
  return std::move(lister).Take();
}

}  // namespace larder::tools

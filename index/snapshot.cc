#include "index/snapshot.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "storage/crc32c.h"
#include "storage/status_macros.h"

namespace larder::index {
namespace {

static_assert(std::endian::native == std::endian::little, "snapshots hold arrays as memory does");

constexpr char kMagic[] = "LARDRIDX";
constexpr uint32_t kVersion = 2;
constexpr size_t kMaxSections = 12;
constexpr size_t kSectionsOffset = 72;
constexpr size_t kSectionBytes = 24;
constexpr size_t kHeaderBytes = 368;
constexpr size_t kHeaderCrcOffset = kHeaderBytes - 4;
constexpr size_t kPrefixOffset = kHeaderBytes - 8;
constexpr uint64_t kPiece = 1 << 20;  // per write and per read: still in cache when checksummed

uint32_t Crc32c(const void* data, size_t size, uint32_t crc = 0) {
  return storage::Crc32c(absl::string_view(static_cast<const char*>(data), size), crc);
}

absl::Status IoError(absl::string_view what, absl::string_view path) {
  return storage::ErrnoToStatus(errno, absl::StrCat("snapshot: ", what), path);
}

template <typename T>
void Put(T value, size_t offset, std::string* header) {
  std::memcpy(header->data() + offset, &value, sizeof(T));
}
template <typename T>
T Get(absl::string_view header, size_t offset) {
  T value;
  std::memcpy(&value, header.data() + offset, sizeof(T));
  return value;
}

}  // namespace

SnapshotWriter::SnapshotWriter(std::string path, storage::Descriptor file)
    : path_(std::move(path)), file_(std::move(file)), offset_(kHeaderBytes) {
  buffer_.reserve(kPiece);
}

absl::StatusOr<SnapshotWriter> SnapshotWriter::Create(const std::string& path) {
  const std::string aside = path + ".tmp";
  storage::Descriptor file(open(aside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (file.get() < 0) return IoError("create", aside);
  return SnapshotWriter(path, std::move(file));
}

SnapshotWriter::~SnapshotWriter() {
  if (file_.get() >= 0) unlink(Aside().c_str());
}

void SnapshotWriter::WriteOut(const char* data, uint64_t size, uint64_t offset) {
  while (size > 0 && status_.ok()) {
    const ssize_t written = pwrite(file_.get(), data, size, static_cast<off_t>(offset));
    if (written < 0) {
      if (errno != EINTR) status_ = IoError("write", path_);
      continue;
    }
    data += written;
    offset += written;
    size -= written;
  }
}

void SnapshotWriter::Flush() {
  WriteOut(buffer_.data(), buffer_.size(), offset_);
  offset_ += buffer_.size();
  buffer_.clear();
}

void SnapshotWriter::BeginSection(SectionId id) { sections_.push_back({.id = id}); }

void SnapshotWriter::Append(const void* data, uint64_t size) {
  Section& section = sections_.back();
  const char* bytes = static_cast<const char*>(data);
  section.length += size;
  while (size > 0 && status_.ok()) {
    const uint64_t piece = std::min(size, kPiece - buffer_.size());
    section.crc32c = Crc32c(bytes, piece, section.crc32c);
    buffer_.append(bytes, piece);
    if (buffer_.size() == kPiece) Flush();
    bytes += piece;
    size -= piece;
  }
}

std::string SnapshotWriter::EncodeHeader(const SnapshotHeader& header) const {
  std::string bytes(kHeaderBytes, '\0');
  std::memcpy(bytes.data(), kMagic, 8);
  Put(kVersion, 8, &bytes);
  Put(static_cast<uint32_t>(sections_.size()), 12, &bytes);
  Put(static_cast<uint32_t>(header.options.kind), 16, &bytes);
  Put(static_cast<uint32_t>(header.options.metric), 20, &bytes);
  Put(header.options.dimension, 24, &bytes);
  Put(header.options.m, 28, &bytes);
  Put(header.options.ef_construction, 32, &bytes);
  Put(static_cast<uint32_t>(header.options.code), 36, &bytes);
  Put(header.options.seed, 40, &bytes);
  Put(header.count, 48, &bytes);
  Put(header.entry, 56, &bytes);
  Put(header.max_level, 64, &bytes);
  uint64_t offset = kHeaderBytes;
  for (size_t i = 0; i < sections_.size(); ++i) {
    const size_t at = kSectionsOffset + i * kSectionBytes;
    Put(static_cast<uint32_t>(sections_[i].id), at, &bytes);
    Put(sections_[i].crc32c, at + 4, &bytes);
    Put(offset, at + 8, &bytes);
    Put(sections_[i].length, at + 16, &bytes);
    offset += sections_[i].length;
  }
  Put(header.options.prefix, kPrefixOffset, &bytes);
  Put(Crc32c(bytes.data(), kHeaderCrcOffset, 0), kHeaderCrcOffset, &bytes);
  return bytes;
}

absl::Status SnapshotWriter::Finish(const SnapshotHeader& header) {
  Flush();
  const std::string bytes = EncodeHeader(header);
  WriteOut(bytes.data(), bytes.size(), 0);
  RETURN_IF_ERROR(status_);
  if (fdatasync(file_.get()) != 0) return IoError("fdatasync", Aside());
  storage::FileSystem& files = storage::FileSystem::Posix();
  RETURN_IF_ERROR(files.Rename(Aside(), path_));
  file_.Close();
  return files.SyncDirectory(storage::ParentDirectory(path_));
}

absl::StatusOr<SnapshotReader> SnapshotReader::Open(const std::string& path) {
  storage::Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return IoError("open", path);
  SnapshotReader reader(path, std::move(file));
  RETURN_IF_ERROR(reader.ReadHeader());
  return reader;
}

absl::Status SnapshotReader::Damaged(absl::string_view what) const {
  return absl::DataLossError(absl::StrCat("snapshot ", path_, ": ", what));
}

absl::Status SnapshotReader::ReadHeader() {
  struct stat info;
  if (fstat(file_.get(), &info) != 0) return IoError("stat", path_);
  const uint64_t file_size = info.st_size;
  if (file_size < kHeaderBytes) {
    return Damaged(absl::StrCat("expected at least ", kHeaderBytes, " bytes, found ", file_size));
  }
  std::string bytes(kHeaderBytes, '\0');
  end_ = kHeaderBytes;
  RETURN_IF_ERROR(Read(bytes.data(), bytes.size()));
  return DecodeHeader(bytes, file_size);
}

absl::Status SnapshotReader::DecodeHeader(absl::string_view bytes, uint64_t file_size) {
  if (bytes.substr(0, 8) != absl::string_view(kMagic, 8)) return Damaged("at byte 0: not a snapshot");
  const uint32_t version = Get<uint32_t>(bytes, 8), count = Get<uint32_t>(bytes, 12);
  if (version != kVersion) {
    return Damaged(absl::StrCat("expected format version ", kVersion, ", found ", version));
  }
  const uint32_t crc = Crc32c(bytes.data(), kHeaderCrcOffset, 0);
  const uint32_t expected_crc = Get<uint32_t>(bytes, kHeaderCrcOffset);
  if (crc != expected_crc) {
    return Damaged(absl::StrCat("header: expected crc32c ", expected_crc, ", found ", crc));
  }
  if (count > kMaxSections) {
    return Damaged(absl::StrCat("expected at most ", kMaxSections, " sections, found ", count));
  }
  header_.options.kind = static_cast<Kind>(Get<uint32_t>(bytes, 16));
  header_.options.metric = static_cast<Metric>(Get<uint32_t>(bytes, 20));
  header_.options.dimension = Get<uint32_t>(bytes, 24);
  header_.options.m = Get<uint32_t>(bytes, 28);
  header_.options.ef_construction = Get<uint32_t>(bytes, 32);
  header_.options.code = static_cast<RowCode>(Get<uint32_t>(bytes, 36));
  header_.options.prefix = Get<uint32_t>(bytes, kPrefixOffset);
  header_.options.seed = Get<uint64_t>(bytes, 40);
  header_.count = Get<uint64_t>(bytes, 48);
  header_.entry = Get<uint64_t>(bytes, 56);
  header_.max_level = Get<uint64_t>(bytes, 64);
  uint64_t offset = kHeaderBytes;
  for (uint32_t i = 0; i < count; ++i) {
    const size_t at = kSectionsOffset + i * kSectionBytes;
    const Section section{static_cast<SectionId>(Get<uint32_t>(bytes, at)), Get<uint32_t>(bytes, at + 4),
                          Get<uint64_t>(bytes, at + 8), Get<uint64_t>(bytes, at + 16)};
    if (section.offset != offset || section.length > file_size - offset) {
      return Damaged(absl::StrCat("section ", i, ": ", section.length, " bytes at ", section.offset,
                                  " do not fit a file of ", file_size));
    }
    offset += section.length;
    sections_.push_back(section);
  }
  if (offset == file_size) return absl::OkStatus();
  return Damaged(absl::StrCat("expected ", offset, " bytes, found ", file_size));
}

absl::StatusOr<SnapshotReader::Section> SnapshotReader::Find(SectionId id) const {
  for (const Section& section : sections_) {
    if (section.id == id) return section;
  }
  return Damaged(absl::StrCat("section ", static_cast<uint32_t>(id), " is missing"));
}

absl::StatusOr<uint64_t> SnapshotReader::SectionLength(SectionId id) const {
  ASSIGN_OR_RETURN(const Section section, Find(id));
  return section.length;
}

absl::Status SnapshotReader::BeginSection(SectionId id, uint64_t unit, uint64_t count) {
  ASSIGN_OR_RETURN(open_, Find(id));
  uint64_t expected = 0;
  if (__builtin_mul_overflow(unit, count, &expected) || expected != open_.length) {
    return Damaged(absl::StrCat("section ", static_cast<uint32_t>(id), ": expected ", count, " times ", unit,
                                " bytes, found ", open_.length));
  }
  offset_ = open_.offset;
  end_ = open_.offset + open_.length;
  crc32c_ = 0;
  return absl::OkStatus();
}

absl::Status SnapshotReader::Read(void* data, uint64_t size) {
  if (size > remaining()) return Damaged(absl::StrCat("at byte ", offset_, ": section ends early"));
  char* bytes = static_cast<char*>(data);
  while (size > 0) {
    const ssize_t got = pread(file_.get(), bytes, std::min(size, kPiece), static_cast<off_t>(offset_));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return IoError("read", path_);
    if (got == 0) return Damaged(absl::StrCat("at byte ", offset_, ": the file ends early"));
    crc32c_ = Crc32c(bytes, got, crc32c_);
    bytes += got;
    offset_ += got;
    size -= got;
  }
  return absl::OkStatus();
}

absl::Status SnapshotReader::EndSection() {
  if (remaining() != 0) return Damaged(absl::StrCat("at byte ", offset_, ": ", remaining(), " bytes unread"));
  if (crc32c_ == open_.crc32c) return absl::OkStatus();
  return Damaged(absl::StrCat("section ", static_cast<uint32_t>(open_.id), " at byte ", open_.offset,
                              ": expected crc32c ", open_.crc32c, ", found ", crc32c_));
}

absl::StatusOr<std::string> SnapshotReader::ReadTag() {
  ASSIGN_OR_RETURN(const uint64_t length, SectionLength(SectionId::kTag));
  RETURN_IF_ERROR(BeginSection(SectionId::kTag, 1, length));
  std::string tag(length, '\0');
  RETURN_IF_ERROR(Read(tag.data(), tag.size()));
  RETURN_IF_ERROR(EndSection());
  return tag;
}

absl::Status CheckSameOptions(const IndexOptions& expected, const IndexOptions& found) {
  const auto describe = [](const IndexOptions& options) {
    std::string text = absl::StrCat("kind ", static_cast<int>(options.kind), ", dimension ",
                                    options.dimension, ", metric ", static_cast<int>(options.metric),
                                    ", prefix ", options.prefix);
    if (options.kind == Kind::kHnsw) {
      absl::StrAppend(&text, ", m ", options.m, ", ef_construction ", options.ef_construction, ", seed ",
                      options.seed, ", code ", static_cast<int>(options.code));
    }
    return text;
  };
  const std::string want = describe(expected), have = describe(found);
  if (want == have) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("snapshot options: expected ", want, "; found ", have));
}

}  // namespace larder::index

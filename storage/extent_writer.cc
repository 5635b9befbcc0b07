#include "storage/extent_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/crc32c.h"
#include "storage/extent_format.h"
#include "storage/posix_file.h"
#include "storage/status_macros.h"

namespace larder::storage {
namespace {

constexpr char kZeros[kExtentBlockBytes] = {};

// Writes `payload` and then zeros, `bytes` in all.
absl::Status WritePadded(ExtentSystem& system, int fd, const std::string& path, absl::string_view payload,
                         uint64_t offset, uint64_t bytes) {
  uint64_t done = 0;
  while (done < bytes) {
    const absl::string_view rest = payload.substr(std::min<uint64_t>(done, payload.size()));
    const uint64_t zeros = bytes - done - rest.size();
    const iovec parts[2] = {{.iov_base = const_cast<char*>(rest.data()), .iov_len = rest.size()},
                            {.iov_base = const_cast<char*>(kZeros), .iov_len = zeros}};
    const ssize_t wrote = system.WriteVector(fd, parts, 2, offset + done);
    if (wrote < 0)
      return ExtentWriteError(errno, absl::StrCat("write at offset ", offset + done, " of"), path);
    if (wrote == 0)
      return ExtentWriteError(ENOSPC, absl::StrCat("write at offset ", offset + done, " of"), path);
    done += static_cast<uint64_t>(wrote);
  }
  return absl::OkStatus();
}

}  // namespace

ExtentWriter::ExtentWriter(ExtentSystem& system, std::string directory, uint64_t file_bytes,
                           ExtentLedger* ledger)
    : system_(system), directory_(std::move(directory)), file_bytes_(file_bytes), ledger_(ledger) {}

std::string ExtentWriter::Path(uint32_t file) const { return JoinPath(directory_, ExtentFileName(file)); }

absl::StatusOr<ExtentPointer> ExtentWriter::Append(absl::string_view payload) {
  ExtentPointer pointer;
  pointer.length = payload.size();
  pointer.crc32c = Crc32c(payload);
  ASSIGN_OR_RETURN(const Range range, Reserve(PaddedExtentBytes(payload.size())));
  pointer.file = range.file->number;
  pointer.offset = range.offset;
  const absl::Status written =
      WritePadded(system_, range.file->fd.get(), Path(pointer.file), payload, range.offset, range.bytes);
  RETURN_IF_ERROR(Finish(range, pointer, written));
  return pointer;
}

absl::StatusOr<ExtentWriter::Range> ExtentWriter::Reserve(uint64_t bytes) {
  absl::MutexLock lock(&mutex_);
  if (current_ != nullptr && current_->tail > kExtentBlockBytes && current_->tail + bytes > file_bytes_) {
    SealCurrent();
  }
  if (current_ == nullptr) RETURN_IF_ERROR(StartFile());
  Range range{.file = current_, .offset = current_->tail, .bytes = bytes};
  current_->tail += bytes;
  ++current_->writing;
  return range;
}

absl::Status ExtentWriter::StartFile() {
  const uint32_t number = ledger_->next_file();
  if (number == kMaxExtentFile) {
    return absl::ResourceExhaustedError(absl::StrCat(directory_, ": all extent file numbers are used up"));
  }
  auto file = std::make_shared<File>();
  file->number = number;
  ledger_->SetNextFile(number + 1);  // whatever comes of it
  const std::string path = Path(file->number);
  file->fd = Descriptor(system_.Open(path, O_WRONLY | O_CREAT | O_EXCL));
  if (file->fd.get() < 0) return ExtentWriteError(errno, "create", path);
  const std::string header = EncodeExtentFileHeader(file->number);
  absl::Status status = WritePadded(system_, file->fd.get(), path, header, 0, header.size());
  if (!status.ok()) {
    ::unlink(path.c_str());  // best effort: an empty file is reclaimed at the next open
    return status;
  }
  file->tail = header.size();
  new_names_ = true;
  files_.push_back(file);
  current_ = std::move(file);
  ledger_->Add(current_->number, {.end = current_->tail});
  return absl::OkStatus();
}

void ExtentWriter::SealCurrent() {
  current_->sealed = true;
  ledger_->Seal(current_->number);
  current_ = nullptr;
}

absl::Status ExtentWriter::Finish(const Range& range, const ExtentPointer& pointer,
                                  const absl::Status& written) {
  File& file = *range.file;
  absl::MutexLock lock(&mutex_);
  --file.writing;
  if (written.ok() && !file.failed) {
    file.written.insert(range.offset);
    ledger_->Appended(pointer);
    return absl::OkStatus();
  }
  GiveUp(range);
  if (!written.ok()) return written;
  return absl::UnavailableError(absl::StrCat(Path(file.number), ": given up, because syncing it failed"));
}

// Frees what was written of the range. All of it is best effort: what stays is garbage like any other.
void ExtentWriter::GiveUp(const Range& range) {
  File& file = *range.file;
  if (range.offset + range.bytes == file.tail && !file.sealed) {
    file.tail = range.offset;
    if (::ftruncate(file.fd.get(), static_cast<off_t>(range.offset)) == 0) return;
  }
  ::fallocate(file.fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(range.offset),
              static_cast<off_t>(range.bytes));
}

absl::Status ExtentWriter::Sync() {
  absl::MutexLock sync_lock(&sync_mutex_);
  std::vector<std::shared_ptr<File>> dirty;
  {
    absl::MutexLock lock(&mutex_);
    for (const std::shared_ptr<File>& file : files_) {
      if (file->written.empty() || file->failed) continue;
      file->syncing.swap(file->written);
      dirty.push_back(file);
    }
  }
  // Failures stay noted in the files, so every file gets its chance.
  absl::Status status = SyncNewNames();
  for (const std::shared_ptr<File>& file : dirty) status.Update(SyncFile(*file));
  if (status.ok()) status = CheckNothingLost();
  absl::MutexLock lock(&mutex_);
  std::erase_if(files_, [](const std::shared_ptr<File>& file) {
    return file->sealed && file->writing == 0 && file->written.empty() && file->lost.empty();
  });
  return status;
}

absl::Status ExtentWriter::SyncFile(File& file) {
  const bool ok = system_.SyncData(file.fd.get()) == 0;
  const int error = errno;
  if (ok && drop_pages_.load(std::memory_order_relaxed)) {
    ::posix_fadvise(file.fd.get(), 0, 0, POSIX_FADV_DONTNEED);
  }
  absl::MutexLock lock(&mutex_);
  if (!ok) {
    file.failed = true;
    file.lost.insert(file.syncing.begin(), file.syncing.end());
    file.lost.insert(file.written.begin(), file.written.end());
    file.written.clear();
    if (current_.get() == &file) SealCurrent();
  }
  file.syncing.clear();
  return ok ? absl::OkStatus() : ExtentWriteError(error, "fdatasync", Path(file.number));
}

absl::Status ExtentWriter::SyncNewNames() {
  {
    absl::MutexLock lock(&mutex_);
    if (names_failed_)
      return absl::UnavailableError(absl::StrCat(directory_, ": an earlier fsync failed; reopen"));
    if (!std::exchange(new_names_, false)) return absl::OkStatus();
  }
  if (system_.SyncDirectory(directory_) == 0) return absl::OkStatus();
  const int error = errno;
  absl::MutexLock lock(&mutex_);
  names_failed_ = true;
  return ExtentWriteError(error, "fsync directory", directory_);
}

absl::Status ExtentWriter::CheckNothingLost() {
  absl::MutexLock lock(&mutex_);
  for (const std::shared_ptr<File>& file : files_) {
    if (file->lost.empty()) continue;
    return absl::UnavailableError(absl::StrCat(Path(file->number), ": an earlier fdatasync failed, and ",
                                               file->lost.size(),
                                               " extents that it may have lost are in use"));
  }
  return absl::OkStatus();
}

void ExtentWriter::Forget(const ExtentPointer& pointer) {
  absl::MutexLock lock(&mutex_);
  for (const std::shared_ptr<File>& file : files_) {
    if (file->number != pointer.file) continue;
    for (auto* offsets : {&file->written, &file->syncing, &file->lost}) offsets->erase(pointer.offset);
  }
}

void ExtentWriter::Seal() {
  absl::MutexLock lock(&mutex_);
  if (current_ != nullptr) SealCurrent();
  const std::vector<std::shared_ptr<File>> sealed = files_;
  const auto idle = +[](const std::vector<std::shared_ptr<File>>* files) {
    return std::all_of(files->begin(), files->end(), [](const auto& file) { return file->writing == 0; });
  };
  mutex_.Await(absl::Condition(idle, &sealed));
}

bool ExtentWriter::IsIdle(uint32_t file) const {
  absl::MutexLock lock(&mutex_);
  return std::none_of(files_.begin(), files_.end(), [&](const std::shared_ptr<File>& open) {
    return open->number == file && open->writing > 0;
  });
}

}  // namespace larder::storage

#include "storage/extent_verify.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/extent_system.h"
#include "storage/posix_file.h"
#include "storage/status_macros.h"

namespace larder::storage {
namespace {

constexpr uint64_t kBatchBytes = 16 << 20;
constexpr size_t kBatchExtents = 256;

absl::Status CheckHeaderOnDisk(const std::string& path, uint32_t file) {
  const Descriptor fd(ExtentSystem::Posix().Open(path, O_RDONLY));
  if (fd.get() < 0) return ErrnoToStatus(errno, "open", path);
  std::string header(kExtentBlockBytes, '\0');
  const ssize_t got = ::pread(fd.get(), header.data(), header.size(), 0);
  if (got < 0) return ErrnoToStatus(errno, "read", path);
  header.resize(static_cast<size_t>(got));
  return CheckExtentFileHeader(header, file);
}

}  // namespace

absl::StatusOr<uint64_t> ExtentVerifier::Run() {
  CheckHeaders();
  const std::unique_ptr<Snapshot> snapshot = store_.GetSnapshot();
  const absl::Status status =
      VisitExtentRows(store_, "", snapshot.get(),
                      [this](absl::string_view, const absl::StatusOr<ExtentRow>& row) { CheckRow(row); });
  if (!status.ok()) problems_->push_back(absl::StrCat("extent rows: ", status.ToString()));
  ReadBatch();
  return checked_;
}

void ExtentVerifier::CheckHeaders() {
  for (const ExtentLedger::FileAccount& file : ledger_.All()) {
    const std::string name = ExtentFileName(file.file);
    if (file.account.missing) {
      problems_->push_back(absl::StrCat(name, ": missing, but rows refer to it"));
      continue;
    }
    const absl::Status status = CheckHeaderOnDisk(JoinPath(directory_, name), file.file);
    const bool collected = absl::IsNotFound(status) && !ledger_.Find(file.file).has_value();
    if (!status.ok() && !collected) problems_->push_back(std::string(status.message()));
  }
}

void ExtentVerifier::CheckRow(const absl::StatusOr<ExtentRow>& row) {
  ++checked_;
  if (!row.ok()) {
    problems_->push_back(std::string(row.status().message()));
    return;
  }
  const ExtentPointer& pointer = row->pointer;
  if (previous_.file == pointer.file && ExtentEnd(previous_) > pointer.offset) {
    problems_->push_back(absl::StrCat(DescribeExtent(pointer), ": overlaps the extent at offset ",
                                      previous_.offset, ", which ends at ", ExtentEnd(previous_)));
  }
  previous_ = pointer;
  batch_.push_back(*row);
  batch_bytes_ += pointer.length;
  if (batch_bytes_ >= kBatchBytes || batch_.size() >= kBatchExtents) ReadBatch();
}

void ExtentVerifier::ReadBatch() {
  std::vector<ExtentPointer> pointers;
  for (const ExtentRow& row : batch_) pointers.push_back(row.pointer);
  const std::vector<absl::StatusOr<std::string>> payloads =
      reader_->Read(pointers, ExtentReader::Padding::kMustBeZero);
  for (size_t i = 0; i < payloads.size(); ++i) {
    if (payloads[i].ok()) continue;
    if (absl::IsNotFound(payloads[i].status())) {
      // Collected since the snapshot: then the row has moved as well.
      const absl::StatusOr<bool> still_there = HasExtentRow(store_, batch_[i]);
      if (still_there.ok() && !*still_there) continue;
    }
    problems_->push_back(std::string(payloads[i].status().message()));
  }
  batch_.clear();
  batch_bytes_ = 0;
}

}  // namespace larder::storage

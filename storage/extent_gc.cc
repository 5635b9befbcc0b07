#include "storage/extent_gc.h"

#include <errno.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/posix_file.h"
#include "storage/status_macros.h"

namespace larder::storage {
namespace {

constexpr uint64_t kCopyBytes = 16 << 20;  // payload held in memory at a time, give or take an extent

bool WorthCollecting(const ExtentAccount& account) {
  if (!account.sealed || account.missing || account.pinned) return false;
  if (account.live_extents == 0) return true;
  return account.live_bytes * 2 < account.end - std::min(account.end, kExtentBlockBytes);
}

}  // namespace

absl::StatusOr<uint64_t> ExtentCollector::Run() {
  RETURN_IF_ERROR(Recount());
  for (const uint32_t file : Candidates()) RETURN_IF_ERROR(Collect(file));
  RETURN_IF_ERROR(damage_);
  return deleted_bytes_ - std::min(deleted_bytes_, copied_bytes_);
}

absl::Status ExtentCollector::Recount() {
  for (const uint32_t file : parts_.ledger->FilesToRecount()) {
    const absl::StatusOr<std::vector<ExtentRow>> rows = ReadExtentRows(*parts_.store, file);
    if (!rows.ok()) {
      RETURN_IF_ERROR(NoteDamage(file, rows.status()));
      continue;
    }
    std::vector<ExtentPointer> pointers;
    pointers.reserve(rows->size());
    for (const ExtentRow& row : *rows) pointers.push_back(row.pointer);
    parts_.ledger->Recount(file, pointers);
  }
  return absl::OkStatus();
}

// Those with the least to copy first: on a full disk they make room for the rest.
std::vector<uint32_t> ExtentCollector::Candidates() const {
  std::vector<ExtentLedger::FileAccount> found;
  for (const ExtentLedger::FileAccount& file : parts_.ledger->All()) {
    if (WorthCollecting(file.account)) found.push_back(file);
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.account.live_bytes < b.account.live_bytes; });
  std::vector<uint32_t> files;
  for (const ExtentLedger::FileAccount& file : found) files.push_back(file.file);
  return files;
}

absl::Status ExtentCollector::Collect(uint32_t file) {
  // In this order: an append under way becomes pending, and what is pending gets a row.
  if (!parts_.writer->IsIdle(file) || parts_.ledger->HasPending(file)) return absl::OkStatus();
  absl::StatusOr<std::vector<ExtentRow>> rows = ReadExtentRows(*parts_.store, file);
  if (rows.ok() && !rows->empty()) {
    RETURN_IF_ERROR(MoveRows(*rows));
    rows = ReadExtentRows(*parts_.store, file);
  }
  if (!rows.ok()) return NoteDamage(file, rows.status());
  // What was left has its reason: damage, or a release that is not committed yet.
  return rows->empty() ? DeleteFile(file) : absl::OkStatus();
}

absl::Status ExtentCollector::MoveRows(const std::vector<ExtentRow>& rows) {
  for (size_t begin = 0, end = 0; begin < rows.size(); begin = end) {
    uint64_t bytes = 0;
    while (end < rows.size() && (end == begin || bytes < kCopyBytes)) bytes += rows[end++].pointer.length;
    ASSIGN_OR_RETURN(const std::vector<Move> moves, Copy(&rows[begin], rows.data() + end));
    RETURN_IF_ERROR(Step(ExtentGcStep::kCopied));
    const absl::Status synced = parts_.writer->Sync();
    if (!synced.ok()) {
      for (const Move& move : moves) ForgetCopy(move.to);
      return synced;
    }
    RETURN_IF_ERROR(Step(ExtentGcStep::kSynced));
    for (size_t i = 0; i < moves.size(); ++i) {
      const absl::Status relocated = Relocate(moves[i]);
      if (!relocated.ok()) {
        for (size_t rest = i + 1; rest < moves.size(); ++rest) ForgetCopy(moves[rest].to);
        return relocated;
      }
      RETURN_IF_ERROR(Step(ExtentGcStep::kRelocated));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<ExtentCollector::Move>> ExtentCollector::Copy(const ExtentRow* begin,
                                                                         const ExtentRow* end) {
  std::vector<const ExtentRow*> wanted;
  std::vector<ExtentPointer> pointers;
  for (const ExtentRow* row = begin; row != end; ++row) {
    if (parts_.ledger->IsReleasing(row->pointer)) continue;
    wanted.push_back(row);
    pointers.push_back(row->pointer);
  }
  std::vector<absl::StatusOr<std::string>> payloads = parts_.reader->Read(pointers);
  std::vector<Move> moves;
  for (size_t i = 0; i < payloads.size(); ++i) {
    if (absl::IsDataLoss(payloads[i].status())) {
      RETURN_IF_ERROR(NoteDamage(pointers[i].file, payloads[i].status()));
      continue;
    }
    absl::StatusOr<ExtentPointer> copy =
        payloads[i].ok() ? parts_.writer->Append(*payloads[i]) : payloads[i].status();
    if (copy.ok()) std::string().swap(*payloads[i]);
    if (!copy.ok()) {
      for (const Move& move : moves) ForgetCopy(move.to);
      return copy.status();
    }
    copied_bytes_ += PaddedExtentBytes(copy->length);
    moves.push_back({.row = *wanted[i], .to = *copy});
  }
  return moves;
}

absl::Status ExtentCollector::Relocate(const Move& move) {
  const ExtentPointer& from = move.row.pointer;
  WriteBatch batch;
  DeleteExtentRow(from, &batch);
  PutExtentRow(move.to, move.row.owner, &batch);
  const absl::StatusOr<bool> holds = relocate_(move.row.owner, from, move.to, &batch);
  if (!holds.ok()) {
    // A batch that the owner took may be in the log, whatever the error.
    if (!batch.empty()) ForgetCopy(move.to);
    return holds.status();
  }
  if (!*holds) {
    ForgetCopy(move.to);
    return DropOrphan(move.row);
  }
  if (!batch.empty()) {  // else the owner has committed it
    if (parts_.ledger->IsReleasing(from)) {
      ForgetCopy(move.to);
      return absl::OkStatus();
    }
    // Not synced: DeleteFile makes it durable before it matters. If it fails it may still have
    // reached the log, so the copy stays pending.
    RETURN_IF_ERROR(parts_.store->Write(std::move(batch), /*sync=*/false).status());
  }
  parts_.ledger->Referenced(move.to);
  parts_.ledger->Dropped(from);
  return absl::OkStatus();
}

// The owner does not hold the extent: usually its release has been committed in the meantime.
absl::Status ExtentCollector::DropOrphan(const ExtentRow& row) {
  ASSIGN_OR_RETURN(const bool still_there, HasExtentRow(*parts_.store, row));
  if (!still_there) return absl::OkStatus();
  WriteBatch batch;
  DeleteExtentRow(row.pointer, &batch);
  batch.Count(Counter::kExtents, -1);
  RETURN_IF_ERROR(parts_.store->Write(std::move(batch), /*sync=*/false).status());
  parts_.ledger->Dropped(row.pointer);
  return absl::OkStatus();
}

absl::Status ExtentCollector::DeleteFile(uint32_t file) {
  const std::optional<ExtentAccount> account = parts_.ledger->Find(file);
  RETURN_IF_ERROR(WriteNextFileMark(parts_.ledger->next_file(), parts_.store));
  RETURN_IF_ERROR(Step(ExtentGcStep::kDurable));
  // Readers that have it open read on; from here on others find that it was collected.
  parts_.ledger->Remove(file);
  parts_.fds->Retire(file);
  RETURN_IF_ERROR(RemoveFileIfPresent(JoinPath(parts_.directory, ExtentFileName(file))));
  if (account.has_value()) deleted_bytes_ += account->end;
  return Step(ExtentGcStep::kDeleted);
}

void ExtentCollector::ForgetCopy(const ExtentPointer& copy) {
  parts_.writer->Forget(copy);
  parts_.ledger->Forgotten(copy);
}

absl::Status ExtentCollector::NoteDamage(uint32_t file, const absl::Status& status) {
  if (!absl::IsDataLoss(status)) return status;
  parts_.ledger->Pin(file);
  if (damage_.ok()) {
    damage_ = absl::DataLossError(
        absl::StrCat("garbage collection leaves a damaged file as it is: ", status.message()));
  }
  return absl::OkStatus();
}

}  // namespace larder::storage

#include "storage/extent_ledger.h"

#include <algorithm>

#include "absl/container/flat_hash_set.h"

namespace larder::storage {
namespace {

void Credit(uint64_t bytes, ExtentAccount* account) {
  account->live_bytes += bytes;
  ++account->live_extents;
}

void Debit(uint64_t bytes, ExtentAccount* account) {
  account->live_bytes -= std::min(account->live_bytes, bytes);
  if (account->live_extents > 0) --account->live_extents;
}

}  // namespace

ExtentLedger::State* ExtentLedger::FindState(uint32_t file) {
  const auto found = files_.find(file);
  return found == files_.end() ? nullptr : &found->second;
}

const ExtentLedger::State* ExtentLedger::FindState(uint32_t file) const {
  const auto found = files_.find(file);
  return found == files_.end() ? nullptr : &found->second;
}

void ExtentLedger::SetNextFile(uint32_t next_file) {
  absl::MutexLock lock(&mutex_);
  next_file_ = next_file;
}

uint32_t ExtentLedger::next_file() const {
  absl::ReaderMutexLock lock(&mutex_);
  return next_file_;
}

void ExtentLedger::Add(uint32_t file, const ExtentAccount& account) {
  absl::MutexLock lock(&mutex_);
  next_file_ = std::max(next_file_, NextFileAfter(file));
  files_[file].account = account;
}

void ExtentLedger::Remove(uint32_t file) {
  absl::MutexLock lock(&mutex_);
  files_.erase(file);
}

void ExtentLedger::Seal(uint32_t file) {
  absl::MutexLock lock(&mutex_);
  if (State* state = FindState(file)) state->account.sealed = true;
}

void ExtentLedger::Pin(uint32_t file) {
  absl::MutexLock lock(&mutex_);
  if (State* state = FindState(file)) state->account.pinned = true;
}

void ExtentLedger::Appended(const ExtentPointer& pointer) {
  const uint64_t bytes = PaddedExtentBytes(pointer.length);
  absl::MutexLock lock(&mutex_);
  State* state = FindState(pointer.file);
  if (state == nullptr) return;
  state->account.end = std::max(state->account.end, pointer.offset + bytes);
  state->pending[pointer.offset] = bytes;
  Credit(bytes, &state->account);
}

void ExtentLedger::Forgotten(const ExtentPointer& pointer) {
  absl::MutexLock lock(&mutex_);
  State* state = FindState(pointer.file);
  if (state == nullptr || state->pending.erase(pointer.offset) == 0) return;
  Debit(PaddedExtentBytes(pointer.length), &state->account);
}

void ExtentLedger::Released(const ExtentPointer& pointer) {
  const uint64_t bytes = PaddedExtentBytes(pointer.length);
  absl::MutexLock lock(&mutex_);
  State* state = FindState(pointer.file);
  if (state == nullptr) return;
  // Only what was committed is released, so it is not pending even if we never saw its row.
  state->pending.erase(pointer.offset);
  if (state->releasing.emplace(pointer.offset, bytes).second) Debit(bytes, &state->account);
}

void ExtentLedger::Referenced(const ExtentPointer& pointer) {
  absl::MutexLock lock(&mutex_);
  if (State* state = FindState(pointer.file)) state->pending.erase(pointer.offset);
}

void ExtentLedger::Dropped(const ExtentPointer& pointer) {
  absl::MutexLock lock(&mutex_);
  State* state = FindState(pointer.file);
  if (state == nullptr) return;
  if (state->releasing.erase(pointer.offset) == 0) Debit(PaddedExtentBytes(pointer.length), &state->account);
}

bool ExtentLedger::IsReleasing(const ExtentPointer& pointer) const {
  absl::ReaderMutexLock lock(&mutex_);
  const State* state = FindState(pointer.file);
  return state != nullptr && state->releasing.contains(pointer.offset);
}

void ExtentLedger::Recount(uint32_t file, const std::vector<ExtentPointer>& rows) {
  absl::flat_hash_set<uint64_t> offsets;
  uint64_t row_bytes = 0;
  for (const ExtentPointer& row : rows) {
    offsets.insert(row.offset);
    row_bytes += PaddedExtentBytes(row.length);
  }
  absl::MutexLock lock(&mutex_);
  State* state = FindState(file);
  if (state == nullptr) return;
  absl::erase_if(state->pending, [&](const auto& note) { return offsets.contains(note.first); });
  absl::erase_if(state->releasing, [&](const auto& note) { return !offsets.contains(note.first); });
  state->account.live_bytes = row_bytes;
  state->account.live_extents = rows.size();
  for (const auto& [offset, bytes] : state->pending) Credit(bytes, &state->account);
  for (const auto& [offset, bytes] : state->releasing) Debit(bytes, &state->account);
}

std::vector<uint32_t> ExtentLedger::FilesToRecount() const {
  absl::ReaderMutexLock lock(&mutex_);
  std::vector<uint32_t> files;
  for (const auto& [file, state] : files_) {
    if (!state.pending.empty() || !state.releasing.empty()) files.push_back(file);
  }
  return files;
}

std::optional<ExtentAccount> ExtentLedger::Find(uint32_t file) const {
  absl::ReaderMutexLock lock(&mutex_);
  const State* state = FindState(file);
  if (state == nullptr) return std::nullopt;
  return state->account;
}

bool ExtentLedger::HasPending(uint32_t file) const {
  absl::ReaderMutexLock lock(&mutex_);
  const State* state = FindState(file);
  return state != nullptr && !state->pending.empty();
}

std::vector<ExtentLedger::FileAccount> ExtentLedger::All() const {
  absl::ReaderMutexLock lock(&mutex_);
  std::vector<FileAccount> all;
  all.reserve(files_.size());
  for (const auto& [file, state] : files_) all.push_back({file, state.account});
  return all;
}

}  // namespace larder::storage

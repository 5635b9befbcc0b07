#include "engine/kv/kv_session.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/status_macros.h"

namespace larder::kv {

PutSession::PutSession(SessionSubject subject, storage::ExtentStore* extents, absl::Time now)
    : subject_(std::move(subject)),
      extents_(extents),
      last_used_(now),
      slots_(subject_.profile->layers, Slot::kEmpty),
      layers_(subject_.profile->layers) {}

absl::Status PutSession::PutLayer(uint32_t layer, absl::string_view k, absl::string_view v, absl::Time now) {
  const std::string name = EntryName(subject_.entry_key);
  if (layer >= subject_.profile->layers) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": layer ", layer, ", expected 0 to ", subject_.profile->layers - 1));
  }
  const uint64_t expected = subject_.profile->LayerBytes(subject_.header.token_count);
  for (const auto& [part, bytes] : {std::pair("K", k), std::pair("V", v)}) {
    if (bytes.size() != expected) {
      return absl::InvalidArgumentError(absl::StrCat(name, ": layer ", layer, " ", part, " has ",
                                                     bytes.size(), " bytes, expected ", expected, " (",
                                                     subject_.header.token_count, " tokens)"));
    }
  }
  RETURN_IF_ERROR(Claim(layer, now));
  return Fill(layer, AppendBoth(k, v), now);
}

absl::Status PutSession::NotOpen() const {
  if (state_ == State::kCommitting) {
    return absl::FailedPreconditionError(
        absl::StrCat(EntryName(subject_.entry_key), ": its commit is under way"));
  }
  return absl::NotFoundError(absl::StrCat(EntryName(subject_.entry_key), ": the put has ended"));
}

absl::Status PutSession::Claim(uint32_t layer, absl::Time now) {
  absl::MutexLock lock(&mu_);
  if (state_ != State::kOpen) return NotOpen();
  last_used_ = now;
  if (slots_[layer] != Slot::kEmpty) {
    return absl::AlreadyExistsError(
        absl::StrCat(EntryName(subject_.entry_key), ": layer ", layer, " has already been put"));
  }
  slots_[layer] = Slot::kAppending;
  return absl::OkStatus();
}

absl::Status PutSession::Fill(uint32_t layer, const absl::StatusOr<EntryLayer>& appended, absl::Time now) {
  absl::MutexLock lock(&mu_);
  last_used_ = std::max(last_used_, now);
  slots_[layer] = Slot::kEmpty;
  RETURN_IF_ERROR(appended.status());
  if (state_ != State::kOpen) {  // aborted meanwhile
    Forget(*appended);
    return NotOpen();
  }
  slots_[layer] = Slot::kFilled;
  layers_[layer] = *appended;
  return absl::OkStatus();
}

absl::StatusOr<EntryLayer> PutSession::AppendBoth(absl::string_view k, absl::string_view v) {
  EntryLayer layer;
  ASSIGN_OR_RETURN(layer.k, extents_->Append(k));
  auto appended = extents_->Append(v);
  if (!appended.ok()) {
    extents_->Forget(layer.k);
    return appended.status();
  }
  layer.v = *appended;
  return layer;
}

void PutSession::Forget(const EntryLayer& layer) {
  extents_->Forget(layer.k);
  extents_->Forget(layer.v);
}

absl::StatusOr<std::vector<EntryLayer>> PutSession::BeginCommit() {
  absl::MutexLock lock(&mu_);
  if (state_ != State::kOpen) return NotOpen();
  const auto missing = std::find_if(slots_.begin(), slots_.end(), [](Slot s) { return s != Slot::kFilled; });
  if (missing != slots_.end()) {
    const auto filled = std::count(slots_.begin(), slots_.end(), Slot::kFilled);
    return absl::FailedPreconditionError(absl::StrCat(EntryName(subject_.entry_key), ": found ", filled,
                                                      " layers, expected ", slots_.size(), "; layer ",
                                                      missing - slots_.begin(), " is missing"));
  }
  state_ = State::kCommitting;
  return layers_;
}

void PutSession::EndCommit(bool committed) {
  absl::MutexLock lock(&mu_);
  state_ = State::kClosed;
  if (!committed) ForgetAll();
}

void PutSession::ForgetAll() {
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i] == Slot::kFilled) Forget(layers_[i]);
  }
}

bool PutSession::CloseIfIdle(absl::Time deadline) {
  absl::MutexLock lock(&mu_);
  const bool appending = std::find(slots_.begin(), slots_.end(), Slot::kAppending) != slots_.end();
  return last_used_ <= deadline && !appending && CloseLocked();
}

bool PutSession::Close() {
  absl::MutexLock lock(&mu_);
  return CloseLocked();
}

bool PutSession::CloseLocked() {
  if (state_ == State::kCommitting) return false;
  if (state_ == State::kClosed) return true;
  state_ = State::kClosed;
  ForgetAll();
  return true;
}

}  // namespace larder::kv

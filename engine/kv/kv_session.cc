#include "engine/kv/kv_session.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/status_macros.h"

namespace larder::kv {
namespace {

constexpr const char* kDtypes[] = {"f32", "f16", "bf16"};

}  // namespace

PutSession::PutSession(SessionSubject subject, storage::ExtentStore* extents, absl::Time now, PutCopyBudget* budget)
    : subject_(std::move(subject)),
      extents_(extents),
      copy_(budget, 2 * subject_.profile->layers),
      last_used_(now),
      slots_(subject_.profile->layers, Slot::kEmpty),
      extents_put_{.layers = std::vector<EntryLayer>(subject_.profile->layers), .sidecars = {}} {}

absl::Status PutSession::PutLayer(uint32_t layer, absl::string_view k, absl::string_view v, absl::Time now) {
  const std::string name = EntryName(subject_.entry_key);
  if (layer >= subject_.profile->layers) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": layer ", layer, ", expected 0 to ", subject_.profile->layers - 1));
  }
  const uint64_t expected = subject_.profile->LayerBytes(subject_.header.token_count);
  for (const auto& [part, bytes] : {std::pair("K", k), std::pair("V", v)}) {
    if (bytes.size() != expected) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": layer ", layer, " ", part, " has ", bytes.size(), " bytes, expected ",
                       expected, " (", subject_.header.token_count, " tokens) in dtype ",
                       absl::string_view(kDtypes[static_cast<int>(subject_.profile->dtype)])));
    }
  }
  RETURN_IF_ERROR(Claim(layer, now));
  return Fill(layer, AppendBoth(layer, k, v), now);
}

absl::Status PutSession::CheckSidecar(KvSidecarKind kind, absl::string_view bytes) const {
  const std::string name = absl::StrCat(EntryName(subject_.entry_key), ": sidecar ", static_cast<int>(kind));
  if (kind > KvSidecarKind::kCentroids) {
    return absl::InvalidArgumentError(absl::StrCat(name, ", expected 0 to 2"));
  }
  if (bytes.size() > kMaxSidecarBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " has ", bytes.size(), " bytes, expected at most ", kMaxSidecarBytes));
  }
  const uint64_t expected = subject_.header.token_count * sizeof(float);
  if (kind == KvSidecarKind::kSaliency && bytes.size() != expected) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " has ", bytes.size(), " bytes, expected ", expected, ", a float a token"));
  }
  return absl::OkStatus();
}

absl::Status PutSession::PutSidecar(KvSidecarKind kind, absl::string_view bytes, absl::Time now) {
  RETURN_IF_ERROR(CheckSidecar(kind, bytes));
  auto saliency = std::make_shared<std::vector<float>>();
  if (kind == KvSidecarKind::kSaliency) {
    saliency->resize(subject_.header.token_count);
    std::memcpy(saliency->data(), bytes.data(), bytes.size());
    const auto bad =
        std::find_if(saliency->begin(), saliency->end(), [](float s) { return !std::isfinite(s); });
    if (bad != saliency->end()) {
      return absl::InvalidArgumentError(absl::StrCat(EntryName(subject_.entry_key), ": saliency of token ",
                                                     bad - saliency->begin(), " is not finite"));
    }
  }
  ASSIGN_OR_RETURN(const storage::ExtentPointer appended, extents_->Append(bytes));
  absl::MutexLock lock(&mu_);
  last_used_ = std::max(last_used_, now);
  std::vector<EntrySidecar>& sidecars = extents_put_.sidecars;
  const auto place = std::find_if(sidecars.begin(), sidecars.end(),
                                  [&](const EntrySidecar& sidecar) { return sidecar.kind >= kind; });
  const bool twice = place != sidecars.end() && place->kind == kind;
  if (state_ != State::kOpen || twice) {
    extents_->Forget(appended);
    if (state_ != State::kOpen) return NotOpen();
    return absl::AlreadyExistsError(absl::StrCat(EntryName(subject_.entry_key), ": sidecar ",
                                                 static_cast<int>(kind), " has already been put"));
  }
  sidecars.insert(place, {kind, appended});
  if (kind == KvSidecarKind::kSaliency) saliency_ = std::move(saliency);
  return absl::OkStatus();
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
  extents_put_.layers[layer] = *appended;
  return absl::OkStatus();
}

absl::StatusOr<absl::string_view> PutSession::Encode(KvSide side, absl::string_view tensor, std::string* buffer) {
  std::shared_ptr<const std::vector<float>> saliency;
  {
    absl::MutexLock lock(&mu_);
    saliency = saliency_;
  }
  return subject_.encoder.Encode(side, tensor, saliency ? *saliency : absl::Span<const float>(), buffer);
}

absl::StatusOr<EntryLayer> PutSession::AppendBoth(uint32_t layer, absl::string_view k, absl::string_view v) {
  storage::ExtentPointer appended[2];
  absl::string_view payloads[2];
  std::string buffers[2];
  for (const int side : {0, 1}) {
    const auto append = [&]() -> absl::Status {
      ASSIGN_OR_RETURN(payloads[side], Encode(static_cast<KvSide>(side), side == 0 ? k : v, &buffers[side]));
      ASSIGN_OR_RETURN(appended[side], extents_->Append(payloads[side]));
      return absl::OkStatus();
    };
    const absl::Status status = append();
    if (status.ok()) continue;
    if (side == 1) extents_->Forget(appended[0]);
    return absl::Status(status.code(), absl::StrCat(EntryName(subject_.entry_key), ": layer ", layer,
                                                    side == 0 ? " K: " : " V: ", status.message()));
  }
  for (const int side : {0, 1}) copy_.Keep(2 * layer + static_cast<size_t>(side), payloads[side]);
  return EntryLayer{appended[0], appended[1]};
}

void PutSession::Forget(const EntryLayer& layer) {
  extents_->Forget(layer.k);
  extents_->Forget(layer.v);
}

absl::StatusOr<PutExtents> PutSession::BeginCommit() {
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
  return extents_put_;
}

void PutSession::EndCommit(bool committed) {
  absl::MutexLock lock(&mu_);
  state_ = State::kClosed;
  copy_.Drop();
  if (!committed) ForgetAll();
}

void PutSession::ForgetAll() {
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i] == Slot::kFilled) Forget(extents_put_.layers[i]);
  }
  for (const EntrySidecar& sidecar : extents_put_.sidecars) extents_->Forget(sidecar.bytes);
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
  copy_.Drop();
  ForgetAll();
  return true;
}

}  // namespace larder::kv

#include "engine/kv/kv_put_copy.h"

#include <utility>

namespace larder::kv {

bool PutCopyBudget::Take(size_t bytes) {
  const auto wanted = static_cast<int64_t>(bytes);
  if (left_.fetch_sub(wanted) >= wanted) return true;
  left_ += wanted;
  return false;
}

PutCopy::PutCopy(PutCopyBudget* budget, size_t payloads)
    : budget_(budget), payloads_(budget == nullptr ? 0 : payloads) {}

void PutCopy::Keep(size_t index, absl::string_view payload) {
  if (budget_ == nullptr) return;
  std::string copy;
  const bool room = budget_->Take(payload.size());
  if (room) copy = std::string(payload);
  absl::MutexLock lock(&mu_);
  if (room) bytes_ += payload.size();
  if (!room || payloads_.empty()) return DropLocked();
  payloads_[index] = std::move(copy);
  ++kept_;
}

std::vector<std::string> PutCopy::Take() {
  absl::MutexLock lock(&mu_);
  if (kept_ != payloads_.size()) return {};
  kept_ = 0;
  return std::exchange(payloads_, {});
}

void PutCopy::Drop() {
  absl::MutexLock lock(&mu_);
  DropLocked();
}

void PutCopy::DropLocked() {
  payloads_ = {};
  kept_ = 0;
  if (budget_ != nullptr) budget_->Return(std::exchange(bytes_, 0));
}

}  // namespace larder::kv

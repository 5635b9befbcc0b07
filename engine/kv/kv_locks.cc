#include "engine/kv/kv_locks.h"

#include <algorithm>

namespace larder::kv {

KeyLocks::Held& KeyLocks::Held::operator=(Held&& other) noexcept {
  if (this == &other) return *this;
  Release();
  locks_ = std::exchange(other.locks_, nullptr);
  keys_ = std::move(other.keys_);
  all_ = other.all_;
  return *this;
}

void KeyLocks::Held::Release() {
  if (locks_ == nullptr) return;
  absl::MutexLock lock(&locks_->mu_);
  for (const std::string& key : keys_) locks_->held_.erase(key);
  if (all_) locks_->all_ = false;
  keys_.clear();
  locks_ = nullptr;
}

KeyLocks::Held KeyLocks::Acquire(std::vector<std::string> keys) {
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  const auto free = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return !all_ && std::none_of(keys.begin(), keys.end(),
                                 [&](const std::string& key)
                                     ABSL_NO_THREAD_SAFETY_ANALYSIS { return held_.contains(key); });
  };
  absl::MutexLock lock(&mu_);
  mu_.Await(absl::Condition(&free));
  held_.insert(keys.begin(), keys.end());
  Held held;
  held.locks_ = this;
  held.keys_ = std::move(keys);
  return held;
}

KeyLocks::Held KeyLocks::AcquireAll() {
  const auto alone = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return !all_; };
  const auto empty = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return held_.empty(); };
  absl::MutexLock lock(&mu_);
  mu_.Await(absl::Condition(&alone));
  all_ = true;
  mu_.Await(absl::Condition(&empty));
  Held held;
  held.locks_ = this;
  held.all_ = true;
  return held;
}

}  // namespace larder::kv

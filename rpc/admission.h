// How much may be under way at once. What does not fit is refused at once: a caller that is told
// "no" can go elsewhere, one that waits in a queue only makes the queue longer.
#ifndef LARDER_RPC_ADMISSION_H_
#define LARDER_RPC_ADMISSION_H_

#include <atomic>
#include <cstdint>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace larder {

// A share of a bounded number of things. Thread-safe.
class Quota {
 public:
  // Gives its share back when it goes. Must not outlive its Quota. Thread-compatible.
  class Share {
   public:
    Share() = default;
    Share(Quota* quota, uint64_t amount) : quota_(quota), amount_(amount) {}
    Share(Share&& other) noexcept : quota_(std::exchange(other.quota_, nullptr)), amount_(other.amount_) {}
    Share& operator=(Share&& other) noexcept {
      std::swap(quota_, other.quota_);
      std::swap(amount_, other.amount_);
      return *this;
    }
    ~Share() {
      if (quota_ != nullptr) quota_->used_.fetch_sub(amount_, std::memory_order_acq_rel);
    }

   private:
    Quota* quota_ = nullptr;
    uint64_t amount_ = 0;
  };

  // `what` names the things in error messages and must outlive the quota.
  Quota(absl::string_view what, uint64_t limit) : what_(what), limit_(limit) {}

  // ResourceExhausted if fewer than `amount` are left.
  absl::StatusOr<Share> Take(uint64_t amount);
  uint64_t used() const { return used_.load(std::memory_order_acquire); }

 private:
  const absl::string_view what_;
  const uint64_t limit_;
  std::atomic<uint64_t> used_{0};
};

struct Admission {
  Admission(uint64_t max_calls, uint64_t max_bytes)
      : calls("concurrent calls", max_calls), bytes("bytes of KV layers in flight", max_bytes) {}
  Quota calls;
  Quota bytes;
};

}  // namespace larder

#endif  // LARDER_RPC_ADMISSION_H_

#include "rpc/admission.h"

#include "absl/strings/str_cat.h"

namespace larder {

absl::StatusOr<Quota::Share> Quota::Take(uint64_t amount) {
  uint64_t used = used_.load(std::memory_order_relaxed);
  do {
    if (amount > limit_ || used > limit_ - amount) {
      return absl::ResourceExhaustedError(absl::StrCat("the server is full: ", used, " of ", limit_, " ",
                                                       what_, ", no room for ", amount, " more; try again"));
    }
  } while (!used_.compare_exchange_weak(used, used + amount, std::memory_order_acq_rel));
  return Share(this, amount);
}

}  // namespace larder

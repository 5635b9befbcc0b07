#include "storage/uring_io.h"

#include <errno.h>
#include <liburing.h>
#include <string.h>
#include <sys/uio.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "storage/status_macros.h"

namespace larder::storage {
namespace {

absl::Status UringError(absl::string_view operation, int error) {
  return absl::UnavailableError(absl::StrCat("io_uring: ", operation, ": ", strerror(error)));
}

class UringQueue : public ReadQueue {
 public:
  explicit UringQueue(std::unique_ptr<ReadBuffers> buffers) : ReadQueue(std::move(buffers)) {}

  // A buffered read may still be copying: its buffer must not become someone else's memory.
  ~UringQueue() override {
    std::vector<Completion> ignored;
    while (InKernel() > 0 && Wait(&ignored).ok()) continue;
    if (InKernel() > 0) AbandonBuffers();
    if (open_) io_uring_queue_exit(&ring_);
  }

  absl::Status Open() {
    if (const int error = io_uring_queue_init(buffers().slots(), &ring_, 0); error < 0) {
      return UringError("io_uring_setup", -error);
    }
    open_ = true;
    io_uring_probe* probe = io_uring_get_probe_ring(&ring_);
    const bool reads = probe != nullptr && io_uring_opcode_supported(probe, IORING_OP_READ);
    io_uring_free_probe(probe);
    if (!reads) return UringError("IORING_OP_READ", EOPNOTSUPP);
    const iovec all{.iov_base = buffers().data(), .iov_len = buffers().bytes()};
    registered_ = io_uring_register_buffers(&ring_, &all, 1) == 0;
    return absl::OkStatus();
  }

  absl::Status Submit(uint32_t slot, int fd, uint64_t offset, uint32_t slot_offset,
                      uint32_t length) override {
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);
    if (entry == nullptr) return UringError("get_sqe: more reads than slots", EBUSY);
    char* target = buffers().slot(slot) + slot_offset;
    if (registered_) {
      io_uring_prep_read_fixed(entry, fd, target, length, offset, 0);
    } else {
      io_uring_prep_read(entry, fd, target, length, offset);
    }
    io_uring_sqe_set_data64(entry, slot);
    ++in_flight_;
    return absl::OkStatus();
  }

  absl::Status Flush() override {
    int submitted = 0;
    do {
      submitted = io_uring_submit(&ring_);
    } while (submitted == -EINTR);
    // Short of memory for now: Wait sees to it.
    if (submitted >= 0 || submitted == -EAGAIN || submitted == -EBUSY) return absl::OkStatus();
    return UringError("io_uring_enter", -submitted);
  }

  absl::Status Wait(std::vector<Completion>* done) override {
    int submitted = 0;
    do {
      submitted = io_uring_submit_and_wait(&ring_, 1);
    } while (submitted == -EINTR);
    if (submitted == -EAGAIN || submitted == -EBUSY) {
      // Short of memory: what was submitted before will finish, and the rest is kept for next time.
      if (InKernel() == 0) return UringError("io_uring_enter", -submitted);
      RETURN_IF_ERROR(WaitForOne());
    } else if (submitted < 0) {
      return UringError("io_uring_enter", -submitted);
    }
    io_uring_cqe* entry = nullptr;
    unsigned head = 0, count = 0;
    io_uring_for_each_cqe(&ring_, head, entry) {
      done->push_back({.slot = static_cast<uint32_t>(io_uring_cqe_get_data64(entry)), .result = entry->res});
      ++count;
    }
    io_uring_cq_advance(&ring_, count);
    in_flight_ -= count;
    return absl::OkStatus();
  }

 private:
  // Submitted to us, and by us to the kernel.
  uint32_t InKernel() const { return open_ ? in_flight_ - io_uring_sq_ready(&ring_) : 0; }

  absl::Status WaitForOne() {
    io_uring_cqe* entry = nullptr;
    int error = 0;
    do {
      error = io_uring_wait_cqe(&ring_, &entry);
    } while (error == -EINTR);
    return error < 0 ? UringError("io_uring_enter", -error) : absl::OkStatus();
  }

  io_uring ring_ = {};
  uint32_t in_flight_ = 0;
  bool open_ = false;
  bool registered_ = false;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ReadQueue>> MakeUringQueue(uint32_t slots, uint32_t slot_bytes) {
  ASSIGN_OR_RETURN(std::unique_ptr<ReadBuffers> buffers, ReadBuffers::Make(slots, slot_bytes));
  auto queue = std::make_unique<UringQueue>(std::move(buffers));
  RETURN_IF_ERROR(queue->Open());
  return queue;
}

}  // namespace larder::storage

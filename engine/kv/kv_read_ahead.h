// Extents one after the other, with the next ones on their way.
#ifndef LARDER_ENGINE_KV_KV_READ_AHEAD_H_
#define LARDER_ENGINE_KV_KV_READ_AHEAD_H_

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "storage/extent_store.h"

namespace larder::kv {

// What may lie read and not yet taken, of one reader.
inline constexpr uint64_t kReadAheadBytes = 16 << 20;
inline constexpr uint64_t kAloneBytes = 256 << 10;

// A thread of its own takes payloads from ExtentStore::Stream and lays them up, until `max_bytes` lie
// there; then it lets go of the store's read queue and starts again once half of them are taken, so that
// a slow reader keeps no queue from others. A few bytes are not worth a thread: Next then reads them, as it
// does where no thread can be had. Single-threaded for its user.
class ReadAhead {
 public:
  ReadAhead(const storage::ExtentStore* extents, std::vector<storage::ExtentPointer> pointers,
            uint64_t max_bytes = kReadAheadBytes);
  ~ReadAhead();  // waits for reads in flight
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  // In the order of the pointers; once each.
  absl::StatusOr<std::string> Next();

 private:
  void Work();
  void ReadSome();
  bool HasNext() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return !ready_.empty(); }
  bool HasRoom() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return stopping_ || ready_bytes_ <= max_bytes_ / 2;
  }

  const storage::ExtentStore* const extents_;
  const std::vector<storage::ExtentPointer> pointers_;
  const uint64_t max_bytes_;
  absl::Mutex mu_;
  std::deque<absl::StatusOr<std::string>> ready_ ABSL_GUARDED_BY(mu_);
  uint64_t ready_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  size_t read_ = 0;   // pointers that were read; the thread's own, where there is one
  size_t taken_ = 0;  // by Next
  std::optional<std::thread> thread_;
};

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_KV_READ_AHEAD_H_

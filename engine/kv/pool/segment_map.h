// A segment of shared memory as a reader sees it: mapped read-only, in this process or another.
#ifndef LARDER_ENGINE_KV_POOL_SEGMENT_MAP_H_
#define LARDER_ENGINE_KV_POOL_SEGMENT_MAP_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/kv/pool/segment_layout.h"

namespace larder::kv {

// Where an entry lies, as a grant says it.
struct EntryPlace {
  uint32_t slot = 0;
  uint64_t generation = 0;
  uint64_t offset = 0;  // from the segment's beginning
  uint64_t length = 0;
};

// Maps the file at a multiple of kHugePage, so that huge pages can be mapped as such. Null, with errno, if it
// cannot.
std::byte* MapAligned(int fd, uint64_t bytes, int protection);

// Thread-safe. Every size that comes from the mapping is checked before it is used.
class SegmentMap {
 public:
  // Maps all of `fd`, which stays the caller's. FailedPrecondition unless it is a memfd of `bytes`
  // bytes that cannot shrink (a reader of one that could would be killed by SIGBUS) and begins with the
  // header of segment `id`.
  static absl::StatusOr<std::unique_ptr<SegmentMap>> Map(int fd, uint64_t id, uint64_t bytes);
  ~SegmentMap();
  SegmentMap(const SegmentMap&) = delete;
  SegmentMap& operator=(const SegmentMap&) = delete;

  const std::byte* base() const { return base_; }
  uint64_t bytes() const { return bytes_; }
  // Nothing is kept here any more.
  bool retired() const { return HeaderOf(base_)->retired.load(std::memory_order_acquire) != 0; }

  // Whether the entry that was granted is still there. Call it after reading too: what was read before
  // an answer of true is that entry's.
  bool Holds(const EntryPlace& place) const;
  // The payloads [layer][K|V]. FailedPrecondition if the entry is no longer there, DataLoss if it is not
  // well-formed or has another number of payloads.
  absl::StatusOr<std::vector<absl::string_view>> Payloads(const EntryPlace& place, uint32_t count) const;

 private:
  SegmentMap(const std::byte* base, uint64_t bytes) : base_(base), bytes_(bytes) {}

  const std::byte* const base_;
  const uint64_t bytes_;
};

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_POOL_SEGMENT_MAP_H_

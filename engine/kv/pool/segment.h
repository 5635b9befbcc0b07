// A segment of shared memory as the process that fills it sees it.
#ifndef LARDER_ENGINE_KV_POOL_SEGMENT_H_
#define LARDER_ENGINE_KV_POOL_SEGMENT_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/kv/pool/segment_map.h"
#include "storage/posix_file.h"

namespace larder::kv {

// A memfd, sealed: it keeps its size, and nobody who is given it can write to it or map it writable.
// All of its memory is there from the beginning, so that no write meets a full system later. In huge
// pages as far as the system gives them. Thread-compatible: the pool keeps writers of one slot apart.
class Segment {
 public:
  // `bytes` is a multiple of kHugePage. ResourceExhausted if there is no memory.
  static absl::StatusOr<std::shared_ptr<Segment>> Create(uint64_t id, uint64_t bytes);
  ~Segment();
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  uint64_t id() const { return id_; }
  uint64_t bytes() const { return bytes_; }
  uint64_t huge_bytes() const { return huge_bytes_; }
  int fd() const { return fd_.get(); }
  const SegmentMap& map() const { return *map_; }  // what readers in this process use

  // Empties the slot. Before anything is written where its entry lay.
  void Clear(uint32_t slot);
  // Writes the entry's table, for payloads of these lengths one after the other.
  void WriteTable(const EntryPlace& place, absl::Span<const uint64_t> lengths);
  void WritePayload(const EntryPlace& place, uint32_t index, absl::string_view payload);
  // Makes the entry, now complete, what the slot holds.
  void Publish(const EntryPlace& place, absl::string_view token_hash);
  void Retire();

 private:
  Segment(uint64_t id, uint64_t bytes, storage::Descriptor fd, std::byte* base)
      : id_(id), bytes_(bytes), fd_(std::move(fd)), base_(base) {}
  static absl::StatusOr<std::shared_ptr<Segment>> CreateWith(uint64_t id, uint64_t bytes, unsigned flags);
  absl::Status Populate(bool hugetlb);
  absl::Status SealAndMap();

  const uint64_t id_, bytes_;
  const storage::Descriptor fd_;
  std::byte* const base_;
  uint64_t huge_bytes_ = 0;
  std::unique_ptr<SegmentMap> map_;
};

// What an entry of payloads of these lengths takes.
uint64_t EntryBytes(absl::Span<const uint64_t> lengths);

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_POOL_SEGMENT_H_

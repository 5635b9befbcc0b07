// What lies in a segment of shared memory, for the process that writes it and for those that read it.
//
//   page 0         SegmentHeader
//   then           Slot[slot_count], padded to a page
//   then           entries: each at a page's beginning, an EntryTable with its PayloadRanges, padded to a
//                  page, then the payloads [layer][K|V], each at a page's beginning
//
// Only the server writes. A slot's generation is set when its entry is complete, is never used twice in a
// segment, and is 0 before a byte of the entry changes again. A reader that finds the generation it was
// granted before and after it read has read that entry. All numbers are little endian.
#ifndef LARDER_ENGINE_KV_POOL_SEGMENT_LAYOUT_H_
#define LARDER_ENGINE_KV_POOL_SEGMENT_LAYOUT_H_

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace larder::kv {

static_assert(std::endian::native == std::endian::little);
static_assert(std::atomic<uint64_t>::is_always_lock_free, "shared between processes");

inline constexpr uint64_t kSegmentMagic = 0x3147455356444c00;  // "\0LDVSEG1"
inline constexpr uint32_t kSegmentVersion = 1;
inline constexpr uint64_t kSegmentPage = 4'096;
inline constexpr uint64_t kHugePage = 2ull << 20;
inline constexpr uint64_t kMaxSegmentBytes = 1ull << 40;
inline constexpr uint32_t kMaxPayloads = 2'048;  // 1,024 layers, K and V

struct SegmentHeader {
  uint64_t magic;
  uint32_t version;
  uint32_t slot_count;
  uint64_t id;
  uint64_t bytes;                  // of the whole segment
  std::atomic<uint64_t> retired;   // 1: nothing is kept here any more, unmap it
};

struct Slot {
  std::atomic<uint64_t> generation;  // 0: empty, or being written
  uint64_t offset;                   // of the entry, from the segment's beginning
  uint64_t length;
  uint8_t token_hash[32];            // SHA-256, as in the entry's key
  uint64_t reserved;
};
static_assert(sizeof(Slot) == 64);

struct EntryTable {
  uint64_t generation;
  uint32_t payloads;  // 2 a layer
  uint32_t reserved;
};
struct PayloadRange {
  uint64_t offset;  // from the entry's beginning
  uint64_t length;
};
static_assert(sizeof(EntryTable) == 16 && sizeof(PayloadRange) == 16);

constexpr uint64_t PageAlign(uint64_t bytes) { return (bytes + kSegmentPage - 1) & ~(kSegmentPage - 1); }
// An entry takes two pages at least (a table and a payload): this many slots are always enough.
constexpr uint32_t SlotsFor(uint64_t segment_bytes) {
  return static_cast<uint32_t>(segment_bytes / (2 * kSegmentPage));
}
constexpr uint64_t FirstEntryOffset(uint32_t slots) { return kSegmentPage + PageAlign(slots * sizeof(Slot)); }
constexpr uint64_t TableBytes(uint64_t payloads) {
  return PageAlign(sizeof(EntryTable) + payloads * sizeof(PayloadRange));
}

inline SegmentHeader* HeaderOf(std::byte* base) { return reinterpret_cast<SegmentHeader*>(base); }
inline const SegmentHeader* HeaderOf(const std::byte* base) {
  return reinterpret_cast<const SegmentHeader*>(base);
}
inline Slot* SlotsOf(std::byte* base) { return reinterpret_cast<Slot*>(base + kSegmentPage); }
inline const Slot* SlotsOf(const std::byte* base) {
  return reinterpret_cast<const Slot*>(base + kSegmentPage);
}

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_POOL_SEGMENT_LAYOUT_H_

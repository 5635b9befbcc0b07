#include "engine/kv/pool/segment_map.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "absl/strings/str_cat.h"
#include "storage/status_macros.h"

namespace larder::kv {
namespace {

absl::Status BadSegment(uint64_t id, absl::string_view what, uint64_t found, uint64_t expected) {
  return absl::FailedPreconditionError(
      absl::StrCat("kv segment ", id, ": ", what, " is ", found, ", expected ", expected));
}

absl::Status CheckFile(int fd, uint64_t id, uint64_t bytes) {
  struct stat status = {};
  if (::fstat(fd, &status) != 0) {
    return absl::FailedPreconditionError(absl::StrCat("kv segment ", id, ": fstat: ", ::strerror(errno)));
  }
  const auto size = static_cast<uint64_t>(status.st_size);
  if (size != bytes || bytes <= kSegmentPage || bytes > kMaxSegmentBytes) {
    return BadSegment(id, "its file's size", size, bytes);
  }
  const int seals = ::fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("kv segment ", id, ": found no seal against shrinking, expected a sealed memfd"));
  }
  return absl::OkStatus();
}

absl::Status CheckHeader(const SegmentHeader& header, uint64_t id, uint64_t bytes) {
  if (header.magic != kSegmentMagic) return BadSegment(id, "magic", header.magic, kSegmentMagic);
  if (header.version != kSegmentVersion) return BadSegment(id, "version", header.version, kSegmentVersion);
  if (header.id != id) return BadSegment(id, "id", header.id, id);
  if (header.bytes != bytes) return BadSegment(id, "size", header.bytes, bytes);
  if (header.slot_count != SlotsFor(bytes)) {
    return BadSegment(id, "slot count", header.slot_count, SlotsFor(bytes));
  }
  return absl::OkStatus();
}

}  // namespace

std::byte* MapAligned(int fd, uint64_t bytes, int protection) {
  void* const raw = ::mmap(nullptr, bytes + kHugePage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                           -1, 0);
  if (raw == MAP_FAILED) return nullptr;
  const auto begin = reinterpret_cast<uintptr_t>(raw);
  const uintptr_t aligned = (begin + kHugePage - 1) & ~(kHugePage - 1);
  if (aligned > begin) ::munmap(raw, aligned - begin);
  const uintptr_t end = (aligned + bytes + kSegmentPage - 1) & ~(kSegmentPage - 1);
  if (begin + bytes + kHugePage > end) {
    ::munmap(reinterpret_cast<void*>(end), begin + bytes + kHugePage - end);
  }
  auto* const base = reinterpret_cast<std::byte*>(aligned);
  // MAP_FIXED that fails may have freed the range before, and another thread may have mapped it since: it
  // is no longer ours to unmap. What is lost then is addresses.
  return ::mmap(base, bytes, protection, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED ? nullptr : base;
}

absl::StatusOr<std::unique_ptr<SegmentMap>> SegmentMap::Map(int fd, uint64_t id, uint64_t bytes) {
  RETURN_IF_ERROR(CheckFile(fd, id, bytes));
  std::byte* const base = MapAligned(fd, bytes, PROT_READ);
  if (base == nullptr) {
    return absl::ResourceExhaustedError(
        absl::StrCat("kv segment ", id, ": cannot map ", bytes, " bytes: ", ::strerror(errno)));
  }
  std::unique_ptr<SegmentMap> map(new SegmentMap(base, bytes));
  RETURN_IF_ERROR(CheckHeader(*HeaderOf(map->base_), id, bytes));
  // The pages are there already; mapping them now keeps faults out of the first reads. A hint.
  ::madvise(base, bytes, MADV_POPULATE_READ);
  return map;
}

SegmentMap::~SegmentMap() { ::munmap(const_cast<std::byte*>(base_), bytes_); }

bool SegmentMap::Holds(const EntryPlace& place) const {
  if (place.generation == 0 || place.slot >= SlotsFor(bytes_)) return false;
  std::atomic_thread_fence(std::memory_order_acquire);  // after every read that came before
  return SlotsOf(base_)[place.slot].generation.load(std::memory_order_acquire) == place.generation;
}

absl::StatusOr<std::vector<absl::string_view>> SegmentMap::Payloads(const EntryPlace& place,
                                                                    uint32_t count) const {
  const auto malformed = [&](absl::string_view what, uint64_t found) {
    // A table that was overwritten meanwhile is malformed too; only the generation tells.
    if (!Holds(place)) return absl::FailedPreconditionError("kv segment: the entry is no longer there");
    return absl::DataLossError(absl::StrCat("kv segment: entry at ", place.offset, ": ", what, " is ", found));
  };
  const bool inside = place.offset <= bytes_ && place.length <= bytes_ - place.offset;
  if (!inside || place.offset % kSegmentPage != 0) return malformed("its length", place.length);
  if (count > kMaxPayloads || TableBytes(count) > place.length) return malformed("its payload count", count);
  if (!Holds(place)) return malformed("", 0);
  const std::byte* const entry = base_ + place.offset;
  EntryTable table;
  ::memcpy(&table, entry, sizeof(table));
  if (table.generation != place.generation) return malformed("its generation", table.generation);
  if (table.payloads != count) return malformed("its payload count", table.payloads);
  std::vector<absl::string_view> payloads;
  payloads.reserve(count);
  for (uint32_t i = 0; i < count; ++i) {
    PayloadRange range;
    ::memcpy(&range, entry + sizeof(table) + i * sizeof(range), sizeof(range));
    if (range.offset > place.length || range.length > place.length - range.offset) {
      return malformed(absl::StrCat("payload ", i, "'s length"), range.length);
    }
    payloads.emplace_back(reinterpret_cast<const char*>(entry + range.offset), range.length);
  }
  if (!Holds(place)) return malformed("", 0);
  return payloads;
}

}  // namespace larder::kv

#include "engine/kv/pool/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/status_macros.h"

// Linux 5.1, 6.1: not in every libc's headers.
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

namespace larder::kv {
namespace {

absl::Status NoMemory(uint64_t bytes, absl::string_view operation) {
  return absl::ResourceExhaustedError(
      absl::StrCat("kv segment of ", bytes, " bytes: ", operation, ": ", ::strerror(errno)));
}

std::byte* MapAnywhere(int fd, uint64_t bytes) {
  void* const base = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  return base == MAP_FAILED ? nullptr : static_cast<std::byte*>(base);
}

PayloadRange* RangesOf(std::byte* entry) {
  return reinterpret_cast<PayloadRange*>(entry + sizeof(EntryTable));
}

}  // namespace

uint64_t EntryBytes(absl::Span<const uint64_t> lengths) {
  uint64_t bytes = TableBytes(lengths.size());
  for (const uint64_t length : lengths) bytes += PageAlign(length);
  return bytes;
}

absl::StatusOr<std::shared_ptr<Segment>> Segment::Create(uint64_t id, uint64_t bytes) {
  auto huge = CreateWith(id, bytes, MFD_HUGETLB);  // only where an administrator has set pages aside
  return huge.ok() ? std::move(huge) : CreateWith(id, bytes, 0);
}

absl::StatusOr<std::shared_ptr<Segment>> Segment::CreateWith(uint64_t id, uint64_t bytes, unsigned flags) {
  storage::Descriptor fd(::memfd_create("larder-kv", MFD_CLOEXEC | MFD_ALLOW_SEALING | flags));
  if (fd.get() < 0) return NoMemory(bytes, "memfd_create");
  if (::ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) return NoMemory(bytes, "ftruncate");
  // A file of huge pages is aligned as it is, and where none are set aside, mapping it fails: often, and not
  // over a reservation (see MapAligned).
  std::byte* const base = (flags & MFD_HUGETLB) != 0 ? MapAnywhere(fd.get(), bytes)
                                                     : MapAligned(fd.get(), bytes, PROT_READ | PROT_WRITE);
  if (base == nullptr) return NoMemory(bytes, "mmap");
  std::shared_ptr<Segment> segment(new Segment(id, bytes, std::move(fd), base));
  RETURN_IF_ERROR(segment->Populate(flags != 0));
  auto* const header = new (base) SegmentHeader{};
  header->magic = kSegmentMagic;
  header->version = kSegmentVersion;
  header->slot_count = SlotsFor(bytes);
  header->id = id;
  header->bytes = bytes;
  RETURN_IF_ERROR(segment->SealAndMap());
  return segment;
}

Segment::~Segment() { ::munmap(base_, bytes_); }

absl::Status Segment::Populate(bool hugetlb) {
  ::madvise(base_, bytes_, MADV_HUGEPAGE);
  if (::madvise(base_, bytes_, MADV_POPULATE_WRITE) != 0) {
    if (errno != EINVAL) return NoMemory(bytes_, "populate");
    for (uint64_t at = 0; at < bytes_; at += kSegmentPage) {  // before Linux 5.14
      *reinterpret_cast<volatile char*>(base_ + at) = 0;
    }
  }
  if (hugetlb) {
    huge_bytes_ = bytes_;
    return absl::OkStatus();
  }
  // Gives huge pages even where the system's setting for shared memory is "never".
  for (uint64_t at = 0; at < bytes_; at += kHugePage) {
    if (::madvise(base_ + at, kHugePage, MADV_COLLAPSE) == 0) huge_bytes_ += kHugePage;
  }
  return absl::OkStatus();
}

absl::Status Segment::SealAndMap() {
  // The mapping that is there stays writable; later ones, anybody's, are not.
  constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;
  if (::fcntl(fd(), F_ADD_SEALS, kSeals) != 0) {
    return absl::UnavailableError(absl::StrCat("kv segment: cannot seal the memfd: ", ::strerror(errno)));
  }
  ASSIGN_OR_RETURN(map_, SegmentMap::Map(fd(), id_, bytes_));
  return absl::OkStatus();
}

void Segment::Clear(uint32_t slot) {
  SlotsOf(base_)[slot].generation.store(0, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);  // before whatever is written next
}

void Segment::WriteTable(const EntryPlace& place, absl::Span<const uint64_t> lengths) {
  std::byte* const entry = base_ + place.offset;
  *reinterpret_cast<EntryTable*>(entry) = {place.generation, static_cast<uint32_t>(lengths.size()), 0};
  uint64_t at = TableBytes(lengths.size());
  for (size_t i = 0; i < lengths.size(); ++i) {
    RangesOf(entry)[i] = {at, lengths[i]};
    at += PageAlign(lengths[i]);
  }
}

void Segment::WritePayload(const EntryPlace& place, uint32_t index, absl::string_view payload) {
  std::byte* const entry = base_ + place.offset;
  const PayloadRange& range = RangesOf(entry)[index];
  ::memcpy(entry + range.offset, payload.data(), std::min<uint64_t>(payload.size(), range.length));
}

void Segment::Publish(const EntryPlace& place, absl::string_view token_hash) {
  Slot& slot = SlotsOf(base_)[place.slot];
  slot.offset = place.offset;
  slot.length = place.length;
  ::memcpy(slot.token_hash, token_hash.data(), std::min(token_hash.size(), sizeof(slot.token_hash)));
  slot.generation.store(place.generation, std::memory_order_release);
}

void Segment::Retire() { HeaderOf(base_)->retired.store(1, std::memory_order_release); }

}  // namespace larder::kv

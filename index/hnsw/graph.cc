#include "index/hnsw/graph.h"

#include <algorithm>
#include <thread>

#include "absl/strings/str_cat.h"

namespace larder::index {

HnswGraph::HnswGraph(const IndexOptions& options)
    : m_(options.m), stride_(sizeof(ElementHeader) + 2 * m_ * sizeof(Link)) {}

absl::Status HnswGraph::Grow(size_t elements, size_t upper_lists) {
  if (elements > kMaxCount) {
    return absl::ResourceExhaustedError(absl::StrCat("hnsw: ", elements, " elements exceed its ", kMaxCount));
  }
  if (!elements_.Grow(elements * stride_) || !tails_.Grow(elements * sizeof(ElementTail)) ||
      !upper_.Grow(upper_lists * upper_stride())) {
    return absl::ResourceExhaustedError(
        absl::StrCat("hnsw: no memory for ", elements, " elements of ", stride_, " bytes"));
  }
  capacity_ = std::max(capacity_, elements);
  return absl::OkStatus();
}

void HnswGraph::Place(uint32_t id, Vid vid, int level, uint32_t upper) {
  Header(id).level = static_cast<uint8_t>(level);
  Tail(id).vid = vid;
  Tail(id).upper = upper;
}

// A seqlock after Boehm, "Can seqlocks get along with programming language memory models?" (2012),
// with acquire loads and release stores in place of fences (which ThreadSanitizer does not know).
uint32_t HnswGraph::CopyLinks(uint32_t id, int level, uint32_t* out) const {
  const ElementHeader& header = Header(id);
  const Link* links = level == 0 ? Layer0(id) : Upper(id, level) + 1;
  for (;;) {
    const uint32_t sequence = header.sequence.load(std::memory_order_acquire);
    if (sequence & 1) continue;  // a rewrite takes some ten nanoseconds
    const uint32_t count = CountLinks(id, level);
    for (uint32_t i = 0; i < count; ++i) out[i] = links[i].load(std::memory_order_acquire);
    if (header.sequence.load(std::memory_order_relaxed) == sequence) return count;
  }
}

void HnswGraph::Lock(uint32_t id) {
  std::atomic<uint8_t>& lock = Header(id).lock;
  for (int spins = 0; lock.exchange(1, std::memory_order_acquire) != 0; ++spins) {
    if (spins >= 64) std::this_thread::yield();
  }
}

bool HnswGraph::AppendLink(uint32_t id, int level, uint32_t link) {
  ElementHeader& header = Header(id);
  Link* upper = level == 0 ? nullptr : Upper(id, level);
  const uint32_t count = CountLinks(id, level);
  if (count == max_links(level)) return false;
  // The number is raised last: a reader sees the old list or the new one.
  (level == 0 ? Layer0(id) : upper + 1)[count].store(link, std::memory_order_release);
  if (level == 0) {
    header.links.store(static_cast<uint16_t>(count + 1), std::memory_order_release);
  } else {
    upper->store(count + 1, std::memory_order_release);
  }
  return true;
}

void HnswGraph::StoreLinks(uint32_t id, int level, absl::Span<const uint32_t> links) {
  ElementHeader& header = Header(id);
  Link* upper = level == 0 ? nullptr : Upper(id, level);
  Link* list = level == 0 ? Layer0(id) : upper + 1;
  const uint32_t sequence = header.sequence.load(std::memory_order_relaxed);
  header.sequence.store(sequence + 1, std::memory_order_release);
  for (size_t i = 0; i < links.size(); ++i) list[i].store(links[i], std::memory_order_release);
  if (level == 0) {
    header.links.store(static_cast<uint16_t>(links.size()), std::memory_order_release);
  } else {
    upper->store(static_cast<uint32_t>(links.size()), std::memory_order_release);
  }
  header.sequence.store(sequence + 2, std::memory_order_release);
}

void HnswGraph::AppendDuplicate(uint32_t id, uint32_t duplicate) {
  ElementTail& tail = Tail(id);
  {
    absl::MutexLock lock(&twins_mutex_);  // before a search can find it, and before anything is changed if this throws
    twins_.emplace_back(duplicate, id);
  }
  Tail(duplicate).duplicate.store(tail.duplicate.load(std::memory_order_relaxed),
                                    std::memory_order_relaxed);
  tail.duplicate.store(duplicate + 1, std::memory_order_release);
}

void HnswGraph::FindDuplicates(uint32_t count) {
  std::vector<bool> follows(count);
  for (uint32_t id = 0; id < count; ++id) {
    if (const uint32_t next = NextDuplicate(id); next < count) follows[next] = true;
  }
  absl::MutexLock lock(&twins_mutex_);
  for (uint32_t first = 0; first < count; ++first) {
    if (follows[first]) continue;
    for (uint32_t id = NextDuplicate(first); id < count; id = NextDuplicate(id)) twins_.emplace_back(id, first);
  }
}

}  // namespace larder::index

// The navigable small-world graph (Malkov and Yashunin, arXiv:1603.09320): elements and their links.
// vector_rows.h holds their vectors, walk.h searches it, builder.h adds to it.
//
// What a walk reads of an element is `stride()` bytes: header, links[2 m]; the rest is apart (ElementTail).
// A list of layers 1 and up is `upper_stride()` bytes: number, links[m].
//
// Threads: links are read without locks (a sequence counter tells a reader that a list was rewritten
// under its eyes; every access is atomic), so that searches neither wait nor write to shared memory.
// Writers of one element exclude each other by its lock and hold no other lock meanwhile.
#ifndef LARDER_INDEX_HNSW_GRAPH_H_
#define LARDER_INDEX_HNSW_GRAPH_H_

#include <atomic>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "index/hnsw/page_block.h"
#include "index/hnsw/prefetch.h"
#include "index/vector_index.h"

namespace larder::index {

// In memory and in snapshots (there with sequence and lock zero).
struct ElementHeader {
  std::atomic<uint32_t> sequence;  // odd while a list of this element is being rewritten
  std::atomic<uint16_t> links;     // number of links of layer 0
  uint8_t level;
  std::atomic<uint8_t> lock;
};
static_assert(sizeof(ElementHeader) == 8);

// Likewise.
struct ElementTail {
  Vid vid;
  std::atomic<uint32_t> duplicate;  // 1 + the id of an element with the same vector; 0 = none
  uint32_t upper;                   // number of the first upper list; layer l has upper + l - 1
};
static_assert(sizeof(ElementTail) == 16);

class HnswGraph {
 public:
  struct Entry {
    uint32_t id = 0;
    int level = -1;  // -1: the graph is empty
  };
  static constexpr uint32_t kMaxCount = 1u << 31;
  static constexpr int kMaxLevel = 63;

  explicit HnswGraph(const IndexOptions& options);

  uint32_t m() const { return m_; }
  uint32_t max_links(int level) const { return level == 0 ? 2 * m_ : m_; }
  size_t stride() const { return stride_; }
  size_t upper_stride() const { return (1 + m_) * sizeof(uint32_t); }
  size_t capacity() const { return capacity_; }
  size_t upper_capacity() const { return upper_.size() / upper_stride(); }

  // Room for so many elements and upper lists; moves them, so nothing else may run meanwhile.
  absl::Status Grow(size_t elements, size_t upper_lists);
  // Writes a new element without links, below the capacity; nobody else may know its id yet.
  void Place(uint32_t id, Vid vid, int level, uint32_t upper);

  Vid VidOf(uint32_t id) const { return Tail(id).vid; }
  int Level(uint32_t id) const { return Header(id).level; }

  uint32_t CountLinks(uint32_t id, int level) const {
    return level == 0 ? Header(id).links.load(std::memory_order_acquire)
                      : Upper(id, level)->load(std::memory_order_acquire);
  }
  // Copies the links of an element to `out` (room for max_links(level)); returns their number.
  uint32_t CopyLinks(uint32_t id, int level, uint32_t* out) const;
  void PrefetchLinks(uint32_t id) const { PrefetchLines(Element(id), stride_); }  // of layer 0

  void PrefetchTail(uint32_t id) const { PrefetchLines(&Tail(id), sizeof(ElementTail)); }

  // Writers: under Lock(id).
  void Lock(uint32_t id);
  void Unlock(uint32_t id) { Header(id).lock.store(0, std::memory_order_release); }
  // Adds a link if there is room; false if the list is full.
  bool AppendLink(uint32_t id, int level, uint32_t link);
  void StoreLinks(uint32_t id, int level, absl::Span<const uint32_t> links);

  // Elements with one and the same vector hang on the first of them, which alone has links.
  // 0xFFFFFFFF ends the chain.
  uint32_t NextDuplicate(uint32_t id) const {
    return Tail(id).duplicate.load(std::memory_order_acquire) - 1;
  }
  void AppendDuplicate(uint32_t id, uint32_t duplicate);  // under Lock(id)
  // Calls visit(duplicate, first of its chain) for every duplicate.
  template <typename Visit>
  void ForEachDuplicate(const Visit& visit) const {
    absl::ReaderMutexLock lock(&twins_mutex_);
    for (const auto& [duplicate, first] : twins_) visit(duplicate, first);
  }
  // After the elements were read from a snapshot.
  void FindDuplicates(uint32_t count);

  Entry entry() const {
    const uint64_t packed = entry_.load(std::memory_order_acquire);
    return {static_cast<uint32_t>(packed), static_cast<int>(packed >> 32) - 1};
  }
  void SetEntry(Entry entry) {
    entry_.store(static_cast<uint64_t>(entry.level + 1) << 32 | entry.id, std::memory_order_release);
  }

  // Raw, for snapshots: no writer may run meanwhile.
  char* Element(uint32_t id) const { return elements_.data() + id * stride_; }
  char* UpperList(uint32_t number) const { return upper_.data() + number * upper_stride(); }
  ElementHeader& Header(uint32_t id) const { return *reinterpret_cast<ElementHeader*>(Element(id)); }
  ElementTail& Tail(uint32_t id) const { return reinterpret_cast<ElementTail*>(tails_.data())[id]; }

 private:
  using Link = std::atomic<uint32_t>;
  Link* Layer0(uint32_t id) const { return reinterpret_cast<Link*>(Element(id) + sizeof(ElementHeader)); }
  // [0] is the number of links.
  Link* Upper(uint32_t id, int level) const {
    return reinterpret_cast<Link*>(UpperList(Tail(id).upper + level - 1));
  }

  const uint32_t m_;
  const size_t stride_;
  size_t capacity_ = 0;
  PageBlock elements_, tails_, upper_;
  mutable absl::Mutex twins_mutex_;
  std::vector<std::pair<uint32_t, uint32_t>> twins_ ABSL_GUARDED_BY(twins_mutex_);
  std::atomic<uint64_t> entry_{0};  // 1 + level in the high half, id in the low
};

// Holds an element's lock.
class ElementLock {
 public:
  ElementLock(HnswGraph* graph, uint32_t id) : graph_(*graph), id_(id) { graph_.Lock(id_); }
  ~ElementLock() { graph_.Unlock(id_); }
  ElementLock(const ElementLock&) = delete;

 private:
  HnswGraph& graph_;
  const uint32_t id_;
};

}  // namespace larder::index

#endif  // LARDER_INDEX_HNSW_GRAPH_H_

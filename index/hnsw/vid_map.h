// Which element holds a vid. Vids come in runs whose elements are a run too, so a page of 64 vids is one number
// unless insertions interleaved: a set of vids becomes a set of elements 64 at a time.
#ifndef LARDER_INDEX_HNSW_VID_MAP_H_
#define LARDER_INDEX_HNSW_VID_MAP_H_

#include <bit>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "index/vector_index.h"
#include "index/vid_set.h"

namespace larder::index {

// Thread-compatible.
class VidMap {
 public:
  static constexpr uint32_t kNone = ~0u;

  // False if the vid is there. Throws std::bad_alloc, and is then unchanged.
  bool Insert(Vid vid, uint32_t id);
  void Erase(Vid vid);
  uint32_t Find(Vid vid) const {
    const auto it = chapters_.find(vid / kChapter);
    if (it == chapters_.end()) return kNone;
    const Chapter& chapter = *it->second;
    const size_t page = vid / 64 % 64;
    return chapter.present[page] >> vid % 64 & 1 ? chapter.IdOf(page, vid % 64) : kNone;
  }
  // Calls visit(id, bits) for all elements of `vids`: bit i stands for element id + i.
  template <typename Visit>
  void ForEachOf(const VidSet& vids, const Visit& visit) const;
  uint64_t bytes() const;

 private:
  static constexpr Vid kChapter = 4096;
  struct Chapter {
    uint64_t present[64] = {};
    uint32_t base[64] = {};   // of a page that is a run: slot i holds element base + i (modulo 2^32)
    uint64_t broken = 0;      // pages that are no runs
    std::vector<uint32_t> ids;  // by slot; empty while no page is broken

    uint32_t IdOf(size_t page, size_t slot) const {
      return broken >> page & 1 ? ids[page * 64 + slot] : base[page] + static_cast<uint32_t>(slot);
    }
  };

  absl::flat_hash_map<uint64_t, std::unique_ptr<Chapter>> chapters_;
};

inline bool VidMap::Insert(Vid vid, uint32_t id) {
  std::unique_ptr<Chapter>& place = chapters_[vid / kChapter];
  if (place == nullptr) place = std::make_unique<Chapter>();
  Chapter& chapter = *place;
  const size_t page = vid / 64 % 64, slot = vid % 64;
  if (chapter.present[page] >> slot & 1) return false;
  const uint32_t base = id - static_cast<uint32_t>(slot);
  if (chapter.present[page] == 0 && !(chapter.broken >> page & 1)) chapter.base[page] = base;
  if (chapter.base[page] != base || (chapter.broken >> page & 1)) {
    if (chapter.ids.empty()) chapter.ids.resize(kChapter);
    if (!(chapter.broken >> page & 1)) {
      for (size_t i = 0; i < 64; ++i) chapter.ids[page * 64 + i] = chapter.base[page] + static_cast<uint32_t>(i);
      chapter.broken |= uint64_t{1} << page;
    }
    chapter.ids[page * 64 + slot] = id;
  }
  chapter.present[page] |= uint64_t{1} << slot;
  return true;
}

inline void VidMap::Erase(Vid vid) {
  const auto it = chapters_.find(vid / kChapter);
  if (it != chapters_.end()) it->second->present[vid / 64 % 64] &= ~(uint64_t{1} << vid % 64);
}

template <typename Visit>
void VidMap::ForEachOf(const VidSet& vids, const Visit& visit) const {
  uint64_t number = ~uint64_t{0};
  const Chapter* chapter = nullptr;
  vids.ForEachWord([&](uint64_t first, uint64_t word) {
    if (first / kChapter != number) {
      number = first / kChapter;
      const auto it = chapters_.find(number);
      chapter = it == chapters_.end() ? nullptr : it->second.get();
    }
    if (chapter == nullptr) return;
    const size_t page = first / 64 % 64;
    word &= chapter->present[page];
    if (word == 0) return;
    if (!(chapter->broken >> page & 1)) {
      const int skip = std::countr_zero(word);
      visit(chapter->base[page] + static_cast<uint32_t>(skip), word >> skip);
      return;
    }
    for (; word != 0; word &= word - 1) visit(chapter->ids[page * 64 + std::countr_zero(word)], uint64_t{1});
  });
}

inline uint64_t VidMap::bytes() const {
  uint64_t bytes = chapters_.capacity() * 17;
  for (const auto& [number, chapter] : chapters_) bytes += sizeof(Chapter) + chapter->ids.capacity() * sizeof(uint32_t);
  return bytes;
}

}  // namespace larder::index

#endif  // LARDER_INDEX_HNSW_VID_MAP_H_

#include "engine/embed/piece_trie.h"

#include <algorithm>

namespace larder {

// Places the children of one node at a time, in the first gap that takes them all.
class PieceTrie::Builder {
 public:
  Builder(const std::vector<std::pair<std::string, int32_t>>& entries, std::vector<Cell>* cells)
      : entries_(entries), cells_(*cells) {}

  void Build() {
    cells_.assign(257, Cell{});
    used_.assign(257, false);
    used_[kRoot] = true;
    std::vector<Range> queue = {{0, entries_.size(), 0, kRoot}};
    for (size_t next = 0; next < queue.size(); ++next) Place(queue[next], &queue);
    cells_.resize(last_used_ + 257);
  }

 private:
  struct Range {  // the entries [begin, end) share their first `depth` bytes, which lead to `node`
    size_t begin, end, depth;
    Node node;
  };

  void Place(Range range, std::vector<Range>* queue) {
    while (range.begin < range.end && entries_[range.begin].first.size() == range.depth) {
      cells_[range.node].value = entries_[range.begin++].second;
    }
    std::vector<Range> children;
    std::vector<uint8_t> bytes;
    for (size_t i = range.begin; i < range.end; ++i) {
      const uint8_t byte = entries_[i].first[range.depth];
      if (bytes.empty() || bytes.back() != byte) {
        bytes.push_back(byte);
        children.push_back({i, i, range.depth + 1, kNone});
      }
      children.back().end = i + 1;
    }
    if (bytes.empty()) return;
    const int32_t base = FindBase(bytes);
    cells_[range.node].base = base;
    for (size_t i = 0; i < bytes.size(); ++i) {
      const int32_t child = base + bytes[i];
      used_[child] = true;
      last_used_ = std::max(last_used_, child);
      cells_[child].parent = range.node;
      children[i].node = child;
      queue->push_back(children[i]);
    }
  }

  // `bytes` ascend. Gaps before first_free_ are full, or were found to be nearly so.
  int32_t FindBase(const std::vector<uint8_t>& bytes) {
    while (used_[first_free_]) ++first_free_;
    int32_t tried = 0;
    for (int32_t at = std::max<int32_t>(first_free_, bytes.front());; ++at) {
      const int32_t base = at - bytes.front();
      Reserve(base + 256);
      const bool fits =
          std::none_of(bytes.begin(), bytes.end(), [&](uint8_t byte) { return used_[base + byte]; });
      if (fits) {
        if (tried > kMaxTries) first_free_ = at;
        return base;
      }
      ++tried;
    }
  }

  void Reserve(int32_t last) {
    if (static_cast<size_t>(last) < cells_.size()) return;
    cells_.resize(last + 1 + cells_.size() / 2);
    used_.resize(cells_.size(), false);
  }

  static constexpr int32_t kMaxTries = 2048;  // trades a little room for building in linear time
  const std::vector<std::pair<std::string, int32_t>>& entries_;
  std::vector<Cell>& cells_;
  std::vector<bool> used_;
  int32_t first_free_ = 1;
  int32_t last_used_ = 0;
};

PieceTrie::PieceTrie(std::vector<std::pair<std::string, int32_t>> entries) {
  // std::string compares as unsigned bytes, which Builder relies on.
  std::sort(entries.begin(), entries.end());
  entries.erase(entries.begin(), std::find_if(entries.begin(), entries.end(),
                                              [](const auto& entry) { return !entry.first.empty(); }));
  Builder(entries, &cells_).Build();
}

PieceTrie::Node PieceTrie::Walk(absl::string_view prefix) const {
  Node node = kRoot;
  for (const char c : prefix) {
    node = Child(node, static_cast<uint8_t>(c));
    if (node == kNone) return kNone;
  }
  return node;
}

}  // namespace larder

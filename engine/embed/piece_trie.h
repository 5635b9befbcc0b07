// A read-only dictionary of byte strings that finds the longest one a text begins with: a double
// array trie (J. Aoe, "An Efficient Digital Search Algorithm by Using a Double-Array Structure", 1989).
#ifndef LARDER_ENGINE_EMBED_PIECE_TRIE_H_
#define LARDER_ENGINE_EMBED_PIECE_TRIE_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace larder {

// Immutable, thread-safe.
class PieceTrie {
 public:
  using Node = int32_t;
  static constexpr Node kNone = -1;
  static constexpr Node kRoot = 0;

  struct Match {
    int32_t value = -1;  // -1 = nothing matched
    size_t length = 0;
  };

  // Values are not negative. Empty keys are left out; of equal keys one wins.
  explicit PieceTrie(std::vector<std::pair<std::string, int32_t>> entries);

  // The node that `prefix` leads to; kNone if no key begins with it.
  Node Walk(absl::string_view prefix) const;

  // The longest non-empty key that `text` begins with, keys being read from `start` on.
  Match Longest(Node start, absl::string_view text) const {
    Match best;
    Node node = start;
    for (size_t i = 0; i < text.size(); ++i) {
      node = Child(node, static_cast<uint8_t>(text[i]));
      if (node == kNone) break;
      if (cells_[node].value >= 0) best = {cells_[node].value, i + 1};
    }
    return best;
  }

 private:
  struct Cell {
    int32_t base = 0;  // the child by byte b is at base + b
    int32_t parent = kNone;
    int32_t value = -1;
  };
  class Builder;

  Node Child(Node node, uint8_t byte) const {
    const int32_t child = cells_[node].base + byte;
    return cells_[child].parent == node ? child : kNone;
  }

  std::vector<Cell> cells_;  // ends with 256 free ones, so that base + b is always inside
};

}  // namespace larder

#endif  // LARDER_ENGINE_EMBED_PIECE_TRIE_H_

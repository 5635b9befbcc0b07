// Which tree serves a vector space, and which is being built: a row in kMeta. A space has two slots, each a space of
// its own in kTree, so that a tree is built beside the one that serves.
#ifndef LARDER_ENGINE_TREE_STATE_H_
#define LARDER_ENGINE_TREE_STATE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "engine/keys.h"
#include "index/vid_set.h"
#include "storage/store.h"

namespace larder {

// Collections beyond have no numbers for their trees.
inline constexpr uint32_t kMaxTreeCollection = (1u << 27) - 1;

struct TreeState {
  uint8_t active = 0, building = 0;  // slot 1 or 2; 0: none
  uint64_t built_rows = 0;           // of the active tree, when it was built
  index::VidSet building_vids;       // what the one being built holds, or is being built from
  uint8_t free_slot() const { return active == 1 ? 2 : 1; }
};

inline std::string TreeStateKey(uint32_t collection, uint16_t space) {
  return "tree/" + SpacePrefix(collection, space);
}
// The space in kTree; a collection has up to 16 spaces.
inline uint32_t TreeNumber(uint32_t collection, uint16_t space, uint8_t slot) {
  return collection * 32 + space * 2 + (slot - 1);
}
inline uint32_t CollectionOfTree(uint32_t number) { return number / 32; }
inline uint16_t SpaceOfTree(uint32_t number) { return static_cast<uint16_t>(number / 2 % 16); }

// No row: no tree.
absl::StatusOr<TreeState> ReadTreeState(const storage::Store& store, uint32_t collection, uint16_t space);
void PutTreeState(uint32_t collection, uint16_t space, const TreeState& state, storage::WriteBatch* batch);

}  // namespace larder

#endif  // LARDER_ENGINE_TREE_STATE_H_

// A group of full vectors as its row 'g' knows it: where it is, and which of its slots are still there.
//
// A slot is for ever, so that entries need not change when dead rows leave: the rows that stay move together in a
// new extent, and a bitmap says which they are.
//
//   pointer (24 bytes), rows u32; if rows have left: slots u32, then a bit a slot from the lowest, in bytes
#ifndef LARDER_INDEX_TREE_VECTOR_GROUP_H_
#define LARDER_INDEX_TREE_VECTOR_GROUP_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "storage/extent_store.h"

namespace larder::index {

struct VectorGroup {
  storage::ExtentPointer pointer;
  uint32_t rows = 0;               // in the extent; 0 with slots: all have left
  uint32_t slots = 0;              // that were given out; 0: not full yet
  std::vector<uint64_t> present;   // by slot, if rows have left

  static VectorGroup Full(const storage::ExtentPointer& pointer, uint32_t rows) { return {pointer, rows, rows, {}}; }
  // Of the rows at these slots, ascending.
  static VectorGroup Of(const storage::ExtentPointer& pointer, uint32_t slots, const std::vector<uint32_t>& kept);
  // The row's number in the extent; none if it has left.
  std::optional<uint32_t> Position(uint32_t slot) const;
  // The slots of its rows, in their order.
  std::vector<uint32_t> Slots() const;
  uint64_t bytes() const { return sizeof(*this) + present.capacity() * sizeof(uint64_t); }
};

std::string EncodeGroup(const VectorGroup& group);
absl::StatusOr<VectorGroup> DecodeGroup(absl::string_view bytes);

}  // namespace larder::index

#endif  // LARDER_INDEX_TREE_VECTOR_GROUP_H_

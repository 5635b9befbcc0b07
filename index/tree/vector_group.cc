#include "index/tree/vector_group.h"

#include <bit>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "index/tree/tree_rows.h"
#include "storage/status_macros.h"

namespace larder::index {
namespace {

constexpr size_t kFullBytes = 28;

bool HasBit(const std::vector<uint64_t>& bits, uint32_t slot) { return bits[slot / 64] >> slot % 64 & 1; }

}  // namespace

VectorGroup VectorGroup::Of(const storage::ExtentPointer& pointer, uint32_t slots, const std::vector<uint32_t>& kept) {
  VectorGroup group{pointer, static_cast<uint32_t>(kept.size()), slots, {}};
  if (kept.empty() || kept.size() == slots) return group;
  group.present.assign((slots + 63) / 64, 0);
  for (const uint32_t slot : kept) group.present[slot / 64] |= uint64_t{1} << slot % 64;
  return group;
}

std::optional<uint32_t> VectorGroup::Position(uint32_t slot) const {
  if (slot >= slots || rows == 0) return std::nullopt;
  if (present.empty()) return slot;
  if (!HasBit(present, slot)) return std::nullopt;
  uint32_t before = 0;
  for (uint32_t word = 0; word < slot / 64; ++word) before += static_cast<uint32_t>(std::popcount(present[word]));
  return before + static_cast<uint32_t>(std::popcount(present[slot / 64] & ((uint64_t{1} << slot % 64) - 1)));
}

std::vector<uint32_t> VectorGroup::Slots() const {
  std::vector<uint32_t> kept;
  for (uint32_t slot = 0; slot < slots && rows > 0; ++slot) {
    if (present.empty() || HasBit(present, slot)) kept.push_back(slot);
  }
  return kept;
}

std::string EncodeGroup(const VectorGroup& group) {
  std::string bytes = EncodeCounted({group.pointer, group.rows});
  if (group.present.empty()) return bytes;
  bytes.append(reinterpret_cast<const char*>(&group.slots), sizeof(group.slots));
  bytes.append(reinterpret_cast<const char*>(group.present.data()), (group.slots + 7) / 8);
  return bytes;
}

absl::StatusOr<VectorGroup> DecodeGroup(absl::string_view bytes) {
  ASSIGN_OR_RETURN(const CountedPointer counted, DecodeCounted(bytes.substr(0, kFullBytes)));
  VectorGroup group = VectorGroup::Full(counted.pointer, counted.count);
  if (bytes.size() > kFullBytes) {
    if (bytes.size() >= kFullBytes + sizeof(group.slots)) {
      std::memcpy(&group.slots, bytes.data() + kFullBytes, sizeof(group.slots));
    }
    const size_t expected = kFullBytes + sizeof(group.slots) + (size_t{group.slots} + 7) / 8;
    if (group.slots > kMaxGroupRows || bytes.size() != expected) {
      return absl::DataLossError(absl::StrCat("tree group: ", bytes.size(), " bytes, expected ", expected, " for ",
                                              group.slots, " slots"));
    }
    group.present.assign((group.slots + 63) / 64, 0);
    std::memcpy(group.present.data(), bytes.data() + kFullBytes + sizeof(group.slots), (group.slots + 7) / 8);
  }
  uint32_t present = group.present.empty() ? group.rows : 0;
  for (const uint64_t word : group.present) present += static_cast<uint32_t>(std::popcount(word));
  const bool beyond = !group.present.empty() && group.slots % 64 != 0 && group.present.back() >> group.slots % 64 != 0;
  if (group.rows == 0 || group.slots > kMaxGroupRows || present != group.rows || beyond) {
    return absl::DataLossError(absl::StrCat("tree group: ", group.rows, " rows, ", present, " of ", group.slots, " slots"));
  }
  return group;
}

}  // namespace larder::index

// Edits of bytes, themselves read from bytes.
#ifndef LARDER_INDEX_FUZZ_EDITS_H_
#define LARDER_INDEX_FUZZ_EDITS_H_

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>

#include "absl/strings/string_view.h"

namespace larder::index {

inline constexpr size_t kEditBytes = 10;  // kind, part, place (u32), value (u32)

struct Edit {
  uint8_t kind = 0, part = 0;
  uint32_t place = 0, value = 0;
};

// Takes an edit off the front; false if there is none.
inline bool TakeEdit(absl::string_view* edits, Edit* edit) {
  if (edits->size() < kEditBytes) return false;
  edit->kind = static_cast<uint8_t>((*edits)[0]);
  edit->part = static_cast<uint8_t>((*edits)[1]);
  std::memcpy(&edit->place, edits->data() + 2, 4);
  std::memcpy(&edit->value, edits->data() + 6, 4);
  edits->remove_prefix(kEditBytes);
  return true;
}

// Numbers that break things: limits, NaN, infinities, large and tiny floats; else the value itself.
inline uint32_t Nasty(uint32_t value, uint32_t count) {
  const uint32_t known[] = {0,          1,          count - 1,  count,      count + 1,  0x7F,       0xFF,       0xFFFF,
                            0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFE, 0x7FC00000, 0xFFC00000, 0x7F800000, 0xFF800000,
                            0x7F7FFFFF, 0x00000001, 0x60000000, 0xE0000000};
  constexpr uint32_t kKnown = sizeof(known) / sizeof(known[0]);
  return value % 32 < kKnown ? known[value % 32] : value;
}

// Overwrites a u32 or a byte within bytes[begin, end), or moves a few bytes there.
inline void Overwrite(const Edit& edit, size_t begin, size_t end, uint32_t count, std::string* bytes) {
  if (end - begin < 4) return;
  const uint32_t value = Nasty(edit.value, count);
  const size_t aligned = begin + edit.place % ((end - begin) / 4) * 4, any = begin + edit.place % (end - begin);
  switch (edit.kind % 4) {
    case 0:
    case 1:
      std::memcpy(bytes->data() + aligned, &value, 4);
      return;
    case 2:
      (*bytes)[any] = static_cast<char>(value);
      return;
    default:
      const size_t from = begin + edit.value % (end - begin), size = std::min<size_t>({64, end - from, end - any});
      std::memmove(bytes->data() + any, bytes->data() + from, size);
  }
}

}  // namespace larder::index

#endif  // LARDER_INDEX_FUZZ_EDITS_H_

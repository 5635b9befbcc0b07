#include "index/roaring_check.h"

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "storage/status_macros.h"

namespace larder::index {
namespace {

// Names and numbers of the format specification.
constexpr uint32_t kCookie = 12347;  // with run containers; the count is in its high half
constexpr uint32_t kCookieWithoutRuns = 12346;
constexpr uint32_t kNoOffsetThreshold = 4;
constexpr uint32_t kMaxArrayCount = 4096;
constexpr size_t kBitsetBytes = 8192;

absl::Status Damaged(size_t offset, absl::string_view what) {
  return absl::DataLossError(absl::StrCat("bitmap: at byte ", offset, ": ", what));
}

// A cursor that refuses to pass the end.
class Cursor {
 public:
  explicit Cursor(absl::string_view bytes) : bytes_(bytes) {}
  template <typename T>
  absl::Status Read(T* value) {
    RETURN_IF_ERROR(Need(sizeof(T)));
    std::memcpy(value, bytes_.data() + offset_, sizeof(T));
    offset_ += sizeof(T);
    return absl::OkStatus();
  }
  absl::Status Need(size_t size) const {
    if (bytes_.size() - offset_ >= size) return absl::OkStatus();
    return Damaged(offset_, absl::StrCat("expected ", size, " more bytes, found ", bytes_.size() - offset_));
  }
  size_t offset() const { return offset_; }

 private:
  absl::string_view bytes_;
  size_t offset_ = 0;
};

struct Container {
  uint32_t count = 0;
  bool runs = false;
};

// Cookie, run flags, keys and counts, offsets.
absl::Status ReadHeader(Cursor* cursor, std::vector<Container>* containers, bool* has_offsets) {
  uint32_t cookie = 0, size = 0;
  RETURN_IF_ERROR(cursor->Read(&cookie));
  const bool has_runs = (cookie & 0xFFFF) == kCookie;
  if (has_runs) {
    size = (cookie >> 16) + 1;
  } else {
    if (cookie != kCookieWithoutRuns) return Damaged(0, absl::StrCat("unknown cookie ", cookie));
    RETURN_IF_ERROR(cursor->Read(&size));
  }
  if (size > 65536) return Damaged(4, absl::StrCat("expected at most 65536 containers, found ", size));
  *has_offsets = !has_runs || size >= kNoOffsetThreshold;
  RETURN_IF_ERROR(cursor->Need((has_runs ? (size + 7) / 8 : 0) + size * 4ull));
  containers->resize(size);
  for (uint32_t i = 0; has_runs && i < size; i += 8) {
    uint8_t flags = 0;
    RETURN_IF_ERROR(cursor->Read(&flags));
    for (uint32_t bit = 0; bit < 8 && i + bit < size; ++bit) (*containers)[i + bit].runs = flags >> bit & 1;
  }
  int32_t last_key = -1;
  for (Container& container : *containers) {
    uint16_t key = 0, count_minus_1 = 0;
    RETURN_IF_ERROR(cursor->Read(&key));
    RETURN_IF_ERROR(cursor->Read(&count_minus_1));
    if (key <= last_key) return Damaged(cursor->offset(), "container keys do not ascend");
    last_key = key;
    container.count = count_minus_1 + 1u;
  }
  return absl::OkStatus();
}

absl::Status CheckRuns(Cursor* cursor, uint32_t expected_count) {
  uint16_t runs = 0;
  RETURN_IF_ERROR(cursor->Read(&runs));
  int64_t last = -2;  // runs that touch would be one run
  uint32_t count = 0;
  for (uint32_t i = 0; i < runs; ++i) {
    uint16_t start = 0, length = 0;  // `length` more values follow `start`
    RETURN_IF_ERROR(cursor->Read(&start));
    RETURN_IF_ERROR(cursor->Read(&length));
    if (start <= last || start + length > 65535) return Damaged(cursor->offset(), "runs overlap or overflow");
    last = start + length;
    count += length + 1u;
  }
  if (count == expected_count) return absl::OkStatus();
  return Damaged(cursor->offset(), absl::StrCat("expected ", expected_count, " values, found ", count));
}

absl::Status CheckArray(Cursor* cursor, uint32_t count) {
  int32_t last = -1;
  for (uint32_t i = 0; i < count; ++i) {
    uint16_t value = 0;
    RETURN_IF_ERROR(cursor->Read(&value));
    if (value <= last) return Damaged(cursor->offset(), "values do not ascend");
    last = value;
  }
  return absl::OkStatus();
}

absl::Status CheckBitset(Cursor* cursor, uint32_t expected_count) {
  uint32_t count = 0;
  for (size_t i = 0; i < kBitsetBytes / sizeof(uint64_t); ++i) {
    uint64_t word = 0;
    RETURN_IF_ERROR(cursor->Read(&word));
    count += std::popcount(word);
  }
  if (count == expected_count) return absl::OkStatus();
  return Damaged(cursor->offset(), absl::StrCat("expected ", expected_count, " bits, found ", count));
}

}  // namespace

absl::StatusOr<size_t> CheckRoaring(absl::string_view bytes) {
  Cursor cursor(bytes);
  std::vector<Container> containers;
  bool has_offsets = false;
  RETURN_IF_ERROR(ReadHeader(&cursor, &containers, &has_offsets));
  std::vector<uint32_t> offsets(has_offsets ? containers.size() : 0);
  for (uint32_t& offset : offsets) RETURN_IF_ERROR(cursor.Read(&offset));
  for (size_t i = 0; i < containers.size(); ++i) {
    if (has_offsets && offsets[i] != cursor.offset())
      return Damaged(cursor.offset(), "wrong container offset");
    const Container& container = containers[i];
    RETURN_IF_ERROR(container.runs                      ? CheckRuns(&cursor, container.count)
                    : container.count <= kMaxArrayCount ? CheckArray(&cursor, container.count)
                                                        : CheckBitset(&cursor, container.count));
  }
  return cursor.offset();
}

}  // namespace larder::index

#include "index/tree/posting.h"

#include <cstring>

#include "absl/strings/str_cat.h"

namespace larder::index {
namespace {

constexpr char kMagic[] = "LDRPOST\n";
constexpr uint8_t kVersion = 1;
constexpr size_t kMagicBytes = 8;
// Where each field of an entry's tail is: in a row, and (times 32) in a block.
constexpr size_t kFieldBytes[] = {4, 4, 2, 8, 4, 2};
constexpr size_t kPlaceAt = 10;
constexpr size_t kEntriesAt = 16;  // in the header

template <typename T>
T Load(const uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

EntryPlace PlaceAt(const uint8_t* vid, const uint8_t* group, const uint8_t* slot) {
  return {Load<uint64_t>(vid), Load<uint32_t>(group), Load<uint16_t>(slot)};
}

void PackLane(const PostingCode& code, const uint8_t* row, size_t lane, uint8_t* block) {
  for (uint32_t bit = 0; bit < code.options().bits; ++bit) {
    for (size_t g = 0; g < code.groups(); ++g, block += 16) {
      const int nibble = row[g / 2] >> (g % 2 * 4) & 15;
      block[lane % 16] |= static_cast<uint8_t>(lane < 16 ? nibble : nibble << 4);
    }
    row += code.groups() / 2;
  }
  for (const size_t bytes : kFieldBytes) {
    std::memcpy(block + lane * bytes, row, bytes);
    block += kBlockCodes * bytes, row += bytes;
  }
}

}  // namespace

std::string EncodePosting(const PostingCode& code, uint32_t anchor, const uint8_t* rows, size_t count) {
  const size_t blocks = (count + kBlockCodes - 1) / kBlockCodes;
  std::string bytes(kPostingHeaderBytes + blocks * code.block_bytes(), '\0');
  uint8_t* out = reinterpret_cast<uint8_t*>(bytes.data());
  const uint32_t numbers[3] = {code.options().dimension, static_cast<uint32_t>(count), anchor};
  std::memcpy(out, kMagic, kMagicBytes);
  out[8] = kVersion;
  out[9] = static_cast<uint8_t>(code.options().bits);
  std::memcpy(out + 12, numbers, sizeof(numbers));
  for (size_t i = 0; i < count; ++i) {
    PackLane(code, rows + i * code.row_bytes(), i % kBlockCodes,
             out + kPostingHeaderBytes + i / kBlockCodes * code.block_bytes());
  }
  return bytes;
}

std::string AppendToPosting(const PostingCode& code, absl::string_view first, const uint8_t* rows, size_t count) {
  uint32_t entries = Load<uint32_t>(reinterpret_cast<const uint8_t*>(first.data()) + kEntriesAt);
  const size_t blocks = (entries + count + kBlockCodes - 1) / kBlockCodes;
  std::string bytes;
  bytes.reserve(kPostingHeaderBytes + blocks * code.block_bytes());
  bytes.append(first.data(), first.size());
  bytes.resize(kPostingHeaderBytes + blocks * code.block_bytes());
  uint8_t* out = reinterpret_cast<uint8_t*>(bytes.data());
  for (size_t i = 0; i < count; ++i, ++entries) {
    PackLane(code, rows + i * code.row_bytes(), entries % kBlockCodes,
             out + kPostingHeaderBytes + entries / kBlockCodes * code.block_bytes());
  }
  std::memcpy(out + kEntriesAt, &entries, sizeof(entries));
  return bytes;
}

absl::StatusOr<Posting> Posting::Parse(const PostingCode& code, absl::string_view bytes, absl::string_view what) {
  const auto wrong = [&](absl::string_view why) {
    return absl::DataLossError(absl::StrCat(what, ": not a posting of this index: ", why));
  };
  const uint8_t* data = reinterpret_cast<const uint8_t*>(bytes.data());
  if (bytes.size() < kPostingHeaderBytes || std::memcmp(data, kMagic, kMagicBytes) != 0) return wrong("no header");
  if (data[8] != kVersion) return wrong(absl::StrCat("version ", data[8], ", expected ", kVersion));
  const uint32_t dimension = Load<uint32_t>(data + 12), entries = Load<uint32_t>(data + 16);
  if (data[9] != code.options().bits || dimension != code.options().dimension) {
    return wrong(absl::StrCat(dimension, " dimensions of ", data[9], " bits, expected ", code.options().dimension,
                              " of ", code.options().bits));
  }
  const uint64_t blocks = (uint64_t{entries} + kBlockCodes - 1) / kBlockCodes;
  const uint64_t expected = kPostingHeaderBytes + blocks * code.block_bytes();
  if (bytes.size() != expected) {
    return wrong(absl::StrCat(bytes.size(), " bytes, expected ", expected, " for ", entries, " entries"));
  }
  return Posting(&code, data + kPostingHeaderBytes, entries, Load<uint32_t>(data + 20));
}

EntryPlace Posting::place(size_t entry) const {
  const size_t lane = entry % kBlockCodes;
  const uint8_t* tail = block(entry / kBlockCodes) + code_->options().bits * 16 * code_->groups();
  const uint8_t* vids = tail + kPlaceAt * kBlockCodes;
  const uint8_t* groups = vids + 8 * kBlockCodes;
  return PlaceAt(vids + 8 * lane, groups + 4 * lane, groups + 4 * kBlockCodes + 2 * lane);
}

void Posting::Row(size_t entry, uint8_t* row) const {
  const size_t lane = entry % kBlockCodes, shift = lane < 16 ? 0 : 4;
  const uint8_t* at = block(entry / kBlockCodes) + lane % 16;
  for (uint32_t bit = 0; bit < code_->options().bits; ++bit) {
    for (size_t g = 0; g < code_->groups(); g += 2, at += 32) {
      *row++ = static_cast<uint8_t>((at[0] >> shift & 15) | (at[16] >> shift & 15) << 4);
    }
  }
  at -= lane % 16;
  for (const size_t bytes : kFieldBytes) {
    std::memcpy(row, at + lane * bytes, bytes);
    at += kBlockCodes * bytes, row += bytes;
  }
}

void SetPlaceOfRow(const PostingCode& code, const EntryPlace& place, uint8_t* row) {
  uint8_t* vid = row + code.row_bytes() - PostingCode::kTailBytes + kPlaceAt;
  std::memcpy(vid, &place.vid, sizeof(place.vid));
  std::memcpy(vid + 8, &place.group, sizeof(place.group));
  std::memcpy(vid + 12, &place.slot, sizeof(place.slot));
}

EntryPlace PlaceOfRow(const PostingCode& code, const uint8_t* row) {
  const uint8_t* vid = row + code.row_bytes() - PostingCode::kTailBytes + kPlaceAt;
  return PlaceAt(vid, vid + 8, vid + 12);
}

}  // namespace larder::index

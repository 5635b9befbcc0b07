// Postings: the entries of one tree node, in blocks of 32 that are scanned by table lookups (FastScan).
//
//   header, 32 bytes: magic "LDRPOST\n", u8 version 1, u8 bits, u16 0, u32 dimension, u32 entries, u32 anchor,
//                     8 bytes 0
//   blocks, ceil(entries / 32): for each bit from the lowest 16 * BlockGroups(D) bytes (kernels/bit_codes.h), then
//                     step f32[32], add f32[32], error f16[32], vid u64[32], group u32[32], slot u16[32]
//
// Little endian. Lanes past the last entry are zeros. The checksum is the extent's.
#ifndef LARDER_INDEX_TREE_POSTING_H_
#define LARDER_INDEX_TREE_POSTING_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "index/tree/posting_code.h"

namespace larder::index {

constexpr size_t kPostingHeaderBytes = 32;

// Packs `count` rows (posting_code.h), one after another.
std::string EncodePosting(const PostingCode& code, uint32_t anchor, const uint8_t* rows, size_t count);

// What EncodePosting makes of `first` rows, and then of these behind them.
std::string AppendToPosting(const PostingCode& code, absl::string_view first, const uint8_t* rows, size_t count);

// Borrows checked bytes.
class Posting {
 public:
  // DataLoss, naming `what`, unless they are exactly a posting of this code.
  static absl::StatusOr<Posting> Parse(const PostingCode& code, absl::string_view bytes, absl::string_view what);

  uint32_t entries() const { return entries_; }
  uint32_t anchor() const { return anchor_; }
  size_t blocks() const { return (entries_ + kBlockCodes - 1) / kBlockCodes; }
  const uint8_t* block(size_t i) const { return blocks_ + i * code_->block_bytes(); }
  size_t lanes(size_t i) const { return i + 1 < blocks() ? kBlockCodes : entries_ - i * kBlockCodes; }
  EntryPlace place(size_t entry) const;
  // The entry in row form.
  void Row(size_t entry, uint8_t* row) const;

 private:
  Posting(const PostingCode* code, const uint8_t* blocks, uint32_t entries, uint32_t anchor)
      : code_(code), blocks_(blocks), entries_(entries), anchor_(anchor) {}
  const PostingCode* code_;
  const uint8_t* blocks_;
  uint32_t entries_, anchor_;
};

void SetPlaceOfRow(const PostingCode& code, const EntryPlace& place, uint8_t* row);
EntryPlace PlaceOfRow(const PostingCode& code, const uint8_t* row);

}  // namespace larder::index

#endif  // LARDER_INDEX_TREE_POSTING_H_

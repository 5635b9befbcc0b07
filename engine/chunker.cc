#include "engine/chunker.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/blocks.h"
#include "engine/chunk_packer.h"
#include "engine/text_breaks.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

// A boundary of code points between begin and end, near the middle; `end` if there is none.
size_t CodePointMiddle(absl::string_view text, size_t begin, size_t end) {
  size_t middle = CodePointFloor(text, begin + (end - begin) / 2);
  if (middle > begin) return middle;
  middle = begin + 1;
  while (middle < end && (text[middle] & 0xC0) == 0x80) ++middle;
  return middle;
}

// Turns blocks into units that fit a chunk, and hands them to the packer.
class UnitSplitter {
 public:
  UnitSplitter(absl::string_view text, uint32_t max_tokens, const TokenCounter& tokens, ChunkPacker* packer)
      : text_(text),
        max_tokens_(max_tokens),
        slice_bytes_(std::max<size_t>(4, max_tokens / 2)),
        tokens_(tokens),
        packer_(packer) {}

  absl::Status AddBlock(const Block& block);

 private:
  absl::Status AddSentences(const Block& block, CutPoint cut);
  // Adds text[begin, end): whole if it fits, else in lines, words, graphemes, code points.
  absl::Status AddRange(size_t begin, size_t end, CutPoint cut);
  absl::Status AddLines(size_t begin, size_t end, CutPoint cut);
  absl::Status AddSlices(size_t begin, size_t end, BreakKind kind, CutPoint cut);
  absl::Status AddSlice(size_t begin, size_t end, BreakKind kind, CutPoint cut);
  absl::Status AddHalves(size_t begin, size_t end, CutPoint cut);

  // 0 if it does not fit.
  uint32_t Weigh(size_t begin, size_t end) const;
  void AddUnit(size_t begin, size_t end, uint32_t weight, CutPoint cut);

  const absl::string_view text_;
  const uint32_t max_tokens_;
  const size_t slice_bytes_;  // pieces too small to be counted one by one are taken together up to this
  const TokenCounter& tokens_;
  ChunkPacker* const packer_;
  SectionPath path_;
  std::shared_ptr<const Section> section_ = std::make_shared<Section>();
  bool in_heading_ = false;
  bool after_heading_ = false;
};

absl::Status UnitSplitter::AddBlock(const Block& block) {
  in_heading_ = block.kind == BlockKind::kHeading;
  switch (block.kind) {
    case BlockKind::kHeading:
      path_.Enter(block.heading);
      section_ = std::make_shared<Section>(Section{path_.level(), path_.ToString()});
      return AddRange(block.begin, block.end, CutPoint::kHeading);
    case BlockKind::kCode:
      return AddLines(block.begin, block.end, CutPoint::kParagraph);
    case BlockKind::kListItem:
      return AddSentences(block, CutPoint::kListItem);
    case BlockKind::kParagraph:
      return AddSentences(block, CutPoint::kParagraph);
  }
  return absl::OkStatus();
}

absl::Status UnitSplitter::AddSentences(const Block& block, CutPoint cut) {
  // A line end inside a paragraph is a space, not the end of a sentence as UAX #29 would have it.
  std::string flowing(text_.substr(block.begin, block.end - block.begin));
  std::replace(flowing.begin(), flowing.end(), '\n', ' ');
  std::replace(flowing.begin(), flowing.end(), '\r', ' ');
  absl::Status status;
  auto add = [&](size_t begin, size_t end, bool) {
    if (status.ok()) status = AddRange(block.begin + begin, block.begin + end, cut);
    cut = CutPoint::kSentence;
  };
  RETURN_IF_ERROR(ForEachPiece(flowing, BreakKind::kSentence, add));
  return status;
}

absl::Status UnitSplitter::AddRange(size_t begin, size_t end, CutPoint cut) {
  TrimRange(text_, &begin, &end);
  if (begin == end) return absl::OkStatus();
  if (uint32_t weight = Weigh(begin, end); weight > 0) {
    AddUnit(begin, end, weight, cut);
    return absl::OkStatus();
  }
  return AddLines(begin, end, cut);
}

absl::Status UnitSplitter::AddLines(size_t begin, size_t end, CutPoint cut) {
  absl::string_view part = text_.substr(0, end);
  for (TextLine line = LineAt(part, begin);; line = LineAt(part, line.next)) {
    size_t from = line.begin, to = line.end;
    TrimRange(text_, &from, &to);
    if (from < to) {
      uint32_t weight = Weigh(from, to);
      if (weight > 0) AddUnit(from, to, weight, cut);
      if (weight == 0) RETURN_IF_ERROR(AddSlices(from, to, BreakKind::kWord, cut));
      cut = CutPoint::kLine;
    }
    if (line.next >= end) return absl::OkStatus();
  }
}

absl::Status UnitSplitter::AddSlices(size_t begin, size_t end, BreakKind kind, CutPoint cut) {
  absl::Status status;
  size_t from = begin, to = begin;  // the slice so far
  auto close = [&] {
    if (status.ok() && from < to) status = AddSlice(from, to, kind, std::exchange(cut, CutPoint::kWord));
    from = to;
  };
  auto add = [&](size_t, size_t piece_end, bool) {
    if (begin + piece_end - from > slice_bytes_) close();
    to = begin + piece_end;
  };
  RETURN_IF_ERROR(ForEachPiece(text_.substr(begin, end - begin), kind, add));
  close();
  return status;
}

absl::Status UnitSplitter::AddSlice(size_t begin, size_t end, BreakKind kind, CutPoint cut) {
  TrimRange(text_, &begin, &end);
  if (begin == end) return absl::OkStatus();
  if (uint32_t weight = Weigh(begin, end); weight > 0) {
    AddUnit(begin, end, weight, cut);
    return absl::OkStatus();
  }
  if (kind == BreakKind::kWord) return AddSlices(begin, end, BreakKind::kGrapheme, cut);
  return AddHalves(begin, end, cut);
}

absl::Status UnitSplitter::AddHalves(size_t begin, size_t end, CutPoint cut) {
  if (uint32_t weight = Weigh(begin, end); weight > 0) {
    AddUnit(begin, end, weight, cut);
    return absl::OkStatus();
  }
  size_t middle = CodePointMiddle(text_, begin, end);
  if (middle >= end) {
    return absl::InvalidArgumentError(absl::StrCat("text byte ", begin, ": one character counts more than ",
                                                   max_tokens_, " tokens, the most a chunk may have"));
  }
  RETURN_IF_ERROR(AddHalves(begin, middle, cut));
  return AddHalves(middle, end, CutPoint::kWord);
}

uint32_t UnitSplitter::Weigh(size_t begin, size_t end) const {
  const uint64_t limit = uint64_t{max_tokens_} * kWeightPerToken;
  if (end - begin > limit) return 0;
  uint64_t weight = uint64_t{tokens_(text_.substr(begin, end - begin))} * kWeightPerToken;
  weight = std::max<uint64_t>(weight, end - begin);
  return weight > limit ? 0 : static_cast<uint32_t>(weight);
}

void UnitSplitter::AddUnit(size_t begin, size_t end, uint32_t weight, CutPoint cut) {
  if (after_heading_ && !in_heading_) cut = CutPoint::kGlued;
  after_heading_ = in_heading_;
  packer_->Add({begin, end, weight, cut, in_heading_, section_});
}

absl::Status CheckOptions(absl::string_view text, const ChunkingOptions& options) {
  if (options.max_tokens < 8 || options.max_tokens > 8192) {
    return absl::InvalidArgumentError(
        absl::StrCat("chunking.max_tokens: expected 8 to 8192, found ", options.max_tokens));
  }
  if (uint64_t{options.overlap_tokens} * 2 >= options.max_tokens) {
    return absl::InvalidArgumentError(
        absl::StrCat("chunking.overlap_tokens: expected less than half of max_tokens (", options.max_tokens,
                     "), found ", options.overlap_tokens));
  }
  if (text.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    return absl::InvalidArgumentError(
        absl::StrCat("text: ", text.size(), " bytes cannot be cut into chunks"));
  }
  return absl::OkStatus();
}

}  // namespace

uint32_t CountWords(absl::string_view text) {
  uint32_t words = 0;
  absl::Status status =
      ForEachPiece(text, BreakKind::kWord, [&](size_t, size_t, bool is_word) { words += is_word; });
  if (status.ok()) return words;
  // Without ICU's data: what stands between white space.
  words = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    words += !IsAsciiSpace(text[i]) && (i == 0 || IsAsciiSpace(text[i - 1]));
  }
  return words;
}

absl::StatusOr<std::vector<CutChunk>> CutText(absl::string_view text, absl::string_view media_type,
                                              const ChunkingOptions& options, const TokenCounter& tokens) {
  RETURN_IF_ERROR(CheckOptions(text, options));
  std::vector<CutChunk> chunks;
  ChunkPacker packer(text, options, tokens, &chunks);
  UnitSplitter splitter(text, options.max_tokens, tokens, &packer);
  BlockScanner scanner(text, absl::StartsWithIgnoreCase(media_type, "text/markdown"));
  for (Block block; scanner.Next(&block);) RETURN_IF_ERROR(splitter.AddBlock(block));
  packer.Finish();
  return chunks;
}

}  // namespace larder

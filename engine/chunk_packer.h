// Packs units of text (sentences, lines, slices of long words) into chunks of bounded size, with
// overlap, cutting where the text itself pauses.
#ifndef LARDER_ENGINE_CHUNK_PACKER_H_
#define LARDER_ENGINE_CHUNK_PACKER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "engine/chunker.h"

namespace larder {

// How good a place to cut the start of a unit is; later is better.
enum class CutPoint : uint8_t {
  kGlued,  // right after a heading
  kWord,   // inside a sentence
  kLine,   // between lines of code or of a long sentence
  kSentence,
  kListItem,
  kParagraph,
  kHeading,
};

struct Section {
  uint32_t level = 0;  // 0 = before the first heading
  std::string path;
};

// The weight of a unit is kWeightPerToken a token, and at least one a byte: a tokenizer may hide any
// length behind one unknown token, and count no token for marks; a chunk of megabytes must not result.
inline constexpr uint32_t kWeightPerToken = 32;

struct TextUnit {
  size_t begin = 0, end = 0;  // trimmed, not empty
  uint32_t weight = 0;        // 1 to max_tokens * kWeightPerToken
  CutPoint cut = CutPoint::kSentence;
  bool heading = false;
  std::shared_ptr<const Section> section;
};

// Takes the units in order and appends chunks to `out`. Holds no more than one chunk's units.
// Single-threaded.
class ChunkPacker {
 public:
  ChunkPacker(absl::string_view text, const ChunkingOptions& options, const TokenCounter& tokens,
              std::vector<CutChunk>* out);

  void Add(TextUnit unit);
  void Finish();

 private:
  bool MayJoin(const TextUnit& unit) const;
  // The window's first units that make the next chunk, when no more than the weight `limit` fits; `after` is
  // how good a cut the end of the window is.
  size_t ChooseCut(uint64_t limit, CutPoint after) const;
  void Emit(CutPoint after);
  void KeepOverlap(size_t cut);
  void DropFront();
  void Flush();

  const absl::string_view text_;
  const uint64_t max_tokens_;
  const uint64_t max_weight_;
  const uint64_t overlap_weight_;
  const TokenCounter& tokens_;
  std::vector<CutChunk>* const out_;

  // Invariant: window_[0, repeated_) are in the last chunk as well, the others in none yet;
  // total_ and repeated_weight_ are the sums of
  // their weights; total_ is at most max_weight_.
  std::deque<TextUnit> window_;
  size_t repeated_ = 0;
  uint64_t total_ = 0;
  uint64_t repeated_weight_ = 0;
};

}  // namespace larder

#endif  // LARDER_ENGINE_CHUNK_PACKER_H_

// Cuts a document into chunks: sentence-aware, within a token limit, with overlap, keeping the path
// of headings. Pure functions of their input; thread-safe.
#ifndef LARDER_ENGINE_CHUNKER_H_
#define LARDER_ENGINE_CHUNKER_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "larder/options.h"
#include "larder/types.h"

namespace larder {

struct CutChunk {
  ByteSpan span;          // into the text, on UTF-8 boundaries; text.substr(span) is the chunk
  std::string section;    // "Guide > Install"
  uint32_t token_count = 0;
};

// Tokens in a piece of text. Must be monotone enough that a longer piece never counts less.
using TokenCounter = std::function<uint32_t(absl::string_view)>;

// A word counter by Unicode rules, for embedders whose tokenizer is not known.
uint32_t CountWords(absl::string_view text);

// `text` is valid UTF-8. Chunks are in order, non-empty, at most max_tokens each (a sentence longer
// than that is cut between words, a word longer than that between code points); together they cover
// every non-space byte; a chunk never crosses a heading of the same or a higher level.
absl::StatusOr<std::vector<CutChunk>> CutText(absl::string_view text, absl::string_view media_type,
                                              const ChunkingOptions& options, const TokenCounter& tokens);

}  // namespace larder

#endif  // LARDER_ENGINE_CHUNKER_H_

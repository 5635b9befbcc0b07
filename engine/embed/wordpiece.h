// BERT's uncased tokenizer: words (bert_words.h) cut greedily into the longest pieces of a
// vocabulary, a piece that continues a word being spelt "##piece".
#ifndef LARDER_ENGINE_EMBED_WORDPIECE_H_
#define LARDER_ENGINE_EMBED_WORDPIECE_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/embed/piece_trie.h"

namespace larder {

// Immutable, thread-safe.
class WordPiece {
 public:
  // `vocabulary` is the content of a vocab.txt: one piece a line, its line number (from 0) its id.
  // InvalidArgument if a piece is empty or given twice, or [UNK], [CLS] or [SEP] is missing.
  static absl::StatusOr<WordPiece> FromVocabulary(absl::string_view vocabulary);

  // [CLS], the text's pieces, [SEP]: at most `max_tokens` (2 or more) in all, the rest cut off. A
  // word that the vocabulary cannot spell, or of over 100 characters, is one [UNK]. "[SEP]" and the
  // like inside the text are text.
  std::vector<int32_t> Encode(absl::string_view text, size_t max_tokens) const;

  // The pieces of the whole text, without [CLS] and [SEP]. Where Encode writes [UNK] for a word this
  // counts the pieces that can be spelt and one for each other character, so that a long run of
  // letters is never taken for a short text.
  uint32_t CountTokens(absl::string_view text) const;

 private:
  explicit WordPiece(PieceTrie trie);
  void AppendWord(absl::string_view word, std::vector<int32_t>* ids) const;
  uint32_t CountWord(absl::string_view word) const;
  int32_t IdOf(absl::string_view piece) const;

  PieceTrie trie_;
  PieceTrie::Node continuation_;  // where "##" leads
  int32_t unknown_id_, cls_id_, sep_id_;
};

}  // namespace larder

#endif  // LARDER_ENGINE_EMBED_WORDPIECE_H_

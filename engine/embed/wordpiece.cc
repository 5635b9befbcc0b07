#include "engine/embed/wordpiece.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/embed/bert_words.h"

namespace larder {
namespace {

constexpr size_t kMaxWordCharacters = 100;

bool IsContinuationByte(char c) { return (static_cast<uint8_t>(c) & 0xC0) == 0x80; }

bool TooLong(absl::string_view word) {
  return word.size() > kMaxWordCharacters &&
         word.size() - std::count_if(word.begin(), word.end(), IsContinuationByte) > kMaxWordCharacters;
}

// Bytes of the first character of valid UTF-8.
size_t FirstCharacter(absl::string_view text) {
  size_t length = 1;
  while (length < text.size() && IsContinuationByte(text[length])) ++length;
  return length;
}

}  // namespace

absl::StatusOr<WordPiece> WordPiece::FromVocabulary(absl::string_view vocabulary) {
  if (!vocabulary.empty() && vocabulary.back() == '\n') vocabulary.remove_suffix(1);
  std::vector<std::pair<std::string, int32_t>> entries;
  absl::flat_hash_set<absl::string_view> seen;
  for (absl::string_view piece : absl::StrSplit(vocabulary, '\n')) {
    const int32_t id = static_cast<int32_t>(entries.size());
    if (piece.empty())
      return absl::InvalidArgumentError(absl::StrCat("vocabulary line ", id + 1, " is empty"));
    if (!seen.insert(piece).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("vocabulary line ", id + 1, " repeats the piece ", piece));
    }
    entries.emplace_back(std::string(piece), id);
  }
  for (absl::string_view needed : {"[UNK]", "[CLS]", "[SEP]"}) {
    if (!seen.contains(needed)) {
      return absl::InvalidArgumentError(absl::StrCat("the vocabulary has no ", needed));
    }
  }
  return WordPiece(PieceTrie(std::move(entries)));
}

WordPiece::WordPiece(PieceTrie trie)
    : trie_(std::move(trie)),
      continuation_(trie_.Walk("##")),
      unknown_id_(IdOf("[UNK]")),
      cls_id_(IdOf("[CLS]")),
      sep_id_(IdOf("[SEP]")) {}

int32_t WordPiece::IdOf(absl::string_view piece) const {
  return trie_.Longest(PieceTrie::kRoot, piece).value;
}

std::vector<int32_t> WordPiece::Encode(absl::string_view text, size_t max_tokens) const {
  std::vector<int32_t> ids = {cls_id_};
  const size_t room = std::max<size_t>(max_tokens, 2) - 1;
  ForEachBertWord(text, [&](absl::string_view word) {
    AppendWord(word, &ids);
    return ids.size() < room;
  });
  if (ids.size() > room) ids.resize(room);
  ids.push_back(sep_id_);
  return ids;
}

void WordPiece::AppendWord(absl::string_view word, std::vector<int32_t>* ids) const {
  if (TooLong(word)) return ids->push_back(unknown_id_);
  const size_t before = ids->size();
  for (PieceTrie::Node from = PieceTrie::kRoot; !word.empty(); from = continuation_) {
    const PieceTrie::Match match = from == PieceTrie::kNone ? PieceTrie::Match{} : trie_.Longest(from, word);
    if (match.value < 0) {
      ids->resize(before);
      return ids->push_back(unknown_id_);
    }
    ids->push_back(match.value);
    word.remove_prefix(match.length);
  }
}

uint32_t WordPiece::CountTokens(absl::string_view text) const {
  uint64_t tokens = 0;
  ForEachBertWord(text, [&](absl::string_view word) {
    tokens += CountWord(word);
    return true;
  });
  return static_cast<uint32_t>(std::min<uint64_t>(tokens, std::numeric_limits<uint32_t>::max()));
}

uint32_t WordPiece::CountWord(absl::string_view word) const {
  uint32_t pieces = 0;
  for (PieceTrie::Node from = PieceTrie::kRoot; !word.empty(); from = continuation_, ++pieces) {
    const PieceTrie::Match match = from == PieceTrie::kNone ? PieceTrie::Match{} : trie_.Longest(from, word);
    word.remove_prefix(match.value < 0 ? FirstCharacter(word) : match.length);
  }
  return pieces;
}

}  // namespace larder

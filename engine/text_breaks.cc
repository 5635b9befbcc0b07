#include "engine/text_breaks.h"

#include <unicode/brkiter.h>
#include <unicode/ubrk.h>
#include <unicode/utext.h>

#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace larder {
namespace {

// ICU segments a run of CJK or Thai as a whole, in memory in proportion to it; windows bound that.
constexpr size_t kWordWindowBytes = 64 << 10;

struct UTextCloser {
  void operator()(UText* text) const { utext_close(text); }
};

icu::BreakIterator* CreateIterator(BreakKind kind, UErrorCode* error) {
  const icu::Locale& root = icu::Locale::getRoot();
  switch (kind) {
    case BreakKind::kSentence:
      return icu::BreakIterator::createSentenceInstance(root, *error);
    case BreakKind::kWord:
      return icu::BreakIterator::createWordInstance(root, *error);
    case BreakKind::kGrapheme:
      return icu::BreakIterator::createCharacterInstance(root, *error);
  }
  return nullptr;
}

// An iterator lent from those of the thread. A callback may break text itself (to count words, say),
// so that more than one of a kind can be in use.
class LentIterator {
 public:
  explicit LentIterator(BreakKind kind) : kind_(kind) {
    if (Free().empty()) {
      iterator_.reset(CreateIterator(kind, &error_));
    } else {
      iterator_ = std::move(Free().back());
      Free().pop_back();
    }
  }
  ~LentIterator() {
    if (ok()) Free().push_back(std::move(iterator_));
  }

  bool ok() const { return U_SUCCESS(error_) && iterator_ != nullptr; }
  const char* error() const { return u_errorName(error_); }
  icu::BreakIterator* get() { return iterator_.get(); }

 private:
  std::vector<std::unique_ptr<icu::BreakIterator>>& Free() const {
    thread_local std::vector<std::unique_ptr<icu::BreakIterator>> free[3];
    return free[static_cast<int>(kind_)];
  }

  const BreakKind kind_;
  UErrorCode error_ = U_ZERO_ERROR;
  std::unique_ptr<icu::BreakIterator> iterator_;
};

absl::Status BreakWindow(absl::string_view text, size_t base, icu::BreakIterator* iterator, PieceFn piece) {
  UErrorCode error = U_ZERO_ERROR;
  std::unique_ptr<UText, UTextCloser> utext(
      utext_openUTF8(nullptr, text.data(), static_cast<int64_t>(text.size()), &error));
  if (U_SUCCESS(error)) iterator->setText(utext.get(), error);
  if (U_FAILURE(error)) {
    return absl::InternalError(
        absl::StrCat("ICU cannot read ", text.size(), " bytes of text: ", u_errorName(error)));
  }
  int32_t begin = iterator->first();
  for (int32_t end = iterator->next(); end != icu::BreakIterator::DONE; end = iterator->next()) {
    piece(base + begin, base + end, iterator->getRuleStatus() >= UBRK_WORD_NONE_LIMIT);
    begin = end;
  }
  return absl::OkStatus();
}

// A window ends after white space where it can, so that it cuts no word.
size_t WindowEnd(absl::string_view text, size_t begin, size_t limit) {
  if (text.size() - begin <= limit) return text.size();
  size_t end = begin + limit;
  for (size_t i = end; i > begin + limit / 2; --i) {
    if (IsAsciiSpace(text[i - 1])) return i;
  }
  return CodePointFloor(text, end);
}

}  // namespace

absl::Status ForEachPiece(absl::string_view text, BreakKind kind, PieceFn piece) {
  LentIterator iterator(kind);
  if (!iterator.ok()) {
    return absl::InternalError(absl::StrCat("ICU break iterator ", static_cast<int>(kind),
                                            " cannot be created: ", iterator.error()));
  }
  // Sentences need no dictionary, only offsets that ICU can count in 31 bits.
  size_t limit = kind == BreakKind::kSentence ? size_t{1} << 30 : kWordWindowBytes;
  for (size_t begin = 0; begin < text.size();) {
    size_t end = WindowEnd(text, begin, limit);
    absl::Status status = BreakWindow(text.substr(begin, end - begin), begin, iterator.get(), piece);
    if (!status.ok()) return status;
    begin = end;
  }
  return absl::OkStatus();
}

size_t CodePointFloor(absl::string_view text, size_t offset) {
  if (offset >= text.size()) return text.size();
  size_t floor = offset;
  // At most three continuation bytes: anything longer is not UTF-8, and is cut where asked.
  for (int i = 0; i < 3 && floor > 0 && (text[floor] & 0xC0) == 0x80; ++i) --floor;
  return (text[floor] & 0xC0) == 0x80 || floor == 0 ? offset : floor;
}

void TrimRange(absl::string_view text, size_t* begin, size_t* end) {
  while (*begin < *end && IsAsciiSpace(text[*begin])) ++*begin;
  while (*end > *begin && IsAsciiSpace(text[*end - 1])) --*end;
}

}  // namespace larder

#include "engine/embed/bert_words.h"

#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/utf16.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <array>
#include <limits>
#include <string>

namespace larder {
namespace {

enum class AsciiKind : uint8_t { kDropped, kSpace, kPunctuation, kWord };

struct AsciiTable {
  std::array<AsciiKind, 128> kind{};
  std::array<char, 128> lower{};
};

constexpr AsciiTable MakeAsciiTable() {
  AsciiTable table;
  for (int c = 0; c < 128; ++c) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool digit = c >= '0' && c <= '9';
    table.lower[c] = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      table.kind[c] = AsciiKind::kSpace;
    } else if (c < ' ' || c == 0x7f) {
      table.kind[c] = AsciiKind::kDropped;
    } else {
      table.kind[c] = letter || digit ? AsciiKind::kWord : AsciiKind::kPunctuation;
    }
  }
  return table;
}

constexpr AsciiTable kAscii = MakeAsciiTable();

// Code points that have no category (Cn) are kept: which ones these are changes with every version
// of Unicode, and a vector must not change with the ICU it was made with.
bool IsControl(UChar32 c) {
  constexpr uint32_t kControl = U_GC_CC_MASK | U_GC_CF_MASK | U_GC_CS_MASK | U_GC_CO_MASK;
  return (U_GET_GC_MASK(c) & kControl) != 0;
}

bool IsPunctuation(UChar32 c) {
  return c < 128 ? kAscii.kind[c] == AsciiKind::kPunctuation : (U_GET_GC_MASK(c) & U_GC_P_MASK) != 0;
}

bool IsIdeograph(UChar32 c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
         (c >= 0x2A700 && c <= 0x2CEAF) || (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

const UNormalizer2* Nfd() {
  static const UNormalizer2* const nfd = [] {
    UErrorCode error = U_ZERO_ERROR;
    const UNormalizer2* instance = unorm2_getNFDInstance(&error);
    return U_SUCCESS(error) ? instance : nullptr;
  }();
  return nfd;
}

class WordSplitter {
 public:
  explicit WordSplitter(absl::FunctionRef<bool(absl::string_view)> visit) : visit_(visit) {
    word_.reserve(256);
  }

  void Split(absl::string_view text) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
    const int64_t size = text.size();
    int64_t i = 0;
    while (i < size && going_) {
      if (bytes[i] < 128) {
        AddAscii(bytes[i++]);
      } else {
        UChar32 c;
        U8_NEXT(bytes, i, size, c);
        if (c >= 0) AddWide(c);
      }
    }
    EndWord();
  }

 private:
  void AddAscii(uint8_t c) {
    switch (kAscii.kind[c]) {
      case AsciiKind::kWord:
        word_.push_back(kAscii.lower[c]);
        break;
      case AsciiKind::kSpace:
        EndWord();
        break;
      case AsciiKind::kPunctuation:
        EndWord();
        word_.push_back(static_cast<char>(c));
        EndWord();
        break;
      case AsciiKind::kDropped:
        break;
    }
  }

  // Decomposing one code point at a time leaves out NFD's reordering of marks; nearly all of the
  // marks that it moves are dropped here.
  void AddWide(UChar32 c) {
    if (c == 0xFFFD || IsControl(c)) return;
    const bool ideograph = IsIdeograph(c);
    if (ideograph) EndWord();
    UErrorCode error = U_ZERO_ERROR;
    UChar parts[32];  // the longest canonical decomposition has 4
    const int32_t length = Nfd() == nullptr ? -1 : unorm2_getDecomposition(Nfd(), c, parts, 32, &error);
    if (length < 0 || U_FAILURE(error)) {
      AddDecomposed(c);
    } else {
      for (int32_t i = 0; i < length;) {
        UChar32 part;
        U16_NEXT(parts, i, length, part);
        AddDecomposed(part);
      }
    }
    if (ideograph) EndWord();
  }

  void AddDecomposed(UChar32 c) {
    if (u_charType(c) == U_NON_SPACING_MARK) return;
    if (u_isUWhiteSpace(c)) return EndWord();
    const bool punctuation = IsPunctuation(c);
    if (punctuation) EndWord();
    char utf8[U8_MAX_LENGTH];
    int32_t length = 0;
    U8_APPEND_UNSAFE(utf8, length, u_tolower(c));
    word_.append(utf8, length);
    if (punctuation) EndWord();
  }

  void EndWord() {
    if (word_.empty()) return;
    if (going_) going_ = visit_(word_);
    word_.clear();
  }

  absl::FunctionRef<bool(absl::string_view)> visit_;
  std::string word_;
  bool going_ = true;
};

}  // namespace

void ForEachBertWord(absl::string_view text, absl::FunctionRef<bool(absl::string_view)> visit) {
  WordSplitter(visit).Split(text);
}

uint32_t ApproximateTokens(absl::string_view text) {
  uint64_t words = 0;
  ForEachBertWord(text, [&words](absl::string_view word) {
    words += (word.size() + 11) / 12;
    return true;
  });
  const uint64_t tokens = (words * 13 + 9) / 10;
  return static_cast<uint32_t>(std::min<uint64_t>(tokens, std::numeric_limits<uint32_t>::max()));
}

}  // namespace larder

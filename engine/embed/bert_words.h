// Text to words, as BERT's uncased models saw it in training: the BasicTokenizer of
// https://github.com/google-research/bert (tokenization.py) in the order that Hugging Face's
// BertNormalizer and BertPreTokenizer apply it.
#ifndef LARDER_ENGINE_EMBED_BERT_WORDS_H_
#define LARDER_ENGINE_EMBED_BERT_WORDS_H_

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"

namespace larder {

// Calls `visit` with each word in order, until it returns false. A word is lower-case UTF-8 without
// accents or control characters, and valid only during the call; every punctuation mark and every
// CJK ideograph is a word of its own. Bytes that are not UTF-8 count as U+FFFD, which is dropped.
void ForEachBertWord(absl::string_view text, absl::FunctionRef<bool(absl::string_view word)> visit);

// Tokens of a text for a model whose tokenizer is not known: 1.3 a word, a long word (a hash, an
// encoded blob) counting once per 12 bytes begun. Never less for a longer text.
uint32_t ApproximateTokens(absl::string_view text);

}  // namespace larder

#endif  // LARDER_ENGINE_EMBED_BERT_WORDS_H_

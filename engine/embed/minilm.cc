#include "engine/embed/minilm.h"

#include <openssl/evp.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/embed/minilm_graph.h"
#include "engine/embed/wordpiece.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

// sentence-transformers/all-MiniLM-L6-v2, as published.
constexpr char kWeightsSha256[] = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db";
constexpr char kVocabularySha256[] = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3";
constexpr size_t kBatchTokens = 256;  // more at once is no faster, and makes others wait

absl::Status CheckSha256(const std::string& path, absl::string_view bytes, absl::string_view expected) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest, &size, EVP_sha256(), nullptr) != 1) {
    return absl::InternalError("OpenSSL cannot compute SHA-256");
  }
  const std::string found =
      absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), size));
  if (found == expected) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(path, ": SHA-256 is ", found, ", expected ", expected));
}

absl::Status NotFoundIn(const std::string& model_dir, const std::string& file) {
  return absl::NotFoundError(
      absl::StrCat("no ", file, " of all-MiniLM-L6-v2 in \"", model_dir,
                   "\": run tools/setup, or let LARDER_MODEL_DIR name a directory that has model.safetensors "
                   "and vocab.txt"));
}

absl::StatusOr<WordPiece> LoadTokenizer(const std::string& model_dir) {
  const std::string path = model_dir + "/vocab.txt";
  std::ifstream in(path, std::ios::binary);
  if (!in) return NotFoundIn(model_dir, "vocab.txt");
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  RETURN_IF_ERROR(CheckSha256(path, text, kVocabularySha256));
  return WordPiece::FromVocabulary(text);
}

absl::StatusOr<SafetensorsFile> LoadWeights(const std::string& model_dir) {
  const std::string path = model_dir + "/model.safetensors";
  auto weights = SafetensorsFile::Open(path);
  if (absl::IsNotFound(weights.status())) return NotFoundIn(model_dir, "model.safetensors");
  RETURN_IF_ERROR(weights.status());
  RETURN_IF_ERROR(CheckSha256(path, weights->contents(), kWeightsSha256));
  return weights;
}

class MiniLm : public Embedder {
 public:
  MiniLm(WordPiece tokenizer, std::unique_ptr<MiniLmRuntime> runtime)
      : tokenizer_(std::move(tokenizer)), runtime_(std::move(runtime)) {}

  uint32_t dimension() const override { return kMiniLmDimension; }
  uint32_t max_tokens() const override { return kMiniLmWindow - 2; }  // [CLS] and [SEP] take two
  std::string fingerprint() const override { return absl::StrCat("minilm:sha256=", kWeightsSha256); }
  uint32_t CountTokens(absl::string_view text) const override { return tokenizer_.CountTokens(text); }

  absl::StatusOr<std::vector<float>> Embed(absl::Span<const std::string> texts) const override {
    std::vector<std::vector<int32_t>> ids;
    std::vector<size_t> lengths;
    for (const std::string& text : texts) {
      ids.push_back(tokenizer_.Encode(text, kMiniLmWindow));
      lengths.push_back(ids.back().size());
    }
    std::vector<float> vectors(texts.size() * kMiniLmDimension);
    RETURN_IF_ERROR(runtime_->Run(ids, PlanBatches(lengths, kBatchTokens), vectors.data()));
    return vectors;
  }

 private:
  const WordPiece tokenizer_;
  const std::unique_ptr<MiniLmRuntime> runtime_;
};

}  // namespace

absl::StatusOr<Precision> ChooseMiniLmPrecision() {
  const char* wanted = std::getenv("LARDER_MINILM_PRECISION");
  const absl::string_view name = wanted == nullptr ? "auto" : wanted;
  if (name == "f32") return Precision::kF32;
  if (name == "bf16") return Precision::kBf16;
  if (name != "auto") {
    return absl::InvalidArgumentError(
        absl::StrCat("LARDER_MINILM_PRECISION: expected f32, bf16 or auto, found ", name));
  }
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512bf16")) return Precision::kBf16;
#endif
  return Precision::kF32;
}

absl::StatusOr<std::shared_ptr<Embedder>> OpenMiniLmWith(const std::string& model_dir, Precision precision) {
  ASSIGN_OR_RETURN(WordPiece tokenizer, LoadTokenizer(model_dir));
  ASSIGN_OR_RETURN(SafetensorsFile weights, LoadWeights(model_dir));
  ASSIGN_OR_RETURN(auto runtime, MiniLmRuntime::Create(std::move(weights), precision));
  return std::make_shared<MiniLm>(std::move(tokenizer), std::move(runtime));
}

absl::StatusOr<std::shared_ptr<Embedder>> OpenMiniLm(const std::string& model_dir) {
  ASSIGN_OR_RETURN(const Precision precision, ChooseMiniLmPrecision());
  return OpenMiniLmWith(model_dir.empty() ? DefaultModelDir() : model_dir, precision);
}

}  // namespace larder

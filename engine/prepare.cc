#include "engine/prepare.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/chunker.h"
#include "engine/limits.h"
#include "index/vector_index.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

// Texts that await the embedder, and where their vectors go.
struct PendingTexts {
  struct Slot {
    size_t document;
    uint32_t ordinal;
  };
  std::vector<std::string> texts;
  std::vector<Slot> slots;
};

std::string EmbedderInput(const Document& document, const ChunkRecord& chunk, bool prepend_title) {
  std::string input;
  if (prepend_title && !document.title.empty()) absl::StrAppend(&input, document.title, "\n");
  if (prepend_title && !chunk.section.empty()) absl::StrAppend(&input, chunk.section, "\n");
  return absl::StrCat(input, chunk.text);
}

absl::Status CutOwnChunks(const CollectionOptions& options, const Embedder* embedder, PreparedDocument* out) {
  const Document& document = *out->source;
  const TokenCounter count = [embedder](absl::string_view text) {
    return embedder == nullptr ? CountWords(text) : embedder->CountTokens(text);
  };
  ASSIGN_OR_RETURN(const std::vector<CutChunk> cuts,
                   CutText(document.text, document.media_type, options.chunking, count));
  if (cuts.empty()) return absl::InvalidArgumentError("document has neither text nor chunks");
  for (const CutChunk& cut : cuts) {
    ChunkRecord chunk;
    chunk.span = cut.span;
    chunk.section = cut.section;
    chunk.token_count = cut.token_count;
    chunk.text = document.text.substr(cut.span.begin, cut.span.end - cut.span.begin);
    out->chunks.push_back(std::move(chunk));
  }
  return absl::OkStatus();
}

void TakeGivenChunks(const Embedder* embedder, PreparedDocument* out) {
  for (const GivenChunk& given : out->source->chunks) {
    ChunkRecord chunk;
    if (given.span) chunk.span = *given.span;
    chunk.section = given.section;
    chunk.text = given.text;
    chunk.token_count = embedder == nullptr ? CountWords(given.text) : embedder->CountTokens(given.text);
    chunk.metadata = given.metadata;
    out->chunks.push_back(std::move(chunk));
  }
}

absl::Status CheckGivenSpaces(const GivenChunk& given, uint32_t ordinal, const CollectionOptions& options) {
  for (const auto& [name, values] : given.vectors) {
    const auto same = [&name = name](const VectorSpaceOptions& space) { return space.name == name; };
    if (std::none_of(options.spaces.begin(), options.spaces.end(), same)) {
      return absl::InvalidArgumentError(
          absl::StrCat("chunk ", ordinal, ": there is no vector space \"", name, "\""));
    }
  }
  return absl::OkStatus();
}

// Takes the given vectors; a space without one is left to the embedder, if it can fill it.
absl::Status TakeVectors(const CollectionOptions& options, const Embedder* embedder, PreparedDocument* out,
                         bool* needs_embedding) {
  const Document& document = *out->source;
  out->vectors.resize(options.spaces.size());
  for (size_t s = 0; s < options.spaces.size(); ++s) {
    out->vectors[s].resize(out->chunks.size() * options.spaces[s].dimension);
  }
  for (uint32_t i = 0; i < out->chunks.size(); ++i) {
    const GivenChunk* given = document.chunks.empty() ? nullptr : &document.chunks[i];
    if (given != nullptr) RETURN_IF_ERROR(CheckGivenSpaces(*given, i, options));
    for (size_t s = 0; s < options.spaces.size(); ++s) {
      const VectorSpaceOptions& space = options.spaces[s];
      const std::vector<float>* values = nullptr;
      if (given != nullptr) {
        const auto it = given->vectors.find(space.name);
        if (it != given->vectors.end()) values = &it->second;
      }
      if (values == nullptr && embedder != nullptr && embedder->dimension() == space.dimension &&
          !out->chunks[i].text.empty()) {
        *needs_embedding = true;
        continue;
      }
      if (values == nullptr) {
        return absl::InvalidArgumentError(absl::StrCat("chunk ", i, ": no vector for space \"", space.name,
                                                       "\" and nothing to embed it with"));
      }
      const absl::Status good = index::CheckVector(*values, space.dimension, static_cast<index::Metric>(space.metric));
      if (!good.ok()) {
        return absl::InvalidArgumentError(
            absl::StrCat("chunk ", i, ", space \"", space.name, "\": ", good.message()));
      }
      std::copy(values->begin(), values->end(), out->vectors[s].begin() + size_t{i} * space.dimension);
    }
  }
  return absl::OkStatus();
}

absl::Status PrepareOne(const CollectionOptions& options, const Embedder* embedder, PreparedDocument* out,
                        bool* needs_embedding) {
  const Document& document = *out->source;
  RETURN_IF_ERROR(ValidateDocument(document));
  if (document.chunks.empty()) {
    RETURN_IF_ERROR(CutOwnChunks(options, embedder, out));
  } else {
    TakeGivenChunks(embedder, out);
  }
  for (uint32_t i = 0; i < out->chunks.size(); ++i) {
    out->chunks[i].document_id = document.id;
    out->chunks[i].tenant = document.tenant;
    out->chunks[i].ordinal = i;
    RETURN_IF_ERROR(ValidateMetadata(MergeMetadata(document.metadata, out->chunks[i].metadata)));
  }
  return TakeVectors(options, embedder, out, needs_embedding);
}

// Writes one embedded row into every space that was not given a vector.
void FillVectors(const CollectionOptions& options, absl::Span<const float> row, uint32_t ordinal,
                 PreparedDocument* out) {
  const Document& document = *out->source;
  for (size_t s = 0; s < options.spaces.size(); ++s) {
    if (options.spaces[s].dimension != row.size()) continue;
    if (!document.chunks.empty() && document.chunks[ordinal].vectors.count(options.spaces[s].name) > 0) continue;
    std::copy(row.begin(), row.end(), out->vectors[s].begin() + size_t{ordinal} * row.size());
  }
}

void EmbedPending(const CollectionOptions& options, const Embedder& embedder, const PendingTexts& pending,
                  std::vector<PreparedDocument>* prepared) {
  const absl::StatusOr<std::vector<float>> rows = embedder.Embed(pending.texts);
  const size_t dimension = embedder.dimension();
  for (size_t i = 0; i < pending.slots.size(); ++i) {
    PreparedDocument& out = (*prepared)[pending.slots[i].document];
    if (!rows.ok()) {
      out.status = rows.status();
      continue;
    }
    const absl::Span<const float> row(rows->data() + i * dimension, dimension);
    // A model may answer NaN or zero; that must not reach an index.
    for (const VectorSpaceOptions& space : options.spaces) {
      if (space.dimension != dimension || !out.status.ok()) continue;
      out.status = index::CheckVector(row, space.dimension, static_cast<index::Metric>(space.metric));
    }
    FillVectors(options, row, pending.slots[i].ordinal, &out);
  }
}

}  // namespace

std::vector<PreparedDocument> PrepareDocuments(absl::Span<const Document> documents,
                                               const CollectionOptions& options, const Embedder* embedder) {
  std::vector<PreparedDocument> prepared(documents.size());
  PendingTexts pending;
  for (size_t d = 0; d < documents.size(); ++d) {
    PreparedDocument& out = prepared[d];
    out.source = &documents[d];
    bool needs_embedding = false;
    out.status = PrepareOne(options, embedder, &out, &needs_embedding);
    if (!out.status.ok() || !needs_embedding) continue;
    for (uint32_t i = 0; i < out.chunks.size(); ++i) {
      pending.texts.push_back(EmbedderInput(documents[d], out.chunks[i], options.chunking.prepend_title));
      pending.slots.push_back({d, i});
    }
  }
  if (!pending.texts.empty()) EmbedPending(options, *embedder, pending, &prepared);
  return prepared;
}

}  // namespace larder

// Small documents with vectors of their own, for collections without an embedder.
#ifndef LARDER_TESTS_SUPPORT_DOCUMENTS_H_
#define LARDER_TESTS_SUPPORT_DOCUMENTS_H_

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "larder/database.h"

namespace larder::testing {

inline CollectionOptions VectorsOnly(uint32_t dimension, IndexKind index = IndexKind::kFlat,
                                     Metric metric = Metric::kCosine) {
  CollectionOptions options;
  options.embedder = EmbedderKind::kNone;
  options.spaces[0].dimension = dimension;
  options.spaces[0].index = index;
  options.spaces[0].metric = metric;
  return options;
}

inline std::vector<float> RandomVector(uint32_t dimension, std::mt19937_64& random) {
  std::normal_distribution<float> normal;
  std::vector<float> vector(dimension);
  for (float& x : vector) x = normal(random);
  return vector;
}

inline GivenChunk ChunkOf(std::string text, std::vector<float> vector) {
  GivenChunk chunk;
  chunk.text = std::move(text);
  chunk.vectors["default"] = std::move(vector);
  return chunk;
}

inline Document DocumentOf(std::string id, std::vector<float> vector, Metadata metadata = {}) {
  Document document;
  document.id = std::move(id);
  document.metadata = std::move(metadata);
  document.chunks.push_back(ChunkOf("text of " + document.id, std::move(vector)));
  return document;
}

}  // namespace larder::testing

#endif  // LARDER_TESTS_SUPPORT_DOCUMENTS_H_

// An in-memory model of a collection: the oracle that a database is held against.
#ifndef LARDER_TESTS_SUPPORT_MODEL_H_
#define LARDER_TESTS_SUPPORT_MODEL_H_

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "engine/filter.h"
#include "larder/types.h"

namespace larder::testing {

class CollectionModel {
 public:
  using Key = std::pair<std::string, std::string>;  // tenant, id

  void Upsert(const Document& document) {
    Document& stored = documents_[{document.tenant, document.id}];
    const uint64_t version = stored.version + 1;
    stored = document;
    stored.version = version;
  }
  bool Delete(const Key& key) { return documents_.erase(key) > 0; }

  // Tenant's documents with a matching chunk. (Chunks here have no metadata of their own.)
  std::vector<std::string> Matching(const std::string& tenant, const Filter& filter) const {
    std::vector<std::string> ids;
    for (const auto& [key, document] : documents_) {
      if (key.first == tenant && Matches(filter, document.metadata)) ids.push_back(key.second);
    }
    return ids;
  }

  // Scores of the k best chunks by cosine in `space`, best first.
  std::vector<float> TopScores(const std::string& tenant, const Filter& filter, const std::string& space,
                               const std::vector<float>& query, size_t k) const {
    std::vector<float> scores;
    for (const auto& [key, document] : documents_) {
      if (key.first != tenant || !Matches(filter, document.metadata)) continue;
      for (const GivenChunk& chunk : document.chunks) scores.push_back(Cosine(query, chunk.vectors.at(space)));
    }
    std::sort(scores.rbegin(), scores.rend());
    scores.resize(std::min(k, scores.size()));
    return scores;
  }

  const std::map<Key, Document>& documents() const { return documents_; }

  static float Cosine(const std::vector<float>& a, const std::vector<float>& b) {
    double dot = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      dot += static_cast<double>(a[i]) * b[i];
      aa += static_cast<double>(a[i]) * a[i];
      bb += static_cast<double>(b[i]) * b[i];
    }
    return static_cast<float>(dot / std::sqrt(aa * bb));
  }

 private:
  std::map<Key, Document> documents_;
};

}  // namespace larder::testing

#endif  // LARDER_TESTS_SUPPORT_MODEL_H_

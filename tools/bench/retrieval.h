#ifndef LARDER_TOOLS_BENCH_RETRIEVAL_H_
#define LARDER_TOOLS_BENCH_RETRIEVAL_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"

namespace larder::tools {

struct RetrievalOptions {
  std::string data;       // a folder with corpus.jsonl, queries.jsonl, qrels.tsv
  std::string directory;  // of the database
  uint32_t max_tokens = 200, overlap_tokens = 30;
  bool json = false;
};

// Ingests the corpus from its text, asks every judged query, ranks documents by their best chunk.
absl::Status RunRetrieval(const RetrievalOptions& options);

}  // namespace larder::tools

#endif  // LARDER_TOOLS_BENCH_RETRIEVAL_H_

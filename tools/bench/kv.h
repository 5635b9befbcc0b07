// larder-bench kv: what the store of KV caches costs, beside the bare disk and memory. A section measures
// one thing; a new one is a function of its own in kSections (kv.cc).
#ifndef LARDER_TOOLS_BENCH_KV_H_
#define LARDER_TOOLS_BENCH_KV_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace larder::tools {

struct KvOptions {
  std::vector<std::string> sections;  // names; none = all
  std::string directory;              // where databases are made
  std::string codec = "raw";
  uint32_t tokens = 512, layers = 30, heads = 3, dim = 64;  // of a chunk: SmolLM2-135M
  uint32_t chunks = 14, batches = 50, queries = 2;          // of the reorder workload; queries a batch
  double prefill_us_per_token = 60;                         // what a token costs that is not here
  uint32_t passes = 7;                                      // medians
  std::string keys, values;  // of the codec section: files of f16 [layer][token][head][dim]; "" = random numbers
  bool json = false;
  std::string plot;  // a PNG to write; "" = none
};

struct KvFigure {
  std::string name;  // in the summary
  double value = 0;
  std::string text;  // what it is, with its unit
};
// `lines` are details, for JSON and the picture: either {"name", "value"} or {"x", "y", "x_name", "y_name"}.
struct KvResult {
  std::vector<KvFigure> figures;
  std::vector<nlohmann::ordered_json> lines;
};
using KvSection = absl::StatusOr<KvResult> (*)(const KvOptions& options);

absl::StatusOr<KvResult> MeasureReorder(const KvOptions& options);  // kv_reorder.cc
absl::StatusOr<KvResult> MeasureDisk(const KvOptions& options);     // kv_disk.cc
absl::StatusOr<KvResult> MeasureLocal(const KvOptions& options);    // kv_local.cc
absl::StatusOr<KvResult> MeasureCodecs(const KvOptions& options);   // kv_codec.cc

// Prints a table, or JSON lines; the last line is the summary, with every figure that was measured.
absl::Status RunKv(const KvOptions& options);

}  // namespace larder::tools

#endif  // LARDER_TOOLS_BENCH_KV_H_

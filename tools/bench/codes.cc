#include "tools/bench/codes.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "index/codes/bit_code.h"
#include "index/codes/code.h"
#include "index/vector_math.h"
#include "storage/status_macros.h"
#include "tools/bench/ann_data.h"
#include "tools/bench/plot.h"

namespace larder::tools {
namespace {

constexpr uint32_t kNeighbors = 10;
constexpr uint32_t kReranks[] = {0, 20, 50, 100};
constexpr size_t kMostReranked = 100;
constexpr size_t kTrainRows = 20000;
constexpr size_t kChunk = 4096;  // rows a call

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

index::Metric MetricOf(const std::string& name) {
  return name == "l2" ? index::Metric::kL2 : name == "dot" ? index::Metric::kDot : index::Metric::kCosine;
}

struct CodesData {
  uint32_t dimension = 0;
  index::Metric metric = index::Metric::kCosine;
  size_t rows = 0;
  std::vector<float> base, sample;
  std::vector<std::vector<float>> queries;
  std::vector<std::vector<uint32_t>> truth;
};

absl::StatusOr<CodesData> Load(const CodesOptions& options) {
  AnnOptions files;
  files.base = options.base, files.query = options.query, files.ground_truth = options.ground_truth;
  files.metric = options.metric, files.limit = options.limit, files.k = kNeighbors;
  ASSIGN_OR_RETURN(AnnData loaded, LoadAnnData(files));
  CodesData data;
  data.dimension = static_cast<uint32_t>(loaded.base->dim());
  data.metric = MetricOf(options.metric);
  data.rows = loaded.rows;
  data.base.resize(data.rows * data.dimension);
  RETURN_IF_ERROR(loaded.base->Read(0, data.rows, data.base.data()));
  const auto canonicalize = [&](float* row) { index::Canonicalize({row, data.dimension}, data.metric, row); };
  for (size_t i = 0; i < data.rows; ++i) canonicalize(&data.base[i * data.dimension]);
  data.queries = std::move(loaded.queries);
  data.truth = std::move(loaded.truth);
  const size_t queries = std::min<size_t>(options.queries, data.queries.size());
  data.queries.resize(queries);
  data.truth.resize(queries);
  for (auto& query : data.queries) canonicalize(query.data());
  const size_t taken = std::min(kTrainRows, data.rows);
  for (size_t i = 0; i < taken; ++i) {
    const float* row = &data.base[i * data.rows / taken * data.dimension];
    data.sample.insert(data.sample.end(), row, row + data.dimension);
  }
  return data;
}

struct CodeResult {
  std::string name;
  double bytes = 0, train_s = 0, encode_per_s = 0, scan_per_s = 0, block_scan_per_s = 0;
  double recall[std::size(kReranks)] = {};
};

using Ranked = std::pair<float, uint32_t>;

// The kMostReranked smallest, best first.
void Select(const std::vector<float>& distances, std::vector<Ranked>* best) {
  best->clear();
  for (uint32_t row = 0; row < distances.size(); ++row) {
    const Ranked candidate{distances[row], row};
    if (best->size() < kMostReranked) {
      best->push_back(candidate);
      std::push_heap(best->begin(), best->end());
    } else if (candidate < best->front()) {
      std::pop_heap(best->begin(), best->end());
      best->back() = candidate;
      std::push_heap(best->begin(), best->end());
    }
  }
  std::sort_heap(best->begin(), best->end());
}

std::vector<uint32_t> Rerank(const CodesData& data, const std::vector<float>& query, std::vector<Ranked> best,
                             size_t reranked) {
  const auto kernel = index::SelectKernels(index::FormOf(data.metric)).batch;
  best.resize(std::min(best.size(), std::max<size_t>(reranked, kNeighbors)));
  for (size_t i = 0; i < best.size() && reranked > 0; ++i) {
    const float* row = &data.base[best[i].second * static_cast<size_t>(data.dimension)];
    kernel(query.data(), &row, 1, data.dimension, &best[i].first);
  }
  std::sort(best.begin(), best.end());
  std::vector<uint32_t> rows;
  for (size_t i = 0; i < std::min<size_t>(kNeighbors, best.size()); ++i) rows.push_back(best[i].second);
  return rows;
}

// Every row by code for every query; the scan's seconds are the estimates' alone.
void Scan(const CodesData& data, const index::Code& code, const std::vector<const uint8_t*>& codes,
          CodeResult* result) {
  std::vector<std::vector<uint32_t>> found[std::size(kReranks)];
  std::vector<float> distances(data.rows);
  std::vector<Ranked> best;
  index::CodeQuery prepared;
  double seconds = 0;
  for (const std::vector<float>& query : data.queries) {
    const double start = Now();
    code.Prepare(query.data(), &prepared);
    for (size_t i = 0; i < data.rows; i += kChunk) {
      code.Estimate(prepared, &codes[i], std::min(kChunk, data.rows - i), &distances[i]);
    }
    seconds += Now() - start;
    Select(distances, &best);
    for (size_t i = 0; i < std::size(kReranks); ++i) found[i].push_back(Rerank(data, query, best, kReranks[i]));
  }
  result->scan_per_s = static_cast<double>(data.rows * data.queries.size()) / seconds;
  for (size_t i = 0; i < std::size(kReranks); ++i) result->recall[i] = Recall(found[i], data.truth);
}

void ScanBlocks(const CodesData& data, const index::BitCode& code, const std::vector<const uint8_t*>& codes,
                CodeResult* result) {
  const size_t blocks = data.rows / index::kBlockCodes;
  std::vector<uint8_t> packed(blocks * code.block_bytes());
  for (size_t i = 0; i < blocks; ++i) {
    code.PackBlock(&codes[i * index::kBlockCodes], index::kBlockCodes, &packed[i * code.block_bytes()]);
  }
  index::CodeQuery prepared;
  float out[index::kBlockCodes];
  const double start = Now();
  for (const std::vector<float>& query : data.queries) {
    code.PrepareBlocks(query.data(), &prepared);
    for (size_t i = 0; i < blocks; ++i) code.EstimateBlock(prepared, &packed[i * code.block_bytes()], out);
  }
  result->block_scan_per_s =
      static_cast<double>(blocks * index::kBlockCodes * data.queries.size()) / (Now() - start);
}

absl::StatusOr<CodeResult> MeasureCode(const CodesData& data, const std::string& name) {
  ASSIGN_OR_RETURN(const index::CodeOptions options, index::ParseCodeName(name, data.dimension, data.metric));
  double start = Now();
  ASSIGN_OR_RETURN(const std::unique_ptr<index::Code> code, index::TrainCode(options, data.sample));
  CodeResult result{name, static_cast<double>(code->bytes()), Now() - start};
  std::vector<uint8_t> bytes(data.rows * code->bytes());
  start = Now();
  for (size_t i = 0; i < data.rows; ++i) code->Encode(&data.base[i * data.dimension], &bytes[i * code->bytes()]);
  result.encode_per_s = static_cast<double>(data.rows) / (Now() - start);
  std::vector<const uint8_t*> codes(data.rows);
  for (size_t i = 0; i < data.rows; ++i) codes[i] = &bytes[i * code->bytes()];
  Scan(data, *code, codes, &result);
  const auto* bits = dynamic_cast<const index::BitCode*>(code.get());
  if (bits != nullptr && code->options().bits == 1) ScanBlocks(data, *bits, codes, &result);
  return result;
}

std::string JsonLine(const CodeResult& r) {
  const nlohmann::ordered_json line = {
      {"code", r.name},           {"bytes_per_vector", r.bytes}, {"recall10", r.recall[0]},
      {"recall10_rerank20", r.recall[1]}, {"recall10_rerank50", r.recall[2]}, {"recall10_rerank100", r.recall[3]},
      {"train_s", r.train_s},     {"encode_per_s", r.encode_per_s},  {"scan_per_s", r.scan_per_s},
      {"block_scan_per_s", r.block_scan_per_s}};
  return line.dump();
}

void PrintRow(const CodeResult& r) {
  std::printf("%-9s %6.0f %7.4f %7.4f %7.4f %7.4f %8.1f %10.0f %9.1f", r.name.c_str(), r.bytes, r.recall[0],
              r.recall[1], r.recall[2], r.recall[3], r.train_s, r.encode_per_s, r.scan_per_s / 1e6);
  if (r.block_scan_per_s > 0) std::printf("  (blocks: %.1f)", r.block_scan_per_s / 1e6);
  std::printf("\n");
  std::fflush(stdout);
}

std::vector<std::string> AllCodes(uint32_t dimension) {
  const std::string parts = absl::StrCat(std::max(1u, dimension / 4));
  return {"f32",     "f16",     "sq8",     "sq4",     "sq4x8",   "pq" + parts, "opq" + parts, "binary1", "binary2",
          "binary4", "rabitq1", "rabitq2", "rabitq3", "rabitq4", "rabitq5",    "rabitq8"};
}

}  // namespace

absl::Status RunCodes(const CodesOptions& options) {
  ASSIGN_OR_RETURN(const CodesData data, Load(options));
  if (!options.json) {
    std::printf("%zu x %u, %s, %zu queries, one thread; recall@10 by the codes alone and after exact rerank\n"
                "%-9s %6s %7s %7s %7s %7s %8s %10s %9s\n",
                data.rows, data.dimension, options.metric.c_str(), data.queries.size(), "code", "bytes", "none", "20",
                "50", "100", "train s", "encode/s", "Mscan/s");
  }
  std::vector<std::string> lines;
  for (const std::string& name : options.codes.empty() ? AllCodes(data.dimension) : options.codes) {
    ASSIGN_OR_RETURN(const CodeResult result, MeasureCode(data, name));
    lines.push_back(JsonLine(result));
    if (options.json) std::printf("%s\n", lines.back().c_str());
    if (!options.json) PrintRow(result);
  }
  return options.plot.empty() ? absl::OkStatus() : Plot("codes", lines, options.plot);
}

}  // namespace larder::tools

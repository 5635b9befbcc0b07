#include "tools/bench/filters.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <random>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "larder/database.h"
#include "storage/status_macros.h"
#include "tools/bench/ann_report.h"
#include "tools/bench/ann_system.h"
#include "tools/bench/filter_cases.h"
#include "tools/bench/plot.h"
#include "tools/readers/matrix_reader.h"

namespace larder::tools {
namespace {

using nlohmann::json;

constexpr size_t kBatch = 500;
constexpr uint32_t kMostFetched = 10'000;  // of post-filtering

void Normalize(float* vector, size_t dimension) {
  const double norm = std::sqrt(std::inner_product(vector, vector + dimension, vector, 0.0));
  if (norm == 0) return;
  for (size_t i = 0; i < dimension; ++i) vector[i] = static_cast<float>(vector[i] / norm);
}

absl::Status ReadRows(const std::string& path, uint64_t most, size_t* dimension, std::vector<float>* out) {
  ASSIGN_OR_RETURN(const auto reader, MatrixReader::Open(path));
  const uint64_t rows = most == 0 ? reader->rows() : std::min(most, reader->rows());
  *dimension = reader->dim();
  out->resize(rows * reader->dim());
  return reader->Read(0, rows, out->data());
}

// Gaussian clouds around a hundred centres.
void Generate(const FiltersOptions& options, FilterVectors* out) {
  std::mt19937_64 random(options.seed);
  std::normal_distribution<float> normal;
  out->dimension = options.dimension;
  std::vector<float> centres(100 * options.dimension);
  for (float& x : centres) x = normal(random);
  const auto draw = [&](size_t rows, std::vector<float>* to) {
    to->resize(rows * options.dimension);
    for (size_t i = 0; i < rows; ++i) {
      const float* centre = centres.data() + random() % 100 * options.dimension;
      for (size_t d = 0; d < options.dimension; ++d) (*to)[i * options.dimension + d] = centre[d] + 0.7f * normal(random);
    }
  };
  draw(options.rows, &out->base);
  draw(options.queries, &out->queries);
}

absl::StatusOr<FilterVectors> LoadVectors(const FiltersOptions& options) {
  FilterVectors vectors;
  if (options.base.empty() != options.query.empty()) {
    return absl::InvalidArgumentError("--base and --query go together");
  }
  if (options.base.empty()) {
    Generate(options, &vectors);
  } else {
    size_t dimension = 0;
    RETURN_IF_ERROR(ReadRows(options.base, options.limit, &vectors.dimension, &vectors.base));
    RETURN_IF_ERROR(ReadRows(options.query, options.queries, &dimension, &vectors.queries));
    if (dimension != vectors.dimension) {
      return absl::InvalidArgumentError(absl::StrCat(options.query, ": dimension ", dimension, ", but ", options.base,
                                                     " has ", vectors.dimension));
    }
  }
  if (vectors.base.empty() || vectors.queries.empty()) return absl::InvalidArgumentError("no rows or no queries");
  if (options.metric != "cosine") return vectors;
  for (size_t i = 0; i < vectors.rows(); ++i) Normalize(vectors.base.data() + i * vectors.dimension, vectors.dimension);
  for (size_t i = 0; i < vectors.query_count(); ++i) Normalize(vectors.queries.data() + i * vectors.dimension, vectors.dimension);
  return vectors;
}

struct Truth {
  std::vector<uint32_t> rows;  // the k nearest that match
  uint64_t matches = 0;
};

// truth[c][q]: all rows in order of distance, and of these the first that match.
std::vector<std::vector<Truth>> ComputeTruth(const FilterVectors& vectors, const FilterData& data, uint32_t k, bool l2) {
  std::vector<std::vector<Truth>> truth(data.cases().size() + 1, std::vector<Truth>(vectors.query_count()));
  const size_t dimension = vectors.dimension;
  InThreads(2, [&](uint32_t t) {
    std::vector<std::pair<float, uint32_t>> order(vectors.rows());
    for (size_t q = t; q < vectors.query_count(); q += 2) {
      for (uint32_t i = 0; i < order.size(); ++i) {
        const float *a = vectors.row(i), *b = vectors.query(q);
        float sum = 0;
        for (size_t d = 0; d < dimension; ++d) sum += l2 ? (a[d] - b[d]) * (a[d] - b[d]) : -a[d] * b[d];
        order[i] = {sum, i};
      }
      std::sort(order.begin(), order.end());
      for (size_t c = 0; c <= data.cases().size(); ++c) {
        Truth& out = truth[c][q];
        for (const auto& [distance, row] : order) {
          if (c > 0 && !data.cases()[c - 1].asked[q].matches(data.attributes()[row])) continue;
          ++out.matches;
          if (out.rows.size() < k) out.rows.push_back(row);
        }
      }
    }
    return absl::OkStatus();
  }).IgnoreError();
  return truth;
}

struct Figures {
  std::vector<double> micros;          // p50 of each pass
  std::vector<double> ratios, p99;     // to the unfiltered search of the same pass; p99
  double recall = 0, matches = 0, estimate = 0, filter_us = 0, first_ms = 0;
  uint64_t short_answers = 0, wrong_counts = 0;
  std::map<std::string, int> plans;
};

class Filters {
 public:
  explicit Filters(const FiltersOptions& options) : options_(options) {}

  absl::Status Run();

 private:
  absl::Status Open();
  absl::Status Ingest();
  absl::StatusOr<SearchReply> Search(size_t q, const std::string& filter, uint32_t k, bool exact) const;
  absl::StatusOr<std::vector<uint32_t>> PostFilter(size_t q, const AskedFilter& asked) const;
  // One pass of all queries. `filter` null = unfiltered.
  absl::Status Pass(const FilterCase* filter, const std::vector<Truth>& truth, Figures* out) const;
  absl::Status Classic(const FilterCase& filter, const std::vector<Truth>& truth, bool post, Figures* out) const;
  json Line(const std::string& name, const Figures& ours) const;
  double RecallOf(const std::vector<uint32_t>& found, const Truth& truth) const;

  const FiltersOptions options_;
  FilterVectors vectors_;
  std::unique_ptr<FilterData> data_;
  std::unique_ptr<Database> database_;
  std::optional<Collection> collection_;
};

absl::Status Filters::Open() {
  OpenOptions open;
  open.create_if_missing = true;
  open.tune_recall = false;  // its checks would run beside what is timed
  ASSIGN_OR_RETURN(database_, Database::Open(options_.directory + "/filters", open));
  if (options_.keep) {
    absl::StatusOr<Collection> kept = database_->GetCollection("filters");
    if (kept.ok()) {
      collection_.emplace(*std::move(kept));
      if (collection_->Info().chunks == vectors_.rows()) return absl::OkStatus();
      return absl::FailedPreconditionError(absl::StrCat(options_.directory, " holds ", collection_->Info().chunks,
                                                        " rows, expected ", vectors_.rows()));
    }
  }
  CollectionOptions options;
  options.embedder = EmbedderKind::kNone;
  options.spaces[0].dimension = static_cast<uint32_t>(vectors_.dimension);
  options.spaces[0].metric = options_.metric == "l2" ? Metric::kL2 : options_.metric == "dot" ? Metric::kDot : Metric::kCosine;
  ASSIGN_OR_RETURN(Collection created, database_->CreateCollection("filters", options));
  collection_.emplace(std::move(created));
  return Ingest();
}

absl::Status Filters::Ingest() {
  std::atomic<size_t> next{0};
  return InThreads(options_.threads, [&](uint32_t) -> absl::Status {
    for (size_t first = next.fetch_add(kBatch); first < vectors_.rows(); first = next.fetch_add(kBatch)) {
      std::vector<Document> batch(std::min(kBatch, vectors_.rows() - first));
      for (size_t i = 0; i < batch.size(); ++i) {
        batch[i].id = absl::StrCat(first + i);
        batch[i].metadata = data_->MetadataOf(first + i);
        batch[i].chunks.resize(1);
        const float* row = vectors_.row(first + i);
        batch[i].chunks[0].vectors["default"].assign(row, row + vectors_.dimension);
      }
      ASSIGN_OR_RETURN(const std::vector<UpsertResult> results, collection_->Upsert(batch));
      for (const UpsertResult& result : results) {
        if (result.error_code != 0) return absl::InvalidArgumentError(absl::StrCat("row ", result.id, ": ", result.error));
      }
    }
    return absl::OkStatus();
  });
}

absl::StatusOr<SearchReply> Filters::Search(size_t q, const std::string& filter, uint32_t k, bool exact) const {
  SearchRequest request;
  request.vector.assign(vectors_.query(q), vectors_.query(q) + vectors_.dimension);
  request.filter = filter;
  request.k = k;
  request.exact = exact;
  request.include_text = false;
  request.timings = true;
  return collection_->Search(request);
}

uint32_t RowOf(const Hit& hit) {
  uint32_t row = UINT32_MAX;
  return absl::SimpleAtoi(hit.document_id, &row) ? row : UINT32_MAX;
}

// Fetches four times as many until k of them match, or all were fetched that a search may ask for.
absl::StatusOr<std::vector<uint32_t>> Filters::PostFilter(size_t q, const AskedFilter& asked) const {
  std::vector<uint32_t> found;
  for (uint32_t fetched = options_.k;; fetched = std::min(4 * fetched, kMostFetched)) {
    ASSIGN_OR_RETURN(const SearchReply reply, Search(q, "", fetched, false));
    found.clear();
    for (const Hit& hit : reply.hits) {
      if (asked.matches(data_->attributes()[RowOf(hit)])) found.push_back(RowOf(hit));
    }
    if (found.size() >= options_.k || fetched == kMostFetched) break;
  }
  if (found.size() > options_.k) found.resize(options_.k);
  return found;
}

double Filters::RecallOf(const std::vector<uint32_t>& found, const Truth& truth) const {
  if (truth.rows.empty()) return 1;
  uint64_t hits = 0;
  for (const uint32_t row : truth.rows) hits += std::find(found.begin(), found.end(), row) != found.end();
  return static_cast<double>(hits) / static_cast<double>(truth.rows.size());
}

absl::Status Filters::Pass(const FilterCase* filter, const std::vector<Truth>& truth, Figures* out) const {
  std::vector<double> micros, filter_micros;
  Figures pass;
  const size_t queries = vectors_.query_count();
  for (size_t q = 0; q < queries; ++q) {
    const std::string expression = filter == nullptr ? "" : filter->asked[q].expression;
    const absl::Time start = absl::Now();
    ASSIGN_OR_RETURN(const SearchReply reply, Search(q, expression, options_.k, false));
    micros.push_back(absl::ToDoubleMicroseconds(absl::Now() - start));
    std::vector<uint32_t> found;
    for (const Hit& hit : reply.hits) found.push_back(RowOf(hit));
    pass.recall += RecallOf(found, truth[q]) / static_cast<double>(queries);
    pass.matches += static_cast<double>(reply.matches) / static_cast<double>(queries);
    pass.estimate += reply.recall_estimate.value_or(-1) / static_cast<double>(queries);
    pass.short_answers += found.size() < truth[q].rows.size();
    pass.wrong_counts += reply.matches != truth[q].matches;
    for (const StageTiming& stage : reply.timings) {
      if (stage.stage == "filter") filter_micros.push_back(stage.micros);
    }
    ++pass.plans[reply.plan];
  }
  pass.filter_us = Quantile(filter_micros, 0.5);
  pass.first_ms = out->micros.empty() ? micros[0] / 1000 : out->first_ms;
  pass.micros = std::move(out->micros);
  pass.ratios = std::move(out->ratios);
  pass.p99 = std::move(out->p99);
  pass.micros.push_back(Quantile(micros, 0.5));
  pass.p99.push_back(Quantile(micros, 0.99));
  *out = std::move(pass);
  return absl::OkStatus();
}

absl::Status Filters::Classic(const FilterCase& filter, const std::vector<Truth>& truth, bool post, Figures* out) const {
  std::vector<double> micros;
  for (size_t q = 0; q < vectors_.query_count(); ++q) {
    const absl::Time start = absl::Now();
    std::vector<uint32_t> found;
    if (post) {
      ASSIGN_OR_RETURN(found, PostFilter(q, filter.asked[q]));
    } else {
      ASSIGN_OR_RETURN(const SearchReply reply, Search(q, filter.asked[q].expression, options_.k, true));
      for (const Hit& hit : reply.hits) found.push_back(RowOf(hit));
    }
    micros.push_back(absl::ToDoubleMicroseconds(absl::Now() - start));
    out->recall += RecallOf(found, truth[q]) / static_cast<double>(vectors_.query_count());
    out->short_answers += found.size() < truth[q].rows.size();
  }
  out->micros.push_back(Quantile(micros, 0.5));
  return absl::OkStatus();
}

json Filters::Line(const std::string& name, const Figures& ours) const {
  json plans = json::object();
  for (const auto& [plan, count] : ours.plans) plans[plan] = count;
  return {{"filter", name},
          {"matches", ours.matches},
          {"share", ours.matches / static_cast<double>(vectors_.rows())},
          {"plans", plans},
          {"recall", ours.recall},
          {"recall_estimate", ours.estimate},
          {"p50_us", Quantile(ours.micros, 0.5)},
          {"p99_us", Quantile(ours.p99, 0.5)},
          {"filter_us", ours.filter_us},
          {"first_ms", ours.first_ms},
          {"latency_ratio", ours.ratios.empty() ? 1 : Quantile(ours.ratios, 0.5)},
          {"short_answers", ours.short_answers},
          {"wrong_counts", ours.wrong_counts}};
}

void PrintLine(const json& line, bool as_json) {
  if (as_json) {
    std::printf("%s\n", line.dump().c_str());
  } else {
    std::printf("%-20s %9.0f %7.4f %6.3f %8.0f %8.0f %6.2f %5d  %8.0f %6.3f %8.0f  %s\n",
                line["filter"].get<std::string>().c_str(), line["matches"].get<double>(), line["recall"].get<double>(),
                line["recall_estimate"].get<double>(), line["p50_us"].get<double>(), line["filter_us"].get<double>(),
                line["latency_ratio"].get<double>(), line["short_answers"].get<int>(), line.value("post_p50_us", 0.0),
                line.value("post_recall", 0.0), line.value("exact_p50_us", 0.0), line["plans"].dump().c_str());
  }
  std::fflush(stdout);
}

absl::Status Filters::Run() {
  ASSIGN_OR_RETURN(vectors_, LoadVectors(options_));
  data_ = std::make_unique<FilterData>(vectors_, options_.seed);
  const auto truth = ComputeTruth(vectors_, *data_, options_.k, options_.metric == "l2");
  RETURN_IF_ERROR(Open());
  if (!options_.json) {
    std::printf("%-20s %9s %7s %6s %8s %8s %6s %5s  %8s %6s %8s\n", "filter", "matches", "recall", "est.", "p50 us",
                "of it", "ratio", "short", "post us", "recall", "exact us");
  }
  Figures unfiltered;
  RETURN_IF_ERROR(Pass(nullptr, truth[0], &unfiltered));  // warms up
  unfiltered.micros.clear();
  std::vector<std::string> lines;
  double worst_recall = 1, worst_ratio = 0;
  uint64_t short_answers = 0;
  json narrow;
  for (size_t c = 0; c < data_->cases().size(); ++c) {
    const FilterCase& filter = data_->cases()[c];
    if (filter.name.find(options_.only) == std::string::npos) continue;
    Figures ours, warm, post, exact;
    RETURN_IF_ERROR(Pass(&filter, truth[c + 1], &warm));
    for (uint32_t pass = 0; pass < options_.passes; ++pass) {  // A B A B
      RETURN_IF_ERROR(Pass(nullptr, truth[0], &unfiltered));
      RETURN_IF_ERROR(Pass(&filter, truth[c + 1], &ours));
      ours.ratios.push_back(ours.micros.back() / unfiltered.micros.back());
    }
    ours.first_ms = warm.first_ms;
    RETURN_IF_ERROR(Classic(filter, truth[c + 1], true, &post));
    RETURN_IF_ERROR(Classic(filter, truth[c + 1], false, &exact));
    json line = Line(filter.name, ours);
    line["post_p50_us"] = post.micros[0];
    line["post_recall"] = post.recall;
    line["post_short_answers"] = post.short_answers;
    line["exact_p50_us"] = exact.micros[0];
    line["exact_recall"] = exact.recall;
    PrintLine(line, options_.json);
    lines.push_back(line.dump());
    worst_recall = std::min(worst_recall, ours.recall);
    worst_ratio = std::max(worst_ratio, line["latency_ratio"].get<double>());
    short_answers += ours.short_answers;
    if (filter.window && narrow.is_null()) narrow = post.micros[0] / Quantile(ours.micros, 0.5);
  }
  PrintLine(Line("none", unfiltered), options_.json);
  const json summary = {{"summary", true},
                        {"rows", vectors_.rows()},
                        {"dimension", vectors_.dimension},
                        {"unfiltered_recall", unfiltered.recall},
                        {"unfiltered_p50_us", Quantile(unfiltered.micros, 0.5)},
                        {"worst_recall", worst_recall},
                        {"worst_latency_ratio", worst_ratio},
                        {"short_answers", short_answers},
                        {"narrow_window_ratio_post", narrow},
                        {"ratio_best_peer_qps", nullptr}};
  std::printf("%s\n", summary.dump().c_str());
  return options_.plot.empty() ? absl::OkStatus() : Plot("filters", lines, options_.plot);
}

}  // namespace

absl::Status RunFilters(const FiltersOptions& options) { return Filters(options).Run(); }

}  // namespace larder::tools

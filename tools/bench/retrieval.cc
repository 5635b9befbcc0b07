#include "tools/bench/retrieval.h"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "larder/database.h"
#include "storage/status_macros.h"
#include "tools/bench/ann_report.h"
#include "tools/bench/process_memory.h"
#include "tools/bench/retrieval_scores.h"
#include "tools/progress.h"
#include "tools/readers/document_reader.h"

namespace larder::tools {
namespace {

constexpr size_t kDepth = 10;
constexpr size_t kBatchDocuments = 256;

struct Judged {
  std::string id, text;
  Gains gains;
};

absl::StatusOr<std::map<std::string, Gains>> ReadJudgements(const std::string& path) {
  std::ifstream in(path);
  if (!in) return absl::NotFoundError(absl::StrCat(path, ": cannot be read"));
  std::map<std::string, Gains> judgements;
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    const std::vector<std::string> fields = absl::StrSplit(line, '\t');
    double gain = 0;
    if (fields.size() == 3 && absl::SimpleAtod(fields[2], &gain)) {
      judgements[fields[0]][fields[1]] = gain;
    } else if (number > 1 && !line.empty()) {  // the first line may be a heading
      return absl::InvalidArgumentError(absl::StrCat(path, ", line ", number, ": expected query, document, gain"));
    }
  }
  return judgements;
}

absl::StatusOr<std::vector<Judged>> ReadQueries(const std::string& directory) {
  ASSIGN_OR_RETURN(auto judgements, ReadJudgements(directory + "/qrels.tsv"));
  const std::string path = directory + "/queries.jsonl";
  std::ifstream in(path);
  if (!in) return absl::NotFoundError(absl::StrCat(path, ": cannot be read"));
  std::vector<Judged> queries;
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    const auto json = nlohmann::json::parse(line, nullptr, false);
    if (!json.is_object() || !json.value("_id", nlohmann::json()).is_string() ||
        !json.value("text", nlohmann::json()).is_string()) {
      return absl::InvalidArgumentError(absl::StrCat(path, ", line ", number, ": expected _id and text"));
    }
    Judged query{json["_id"], json["text"], {}};
    const auto found = judgements.find(query.id);
    if (found == judgements.end()) continue;  // nobody judged it
    query.gains = std::move(found->second);
    queries.push_back(std::move(query));
  }
  return queries;
}

absl::Status Ingest(const RetrievalOptions& options, Collection* docs) {
  DocumentReaderOptions reading;
  reading.on_skip = [](const absl::Status& status) { std::fprintf(stderr, "skipped: %s\n", status.ToString().c_str()); };
  ASSIGN_OR_RETURN(const auto reader, DocumentReader::Open({options.data + "/corpus.jsonl"}, reading));
  ProgressOptions bar;
  bar.label = "ingest";
  bar.unit = ProgressUnit::kBytes;
  bar.total = reader->sources().total_bytes;
  Progress progress(bar);
  std::vector<Document> batch;
  for (uint64_t before = 0;;) {
    ASSIGN_OR_RETURN(std::optional<SourcedDocument> next, reader->Next());
    if (next) batch.push_back(std::move(next->document));
    if (next && batch.size() < kBatchDocuments) continue;
    ASSIGN_OR_RETURN(const std::vector<UpsertResult> results, docs->Upsert(batch));
    for (const UpsertResult& result : results) {
      if (result.error_code != 0) std::fprintf(stderr, "document \"%s\": %s\n", result.id.c_str(), result.error.c_str());
    }
    progress.Advance(reader->consumed_bytes() - before);
    before = reader->consumed_bytes();
    batch.clear();
    if (!next) return absl::OkStatus();
  }
}

// Of each search, one a query unless more chunks had to be asked for.
struct Timings {
  std::vector<double> total_us, embed_us;
};

// The first `kDepth` documents by their best chunk: more chunks are asked for until there are enough.
absl::StatusOr<std::vector<std::string>> RankDocuments(const Collection& docs, const std::string& text,
                                                       Timings* timings) {
  SearchRequest request;
  request.timings = true;
  request.text = text;
  request.include_text = false;
  for (request.k = 4 * kDepth;; request.k *= 4) {
    const absl::Time start = absl::Now();
    ASSIGN_OR_RETURN(const SearchReply reply, docs.Search(request));
    timings->total_us.push_back(absl::ToDoubleMicroseconds(absl::Now() - start));
    for (const StageTiming& stage : reply.timings) {
      if (stage.stage == "embed") timings->embed_us.push_back(stage.micros);
    }
    std::vector<std::string> ranked;
    std::set<std::string> seen;
    for (const Hit& hit : reply.hits) {
      if (ranked.size() < kDepth && seen.insert(hit.document_id).second) ranked.push_back(hit.document_id);
    }
    if (ranked.size() == kDepth || reply.hits.size() < request.k || request.k * 4 > 10'000) return ranked;
  }
}

}  // namespace

absl::Status RunRetrieval(const RetrievalOptions& options) {
  ASSIGN_OR_RETURN(const std::vector<Judged> queries, ReadQueries(options.data));
  if (queries.empty()) return absl::InvalidArgumentError(absl::StrCat(options.data, ": no judged query"));
  const std::string path = options.directory + "/retrieval";
  OpenOptions open;
  open.create_if_missing = true;
  open.error_if_exists = true;  // what lies there is not ours to remove
  ASSIGN_OR_RETURN(const auto db, Database::Open(path, open));
  CollectionOptions collection;
  collection.chunking.max_tokens = options.max_tokens;
  collection.chunking.overlap_tokens = options.overlap_tokens;
  const absl::Time loading = absl::Now();
  ASSIGN_OR_RETURN(Collection docs, db->CreateCollection("corpus", collection));
  const absl::Time start = absl::Now();
  RETURN_IF_ERROR(Ingest(options, &docs));
  const double ingest_s = absl::ToDoubleSeconds(absl::Now() - start);
  double recall = 0, ndcg = 0, mrr = 0;
  Timings timings;
  for (const Judged& query : queries) {
    ASSIGN_OR_RETURN(const std::vector<std::string> ranked, RankDocuments(docs, query.text, &timings));
    recall += RecallAt(ranked, query.gains, kDepth);
    ndcg += NdcgAt(ranked, query.gains, kDepth);
    mrr += ReciprocalRankAt(ranked, query.gains, kDepth);
  }
  const double count = static_cast<double>(queries.size());
  const CollectionInfo info = docs.Info();
  nlohmann::ordered_json out = {{"data", std::filesystem::path(options.data).filename().string()},
                                {"queries", queries.size()},
                                {"documents", info.documents},
                                {"chunks", info.chunks},
                                {"recall_at_10", recall / count},
                                {"ndcg_at_10", ndcg / count},
                                {"mrr_at_10", mrr / count},
                                {"load_s", absl::ToDoubleSeconds(start - loading)},
                                {"ingest_s", ingest_s},
                                {"chunks_per_s", static_cast<double>(info.chunks) / ingest_s},
                                {"ndcg_gain", "linear, as trec_eval's ndcg"},
                                {"embed_p50_us", Quantile(timings.embed_us, 0.5)},
                                {"search_p50_us", Quantile(timings.total_us, 0.5)},
                                {"search_p99_us", Quantile(timings.total_us, 0.99)},
                                {"peak_rss_mb", PeakResidentMb()}};
  if (options.json) {
    std::printf("%s\n", out.dump().c_str());
  } else {
    for (const auto& [name, value] : out.items()) std::printf("%-16s %s\n", name.c_str(), value.dump().c_str());
  }
  return absl::OkStatus();
}

}  // namespace larder::tools

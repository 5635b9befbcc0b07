#include "tools/bench/arrivals.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "larder/database.h"
#include "storage/status_macros.h"
#include "tools/bench/ann_report.h"
#include "tools/readers/matrix_reader.h"

namespace larder::tools {
namespace {

constexpr uint64_t kBuildBatch = 500;

struct Arrived {
  std::vector<double> upsert_ms, found_ms;
  double rate = 0;  // reached
};

class Arrivals {
 public:
  Arrivals(const ArrivalsOptions& options, const MatrixReader* base, std::unique_ptr<Database> database,
           Collection collection)
      : options_(options), base_(*base), database_(std::move(database)), collection_(std::move(collection)) {}

  absl::Status Upsert(uint64_t first, uint64_t count) {
    std::vector<float> rows(count * base_.dim());
    RETURN_IF_ERROR(base_.Read(first, count, rows.data()));
    std::vector<Document> batch(count);
    for (uint64_t i = 0; i < count; ++i) {
      batch[i].id = absl::StrCat(first + i);
      batch[i].chunks.resize(1);
      batch[i].chunks[0].vectors["default"].assign(rows.begin() + i * base_.dim(), rows.begin() + (i + 1) * base_.dim());
    }
    return collection_.Upsert(batch).status();
  }

  // Latencies in microseconds, until `stop`.
  absl::StatusOr<std::vector<double>> Search(const std::vector<std::vector<float>>& queries,
                                             const std::function<bool()>& stop) const {
    std::vector<double> micros;
    for (size_t q = 0; !stop(); q = (q + 1) % queries.size()) {
      const absl::Time before = absl::Now();
      RETURN_IF_ERROR(Hits(queries[q]).status());
      micros.push_back(absl::ToDoubleMicroseconds(absl::Now() - before));
    }
    return micros;
  }

  // Upserts rows [first, end) at the rate.
  absl::StatusOr<Arrived> Arrive(uint64_t first, uint64_t end) {
    Arrived arrived;
    const absl::Time start = absl::Now();
    for (uint64_t at = first; at < end; at += options_.batch) {
      const uint64_t count = std::min<uint64_t>(options_.batch, end - at);
      absl::SleepFor(start + absl::Seconds(static_cast<double>(at - first) / options_.rate) - absl::Now());
      const absl::Time before = absl::Now();
      RETURN_IF_ERROR(Upsert(at, count));
      const absl::Time acknowledged = absl::Now();
      RETURN_IF_ERROR(WaitForHit(at + count - 1));
      arrived.upsert_ms.push_back(absl::ToDoubleMilliseconds(acknowledged - before));
      arrived.found_ms.push_back(absl::ToDoubleMilliseconds(absl::Now() - acknowledged));
    }
    arrived.rate = static_cast<double>(end - first) / absl::ToDoubleSeconds(absl::Now() - start);
    return arrived;
  }

 private:
  absl::StatusOr<std::vector<Hit>> Hits(const std::vector<float>& vector) const {
    SearchRequest request;
    request.vector = vector;
    request.k = options_.k;
    request.ef = options_.ef;
    request.include_text = false;
    ASSIGN_OR_RETURN(SearchReply reply, collection_.Search(request));
    return std::move(reply.hits);
  }

  absl::Status WaitForHit(uint64_t row) const {
    std::vector<float> vector(base_.dim());
    RETURN_IF_ERROR(base_.Read(row, 1, vector.data()));
    const std::string id = absl::StrCat(row);
    const absl::Time give_up = absl::Now() + absl::Seconds(5);
    while (absl::Now() < give_up) {
      ASSIGN_OR_RETURN(const std::vector<Hit> hits, Hits(vector));
      if (std::any_of(hits.begin(), hits.end(), [&](const Hit& hit) { return hit.document_id == id; })) {
        return absl::OkStatus();
      }
    }
    return absl::InternalError(absl::StrCat("row ", row, " was acknowledged and is not found"));
  }

  const ArrivalsOptions& options_;
  const MatrixReader& base_;
  const std::unique_ptr<Database> database_;
  Collection collection_;
};

absl::StatusOr<std::vector<std::vector<float>>> ReadQueries(const std::string& path) {
  ASSIGN_OR_RETURN(const auto reader, MatrixReader::Open(path));
  std::vector<std::vector<float>> queries(std::min<uint64_t>(reader->rows(), 1000), std::vector<float>(reader->dim()));
  for (uint64_t q = 0; q < queries.size(); ++q) RETURN_IF_ERROR(reader->Read(q, 1, queries[q].data()));
  if (queries.empty()) return absl::InvalidArgumentError(absl::StrCat(path, " holds no queries"));
  return queries;
}

absl::StatusOr<std::unique_ptr<Arrivals>> Start(const ArrivalsOptions& options, const MatrixReader* base) {
  OpenOptions open;
  open.create_if_missing = open.error_if_exists = true;
  ASSIGN_OR_RETURN(std::unique_ptr<Database> database, Database::Open(options.directory + "/arrivals", open));
  CollectionOptions collection;
  collection.embedder = EmbedderKind::kNone;
  collection.spaces[0].dimension = static_cast<uint32_t>(base->dim());
  collection.spaces[0].index = IndexKind::kHnsw;
  collection.spaces[0].metric = options.metric == "l2"    ? Metric::kL2
                                : options.metric == "dot" ? Metric::kDot
                                                          : Metric::kCosine;
  ASSIGN_OR_RETURN(Collection created, database->CreateCollection("arrivals", collection));
  return std::make_unique<Arrivals>(options, base, std::move(database), std::move(created));
}

void Print(const ArrivalsOptions& options, const std::vector<double>& idle, const std::vector<double>& busy,
           const Arrived& arrived) {
  const double idle_p99 = Quantile(idle, 0.99), busy_p99 = Quantile(busy, 0.99);
  nlohmann::ordered_json line;
  line["rate"] = arrived.rate;
  line["idle_p50_us"] = Quantile(idle, 0.5);
  line["idle_p99_us"] = idle_p99;
  line["busy_p50_us"] = Quantile(busy, 0.5);
  line["busy_p99_us"] = busy_p99;
  line["ratio_p99"] = busy_p99 / idle_p99;
  line["upsert_p50_ms"] = Quantile(arrived.upsert_ms, 0.5);
  line["upsert_p99_ms"] = Quantile(arrived.upsert_ms, 0.99);
  line["found_p50_ms"] = Quantile(arrived.found_ms, 0.5);
  line["found_p99_ms"] = Quantile(arrived.found_ms, 0.99);
  line["found_max_ms"] = *std::max_element(arrived.found_ms.begin(), arrived.found_ms.end());
  if (options.json) {
    std::printf("%s\n", line.dump().c_str());
    return;
  }
  for (const auto& [name, value] : line.items()) std::printf("%-14s %10.3f\n", name.c_str(), value.get<double>());
}

}  // namespace

absl::Status RunArrivals(const ArrivalsOptions& options) {
  ASSIGN_OR_RETURN(const auto base, MatrixReader::Open(options.base));
  ASSIGN_OR_RETURN(const auto queries, ReadQueries(options.query));
  const uint64_t rows = options.limit == 0 ? base->rows() : std::min(options.limit, base->rows());
  const uint64_t arriving = uint64_t{options.rate} * options.seconds;
  if (arriving >= rows) {
    return absl::InvalidArgumentError(absl::StrCat(options.rate, " vectors a second for ", options.seconds,
                                                   " s: expected more than ", arriving, " rows, found ", rows));
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<Arrivals> arrivals, Start(options, base.get()));
  for (uint64_t at = 0; at < rows - arriving; at += kBuildBatch) {
    RETURN_IF_ERROR(arrivals->Upsert(at, std::min(kBuildBatch, rows - arriving - at)));
  }
  const absl::Time end = absl::Now() + absl::Seconds(options.seconds);
  ASSIGN_OR_RETURN(const std::vector<double> idle, arrivals->Search(queries, [&] { return absl::Now() >= end; }));
  std::atomic<bool> done{false};
  absl::StatusOr<Arrived> arrived = absl::UnknownError("not run");
  std::thread writer([&] {
    arrived = arrivals->Arrive(rows - arriving, rows);
    done.store(true);
  });
  const auto busy = arrivals->Search(queries, [&] { return done.load(); });
  writer.join();
  RETURN_IF_ERROR(busy.status());
  RETURN_IF_ERROR(arrived.status());
  Print(options, idle, *busy, *arrived);
  return absl::OkStatus();
}

}  // namespace larder::tools

#include "tools/bench/ann_data.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include "absl/strings/str_cat.h"
#include "index/vector_index.h"
#include "storage/status_macros.h"

namespace larder::tools {
namespace {

class MatrixRows : public RowSource {
 public:
  MatrixRows(const MatrixReader* base, uint64_t rows, uint32_t batch) : base_(base), rows_(rows), batch_(batch) {}
  uint64_t rows() const override { return rows_; }
  uint32_t dimension() const override { return static_cast<uint32_t>(base_->dim()); }
  absl::Status Next(uint64_t* first, uint64_t* count, std::vector<float>* rows) override {
    *first = next_.fetch_add(batch_);
    *count = *first >= rows_ ? 0 : std::min<uint64_t>(batch_, rows_ - *first);
    rows->resize(*count * base_->dim());
    return *count == 0 ? absl::OkStatus() : base_->Read(*first, *count, rows->data());
  }

 private:
  const MatrixReader* const base_;
  const uint64_t rows_;
  const uint32_t batch_;
  std::atomic<uint64_t> next_{0};
};

absl::StatusOr<std::vector<std::vector<uint32_t>>> ReadTruth(const AnnOptions& options, uint64_t queries) {
  ASSIGN_OR_RETURN(const auto reader, MatrixReader::Open(options.ground_truth));
  if (reader->rows() < queries || reader->dim() < options.k) {
    return absl::InvalidArgumentError(absl::StrCat(options.ground_truth, ": ", reader->rows(), " x ", reader->dim(),
                                                   ", expected at least ", queries, " x ", options.k));
  }
  std::vector<std::vector<uint32_t>> truth(queries);
  std::vector<int64_t> row(reader->dim());
  for (uint64_t q = 0; q < queries; ++q) {
    RETURN_IF_ERROR(reader->ReadInts(q, 1, row.data()));
    truth[q].assign(row.begin(), row.begin() + options.k);
  }
  return truth;
}

absl::StatusOr<std::vector<std::vector<uint32_t>>> ComputeTruth(const AnnOptions& options, const AnnData& data) {
  index::IndexOptions exact;
  exact.kind = index::Kind::kFlat;
  exact.dimension = static_cast<uint32_t>(data.base->dim());
  exact.metric = options.metric == "l2"    ? index::Metric::kL2
                 : options.metric == "dot" ? index::Metric::kDot
                                           : index::Metric::kCosine;
  ASSIGN_OR_RETURN(const auto flat, index::CreateIndex(exact));
  const auto source = MakeRowSource(data.base.get(), data.rows, 4096);
  std::vector<float> rows;
  std::vector<uint64_t> vids;
  for (uint64_t first = 0, count = 1; count > 0;) {
    RETURN_IF_ERROR(source->Next(&first, &count, &rows));
    vids.resize(count);
    for (uint64_t i = 0; i < count; ++i) vids[i] = first + i;
    RETURN_IF_ERROR(flat->Add(vids, rows));
  }
  std::vector<std::vector<uint32_t>> truth(data.queries.size());
  const uint32_t threads = std::max(1u, std::thread::hardware_concurrency());
  RETURN_IF_ERROR(InThreads(threads, [&](uint32_t t) -> absl::Status {
    for (size_t q = t; q < data.queries.size(); q += threads) {
      ASSIGN_OR_RETURN(const auto nearest, flat->Search(data.queries[q], {options.k, options.k, nullptr}));
      for (const index::Neighbor& neighbor : nearest) truth[q].push_back(static_cast<uint32_t>(neighbor.vid));
    }
    return absl::OkStatus();
  }));
  return truth;
}

}  // namespace

std::unique_ptr<RowSource> MakeRowSource(const MatrixReader* base, uint64_t rows, uint32_t batch) {
  return std::make_unique<MatrixRows>(base, rows, batch);
}

absl::StatusOr<AnnData> LoadAnnData(const AnnOptions& options) {
  AnnData data;
  ASSIGN_OR_RETURN(data.base, MatrixReader::Open(options.base));
  ASSIGN_OR_RETURN(const auto queries, MatrixReader::Open(options.query));
  if (queries->dim() != data.base->dim()) {
    return absl::InvalidArgumentError(absl::StrCat(options.query, ": dimension ", queries->dim(), ", but ",
                                                   options.base, " has ", data.base->dim()));
  }
  data.rows = options.limit == 0 ? data.base->rows() : std::min(options.limit, data.base->rows());
  data.queries.resize(queries->rows());
  for (uint64_t q = 0; q < queries->rows(); ++q) {
    data.queries[q].resize(queries->dim());
    RETURN_IF_ERROR(queries->Read(q, 1, data.queries[q].data()));
  }
  // Given ground truth speaks of all rows.
  const bool given = !options.ground_truth.empty() && data.rows == data.base->rows();
  ASSIGN_OR_RETURN(data.truth, given ? ReadTruth(options, data.queries.size()) : ComputeTruth(options, data));
  return data;
}

double Recall(const std::vector<std::vector<uint32_t>>& found, const std::vector<std::vector<uint32_t>>& truth) {
  uint64_t hits = 0, wanted = 0;
  for (size_t q = 0; q < truth.size(); ++q) {
    wanted += truth[q].size();
    for (uint32_t row : truth[q]) hits += std::find(found[q].begin(), found[q].end(), row) != found[q].end();
  }
  return wanted == 0 ? 0 : static_cast<double>(hits) / static_cast<double>(wanted);
}

}  // namespace larder::tools

#include "index/hnsw/vector_rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "index/vector_math.h"
#include "storage/status_macros.h"

namespace larder::index {
namespace {

// Of a longer row only the beginning is prefetched; the CPU's own prefetcher follows from there.
constexpr size_t kMostPrefetched = 2048;
// Below, f32 rows are short enough, and 4 bits too few for so few dimensions.
constexpr uint32_t kLeastCodedDimension = 64;

float Norm(const float* vector, size_t n) {
  double squares = 0;
  for (size_t i = 0; i < n; ++i) squares += static_cast<double>(vector[i]) * vector[i];
  return static_cast<float>(std::sqrt(squares));
}

}  // namespace

VectorRows::VectorRows(const IndexOptions& options)
    : metric_(options.metric),
      dimension_(options.dimension),
      codable_(options.code == RowCode::kSq4x8 ||
               (options.code == RowCode::kAuto && options.dimension >= kLeastCodedDimension)),
      kernels_(SelectKernels(FormOf(options.metric))),
      walk_bytes_(options.dimension * sizeof(float)),
      prefetch_bytes_(std::min(walk_bytes_, kMostPrefetched)) {}

absl::Status VectorRows::Grow(size_t rows) {
  if (walk_.Grow(rows * walk_bytes_) && residuals_.Grow(rows * residual_bytes_)) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("hnsw: no memory for ", rows, " rows of ", bytes_per_row(), " bytes"));
}

void VectorRows::UseCode(std::shared_ptr<const ScalarCode> code) {
  code_ = std::move(code);
  walk_bytes_ = code_->prefix_bytes();
  residual_bytes_ = code_->residual_bytes();
  prefetch_bytes_ = std::min(walk_bytes_, kMostPrefetched);
}

absl::Status VectorRows::Encode(uint32_t count) {
  CodeOptions options{.kind = CodeKind::kSq4x8, .dimension = static_cast<uint32_t>(dimension_), .metric = metric_};
  const float* rows = F32(0);
  ASSIGN_OR_RETURN(std::unique_ptr<Code> code, TrainCode(options, {rows, std::min(count, kFirstCoded) * dimension_}));
  std::shared_ptr<const ScalarCode> scalar(static_cast<const ScalarCode*>(code.release()));
  const size_t capacity = walk_.size() / walk_bytes_;
  PageBlock prefixes, residuals;
  if (!prefixes.Grow(capacity * scalar->prefix_bytes()) || !residuals.Grow(capacity * scalar->residual_bytes())) {
    return absl::ResourceExhaustedError(absl::StrCat("hnsw: no memory for the codes of ", capacity, " rows"));
  }
  std::vector<uint8_t> bytes(scalar->bytes());
  for (uint32_t id = 0; id < count; ++id) {
    scalar->Encode(rows + id * dimension_, bytes.data());
    std::memcpy(prefixes.data() + id * scalar->prefix_bytes(), bytes.data(), scalar->prefix_bytes());
    std::memcpy(residuals.data() + id * scalar->residual_bytes(), bytes.data() + scalar->prefix_bytes(),
                scalar->residual_bytes());
  }
  walk_ = std::move(prefixes);
  residuals_ = std::move(residuals);
  UseCode(std::move(scalar));
  return absl::OkStatus();
}

void VectorRows::Put(uint32_t id, const float* vector) {
  if (metric_ == Metric::kDot) {
    const float norm = Norm(vector, dimension_);
    for (float longest = longest_.load(); longest < norm && !longest_.compare_exchange_weak(longest, norm);) {
    }
  }
  uint8_t* row = const_cast<uint8_t*>(WalkRow(id));
  if (!coded()) {
    std::memcpy(row, vector, dimension_ * sizeof(float));
    return;
  }
  thread_local std::vector<uint8_t> bytes;
  bytes.resize(code_->bytes());
  code_->Encode(vector, bytes.data());
  std::memcpy(row, bytes.data(), walk_bytes_);
  std::memcpy(const_cast<uint8_t*>(Residual(id)), bytes.data() + walk_bytes_, residual_bytes_);
}

void VectorRows::Prepare(const float* vector, Query* query) const {
  query->vector = vector;
  query->offset = metric_ == Metric::kDot ? Norm(vector, dimension_) * longest_.load() * 1.01f : 0;
  if (coded()) code_->Prepare(vector, &query->code);
}

void VectorRows::Estimate(const Query& query, const uint8_t* const* rows, size_t count, float* out) const {
  if (coded()) {
    code_->EstimatePrefix(query.code, rows, count, out);
  } else {
    kernels_.batch(query.vector, reinterpret_cast<const float* const*>(rows), count, dimension_, out);
  }
}

void VectorRows::Distances(const Query& query, const uint32_t* ids, size_t count, float* out) const {
  constexpr size_t kBatch = 64;
  const uint8_t *rows[kBatch], *residuals[kBatch];
  for (size_t first = 0; first < count; first += kBatch) {
    const size_t some = std::min(kBatch, count - first);
    for (size_t i = 0; i < some; ++i) {
      rows[i] = WalkRow(ids[first + i]);
      if (!coded()) continue;
      residuals[i] = Residual(ids[first + i]);
      PrefetchLines(residuals[i], residual_bytes_);
    }
    if (coded()) {
      code_->EstimateFull(query.code, rows, residuals, some, out + first);
    } else {
      Estimate(query, rows, some, out + first);
    }
  }
}

const float* VectorRows::Plain(uint32_t id, float* buffer) const {
  if (!coded()) return F32(id);
  code_->DecodePlaces(WalkRow(id), Residual(id), buffer);
  return buffer;
}

void VectorRows::Decode(uint32_t id, float* vector) const {
  if (!coded()) {
    std::memcpy(vector, F32(id), dimension_ * sizeof(float));
    return;
  }
  std::vector<uint8_t> bytes(WalkRow(id), WalkRow(id) + walk_bytes_);
  bytes.insert(bytes.end(), Residual(id), Residual(id) + residual_bytes_);
  code_->Decode(bytes.data(), vector);
  if (metric_ == Metric::kCosine) Canonicalize({vector, dimension_}, metric_, vector);
}

bool VectorRows::Same(uint32_t a, uint32_t b) const {
  return std::memcmp(WalkRow(a), WalkRow(b), walk_bytes_) == 0 &&
         (residual_bytes_ == 0 || std::memcmp(Residual(a), Residual(b), residual_bytes_) == 0);
}

std::string VectorRows::Serialize() const {
  const float longest = longest_.load();
  return absl::StrCat(absl::string_view(reinterpret_cast<const char*>(&longest), sizeof(longest)),
                      coded() ? code_->Serialize() : "");
}

absl::Status VectorRows::Parse(absl::string_view bytes) {
  float longest = 0;
  if (bytes.size() < sizeof(longest)) return absl::DataLossError("rows: too short");
  std::memcpy(&longest, bytes.data(), sizeof(longest));
  if (!std::isfinite(longest) || longest < 0) return absl::DataLossError(absl::StrCat("rows: a norm of ", longest));
  longest_.store(longest);
  bytes.remove_prefix(sizeof(longest));
  if (bytes.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(std::unique_ptr<Code> code, ParseCode(bytes));
  const CodeOptions& options = code->options();
  if (!codable_ || options.kind != CodeKind::kSq4x8 || options.dimension != dimension_ || options.metric != metric_) {
    return absl::DataLossError(absl::StrCat("rows: a code ", CodeName(options), " of ", options.dimension, " dimensions"));
  }
  UseCode(std::shared_ptr<const ScalarCode>(static_cast<const ScalarCode*>(code.release())));
  return absl::OkStatus();
}

}  // namespace larder::index

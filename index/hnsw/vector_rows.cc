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
      prefix_(options.prefix),
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

void VectorRows::UseCodes(SharedCode code, SharedCode prefix) {
  code_ = std::move(code);
  if (prefix == nullptr) {
    residual_bytes_ = code_->residual_bytes();
    walk_bytes_ = code_->prefix_bytes();
    walk_code_ = code_;
  } else {
    residual_bytes_ = code_ != nullptr ? code_->bytes() : dimension_ * sizeof(float);
    walk_bytes_ = prefix->bytes();
    walk_code_ = std::move(prefix);
  }
  prefetch_bytes_ = std::min(walk_bytes_, kMostPrefetched);
}

absl::StatusOr<VectorRows::SharedCode> VectorRows::Train(CodeKind kind, size_t dimension, const float* rows,
                                                         size_t count) const {
  const CodeOptions options{.kind = kind, .dimension = static_cast<uint32_t>(dimension), .metric = metric_};
  ASSIGN_OR_RETURN(std::unique_ptr<Code> code, TrainCode(options, {rows, count * dimension}));
  return SharedCode(static_cast<const ScalarCode*>(code.release()));
}

// Into memory of their own, swapped in at the end: after an error the rows are what they were.
absl::Status VectorRows::Encode(uint32_t count) {
  const float* rows = F32(0);
  const uint32_t sample = std::min(count, kFirstCoded);
  VectorRows coded({.dimension = static_cast<uint32_t>(dimension_), .metric = metric_, .prefix = static_cast<uint32_t>(prefix_)});
  SharedCode code, prefix;
  if (codable_) {
    ASSIGN_OR_RETURN(code, Train(CodeKind::kSq4x8, dimension_, rows, sample));
  }
  if (prefix_ > 0) {
    std::vector<float> prefixes(sample * prefix_);
    for (uint32_t id = 0; id < sample; ++id) CopyPrefix(rows + id * dimension_, prefixes.data() + id * prefix_);
    ASSIGN_OR_RETURN(prefix, Train(CodeKind::kSq4, prefix_, prefixes.data(), sample));
  }
  coded.UseCodes(code, prefix);
  RETURN_IF_ERROR(coded.Grow(walk_.size() / walk_bytes_));
  for (uint32_t id = 0; id < count; ++id) {
    coded.EncodeRow(rows + id * dimension_, const_cast<uint8_t*>(coded.WalkRow(id)), coded.Residual(id));
  }
  walk_ = std::move(coded.walk_);
  residuals_ = std::move(coded.residuals_);
  UseCodes(std::move(code), std::move(prefix));
  return absl::OkStatus();
}

void VectorRows::CopyPrefix(const float* vector, float* prefix) const {
  const auto is_zero = [](float x) { return x == 0; };
  if (metric_ == Metric::kCosine && !std::all_of(vector, vector + prefix_, is_zero)) {
    Canonicalize({vector, prefix_}, metric_, prefix);
  } else {
    std::copy_n(vector, prefix_, prefix);
  }
}

void VectorRows::EncodeRow(const float* vector, uint8_t* walk_row, uint8_t* residual) const {
  if (prefix_ > 0) {
    std::vector<float> prefix(prefix_);
    CopyPrefix(vector, prefix.data());
    walk_code_->Encode(prefix.data(), walk_row);
    if (code_ != nullptr) {
      code_->Encode(vector, residual);
    } else {
      std::memcpy(residual, vector, residual_bytes_);
    }
    return;
  }
  std::vector<uint8_t> bytes(code_->bytes());
  code_->Encode(vector, bytes.data());
  std::memcpy(walk_row, bytes.data(), walk_bytes_);
  std::memcpy(residual, bytes.data() + walk_bytes_, residual_bytes_);
}

void VectorRows::Put(uint32_t id, const float* vector) {
  if (metric_ == Metric::kDot) {
    const float norm = Norm(vector, dimension_);
    for (float longest = longest_.load(); longest < norm && !longest_.compare_exchange_weak(longest, norm);) {
    }
  }
  uint8_t* row = const_cast<uint8_t*>(WalkRow(id));
  if (coded()) {
    EncodeRow(vector, row, Residual(id));
  } else {
    std::memcpy(row, vector, dimension_ * sizeof(float));
  }
}

void VectorRows::Prepare(const float* vector, Query* query) const {
  query->vector = vector;
  query->offset = metric_ == Metric::kDot ? Norm(vector, dimension_) * longest_.load() * 1.01f : 0;
  if (code_ != nullptr) code_->Prepare(vector, &query->code);
  if (!has_prefix()) return;
  std::vector<float> prefix(prefix_);
  CopyPrefix(vector, prefix.data());
  walk_code_->Prepare(prefix.data(), &query->prefix);
}

void VectorRows::Estimate(const Query& query, const uint8_t* const* rows, size_t count, float* out) const {
  if (coded()) {
    walk_code_->EstimatePrefix(prefix_ > 0 ? query.prefix : query.code, rows, count, out);
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
      rows[i] = CodeOf(ids[first + i]);
      PrefetchLines(Residual(ids[first + i]), residual_bytes_);
      if (code_ != nullptr) residuals[i] = CodeResidual(ids[first + i]);
    }
    if (code_ != nullptr) {
      code_->EstimateFull(query.code, rows, residuals, some, out + first);
    } else {
      kernels_.batch(query.vector, reinterpret_cast<const float* const*>(rows), some, dimension_, out + first);
    }
  }
}

const float* VectorRows::Plain(uint32_t id, float* buffer) const {
  if (code_ == nullptr) return F32(id);
  code_->DecodePlaces(CodeOf(id), CodeResidual(id), buffer);
  return buffer;
}

void VectorRows::Decode(uint32_t id, float* vector) const {
  if (code_ == nullptr) {
    std::memcpy(vector, F32(id), dimension_ * sizeof(float));
    return;
  }
  std::vector<uint8_t> bytes(CodeOf(id), CodeOf(id) + code_->prefix_bytes());
  bytes.insert(bytes.end(), CodeResidual(id), CodeResidual(id) + code_->residual_bytes());
  code_->Decode(bytes.data(), vector);
  if (metric_ == Metric::kCosine) Canonicalize({vector, dimension_}, metric_, vector);
}

bool VectorRows::Same(uint32_t a, uint32_t b) const {
  return std::memcmp(WalkRow(a), WalkRow(b), walk_bytes_) == 0 &&
         (residual_bytes_ == 0 || std::memcmp(Residual(a), Residual(b), residual_bytes_) == 0);
}

// The longest norm; then, if coded, the prefix's code behind its length (u32) and the code of whole vectors,
// where there are such.
std::string VectorRows::Serialize() const {
  const float longest = longest_.load();
  std::string bytes(reinterpret_cast<const char*>(&longest), sizeof(longest));
  if (has_prefix()) {
    const std::string prefix = walk_code_->Serialize();
    const uint32_t length = static_cast<uint32_t>(prefix.size());
    bytes.append(reinterpret_cast<const char*>(&length), sizeof(length));
    bytes.append(prefix);
  }
  if (code_ != nullptr) bytes.append(code_->Serialize());
  return bytes;
}

absl::StatusOr<VectorRows::SharedCode> VectorRows::ParseCodeOf(CodeKind kind, size_t dimension,
                                                               absl::string_view bytes) const {
  ASSIGN_OR_RETURN(std::unique_ptr<Code> code, ParseCode(bytes));
  const CodeOptions& options = code->options();
  if (options.kind != kind || options.dimension != dimension || options.metric != metric_) {
    return absl::DataLossError(absl::StrCat("rows: a code ", CodeName(options), " of ", options.dimension, " dimensions"));
  }
  return SharedCode(static_cast<const ScalarCode*>(code.release()));
}

absl::Status VectorRows::Parse(absl::string_view bytes) {
  const auto take = [&bytes](auto* value) {
    if (bytes.size() < sizeof(*value)) return absl::DataLossError("rows: too short");
    std::memcpy(value, bytes.data(), sizeof(*value));
    bytes.remove_prefix(sizeof(*value));
    return absl::OkStatus();
  };
  float longest = 0;
  RETURN_IF_ERROR(take(&longest));
  if (!(longest >= 0 && static_cast<double>(longest) * longest <= 1.001 * kMaxSquaredNorm)) {
    return absl::DataLossError(absl::StrCat("rows: a norm of ", longest));
  }
  longest_.store(longest);
  if (bytes.empty()) return absl::OkStatus();
  SharedCode code, prefix;
  if (prefix_ > 0) {
    uint32_t length = 0;
    RETURN_IF_ERROR(take(&length));
    ASSIGN_OR_RETURN(prefix, ParseCodeOf(CodeKind::kSq4, prefix_, bytes.substr(0, length)));
    bytes.remove_prefix(std::min<size_t>(length, bytes.size()));
  }
  if (codable_) {
    ASSIGN_OR_RETURN(code, ParseCodeOf(CodeKind::kSq4x8, dimension_, bytes));
  } else if (prefix == nullptr || !bytes.empty()) {
    return absl::DataLossError("rows: a code of rows that are f32");
  }
  UseCodes(std::move(code), std::move(prefix));
  return absl::OkStatus();
}

absl::Status VectorRows::CheckRows(uint32_t count) const {
  for (uint32_t id = 0; id < count; ++id) {
    bool sound = !coded() || walk_code_->IsSound(WalkRow(id));
    if (code_ == nullptr) {
      // Zero is no vector under cosine, but the row of one that could not be added.
      sound = sound && CheckVector({F32(id), dimension_}, static_cast<uint32_t>(dimension_), Metric::kDot).ok();
    } else if (has_prefix()) {
      sound = sound && code_->IsSound(CodeOf(id));
    }
    if (!sound) return absl::DataLossError(absl::StrCat("row ", id, " is not of finite numbers"));
  }
  return absl::OkStatus();
}

}  // namespace larder::index

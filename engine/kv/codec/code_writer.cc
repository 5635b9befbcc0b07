#include "engine/kv/codec/code_writer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "engine/kv/codec/element.h"
#include "engine/kv/codec/quantize.h"
#include "engine/kv/codec/row_reader.h"
#include "engine/kv/codec/scales.h"

namespace larder::kv {
namespace {

class CodeWriter {
 public:
  CodeWriter(CodecKind kind, KvSide side, const KvTensorShape& shape, const float* values);
  std::string Write(absl::Span<const float> saliency) &&;

 private:
  uint8_t* At(uint64_t offset) { return reinterpret_cast<uint8_t*>(out_.data()) + offset; }
  int Bits(uint32_t coded) const { return !wide_[coded] ? 2 : header_.codec == static_cast<uint8_t>(CodecKind::kInt8) ? 8 : 4; }
  void Decide(absl::Span<const float> saliency);
  void StoreExactRows(const PayloadLayout& layout);
  void StoreColumns(const PayloadLayout& layout);
  void StoreGroups(const PayloadLayout& layout);
  void StoreCodes(const PayloadLayout& layout);
  const std::vector<Affine>& AffineOfRow(uint32_t coded);
  void StoreRow(uint32_t coded, const PayloadLayout& layout, uint8_t* to);
  void StoreOutliers(const PayloadLayout& layout);
  void MeasureError();

  const KvTensorShape shape_;
  const float* const values_;
  PayloadHeader header_;
  CodedTensor coded_;
  std::vector<bool> wide_;     // by coded token
  std::vector<float> means_;   // values: as a reader sees them
  std::vector<GroupCode> group_codes_;
  std::vector<Affine> wide_columns_, narrow_columns_;  // keys
  std::vector<Affine> row_;                            // values: of the row at hand
  std::string out_;
};

CodeWriter::CodeWriter(CodecKind kind, KvSide side, const KvTensorShape& shape, const float* values)
    : shape_(shape), values_(values) {
  header_.codec = static_cast<uint8_t>(kind), header_.side = static_cast<uint8_t>(side);
  header_.dtype = static_cast<uint8_t>(shape.dtype);
  header_.tokens = shape.tokens, header_.heads = shape.heads, header_.dim = shape.dim;
  header_.exact_tokens = std::min(shape.tokens, kExactTokens);
  coded_.tokens = shape.tokens - header_.exact_tokens, coded_.heads = shape.heads, coded_.dim = shape.dim;
  coded_.data = values + header_.exact_tokens * coded_.columns();
}

void CodeWriter::Decide(absl::Span<const float> saliency) {
  header_.wide_tokens = WideTokens(header_);
  const bool mixed = header_.wide_tokens < coded_.tokens;
  if (!saliency.empty()) saliency.remove_prefix(header_.exact_tokens);
  wide_ = mixed ? ChooseWide(coded_, saliency, header_.wide_tokens) : std::vector<bool>(coded_.tokens, true);
  const auto side = static_cast<KvSide>(header_.side);
  if (side == KvSide::kValue) {
    means_ = Means(coded_);
    float most = 0;
    for (float mean : means_) most = std::max(most, std::abs(mean));
    header_.column_unit = ColumnUnit(most);
    for (float& mean : means_) mean = header_.column_unit * FloatFromF16(F16FromFloat(mean / header_.column_unit));
  }
  ChooseOutliers(side, means_, MostOutliers(header_), &coded_);
  header_.outliers = static_cast<uint32_t>(std::count(coded_.outliers.begin(), coded_.outliers.end(), true));
}

void CodeWriter::StoreExactRows(const PayloadLayout& layout) {
  const uint64_t count = header_.exact_tokens * layout.columns, size = shape_.ElementBytes();
  for (uint64_t i = 0; i < count; ++i) StoreElement(shape_.dtype, values_[i], At(layout.exact + i * size));
}

void CodeWriter::StoreColumns(const PayloadLayout& layout) {
  if (means_.empty()) {
    const std::vector<ColumnCode> codes = ScaleColumns(coded_, layout.wide_bits, &header_.column_unit);
    std::memcpy(At(layout.columns_at), codes.data(), codes.size() * sizeof(ColumnCode));
    for (const ColumnCode& code : codes) {
      wide_columns_.push_back(AffineOf(code, header_.column_unit, layout.wide_bits));
      narrow_columns_.push_back(AffineOf(code, header_.column_unit, 2));
    }
    return;
  }
  for (size_t c = 0; c < means_.size(); ++c) {
    StoreElement(KvDtype::kF16, means_[c] / header_.column_unit, At(layout.columns_at + 2 * c));
  }
}

void CodeWriter::StoreGroups(const PayloadLayout& layout) {
  std::vector<GroupRange> ranges;
  for (uint32_t t = 0; t < coded_.tokens; ++t) {
    for (uint32_t head = 0; head < coded_.heads; ++head) {
      const GroupRange range = ranges.emplace_back(RangeOfGroup(coded_, means_, t, head, Bits(t)));
      const float step = (range.high - range.low) / static_cast<float>((1 << Bits(t)) - 1);
      header_.group_unit = std::max(header_.group_unit, step);
    }
  }
  for (size_t i = 0; i < ranges.size(); ++i) {
    const int bits = Bits(static_cast<uint32_t>(i / coded_.heads));
    group_codes_.push_back(ScaleGroup(ranges[i], bits, header_.group_unit));
  }
  std::memcpy(At(layout.groups), group_codes_.data(), group_codes_.size() * sizeof(GroupCode));
}

const std::vector<Affine>& CodeWriter::AffineOfRow(uint32_t coded) {
  if (means_.empty()) return Bits(coded) == 2 ? narrow_columns_ : wide_columns_;
  row_.clear();
  for (uint32_t head = 0; head < coded_.heads; ++head) {
    const Affine group = AffineOf(group_codes_[coded * coded_.heads + head], header_.group_unit, Bits(coded));
    for (uint32_t i = 0; i < coded_.dim; ++i) row_.push_back({group.scale, means_[row_.size()] + group.zero});
  }
  return row_;
}

// The codes of one row, packed in blocks.
void CodeWriter::StoreRow(uint32_t coded, const PayloadLayout& layout, uint8_t* to) {
  const int bits = Bits(coded);
  const std::vector<Affine>& affine = AffineOfRow(coded);
  const float* x = coded_.Row(coded);
  const size_t per_block = BlockColumns(bits);
  const float most = static_cast<float>((1 << bits) - 1);
  for (size_t c = 0; c < layout.columns; ++c) {
    const auto [scale, zero] = affine[c];
    const float code = scale > 0 ? std::clamp((x[c] - zero) / scale, 0.0f, most) : 0;
    const size_t place = c % per_block;
    to[c / per_block * kBlockBytes + place % 16] |=
        static_cast<uint8_t>(static_cast<int>(code + 0.5f) << place / 16 * bits);
  }
}

void CodeWriter::StoreCodes(const PayloadLayout& layout) {
  uint64_t wide = layout.wide, narrow = layout.narrow;
  for (uint32_t t = 0; t < coded_.tokens; ++t) {
    uint64_t& next = wide_[t] ? wide : narrow;
    StoreRow(t, layout, At(next));
    next += wide_[t] ? layout.wide_row_bytes : layout.narrow_row_bytes;
    if (layout.kind == CodecKind::kMixed && wide_[t]) *At(layout.classes + t / 8) |= static_cast<uint8_t>(1 << t % 8);
  }
}

void CodeWriter::StoreOutliers(const PayloadLayout& layout) {
  uint64_t n = 0;
  for (uint32_t t = 0; t < coded_.tokens; ++t) {
    for (size_t c = 0; c < layout.columns; ++c) {
      if (!coded_.IsOutlier(t, c)) continue;
      ++*At(layout.counts + uint64_t{t} * layout.stripes + c / kStripeColumns);
      *At(layout.places + n) = static_cast<uint8_t>(c % kStripeColumns);
      StoreElement(shape_.dtype, coded_.Row(t)[c], At(layout.values + n * shape_.ElementBytes()));
      ++n;
    }
  }
}

void CodeWriter::MeasureError() {
  std::memcpy(out_.data(), &header_, sizeof(header_));
  const KvKernels kernels = SelectKvKernels();
  const auto reader = MakeCodeReader(header_, out_.data(), 0, shape_.heads, kernels);
  const size_t columns = coded_.columns();
  double squares = 0;
  for (uint32_t t = 0; t < shape_.tokens; ++t) {
    const float *found = reader->Read(t), *given = values_ + t * columns;
    for (size_t c = 0; c < columns; ++c) {
      const float error = std::abs(found[c] - given[c]);
      header_.max_abs = std::max(header_.max_abs, error);
      squares += double{error} * error;
    }
  }
  // Rounded up, as another CPU's fused multiply-add may differ in the last bit.
  constexpr float kUp = 1 + 1e-5f;
  header_.max_abs *= kUp;
  header_.rms = static_cast<float>(std::sqrt(squares / static_cast<double>(columns * shape_.tokens))) * kUp;
  std::memcpy(out_.data(), &header_, sizeof(header_));
}

std::string CodeWriter::Write(absl::Span<const float> saliency) && {
  Decide(saliency);
  const PayloadLayout layout(header_);
  out_.resize(layout.end);
  StoreExactRows(layout);
  if (coded_.tokens > 0) StoreColumns(layout);
  if (!means_.empty()) StoreGroups(layout);
  StoreCodes(layout);
  StoreOutliers(layout);
  MeasureError();
  return std::move(out_);
}

}  // namespace

std::string WriteCodes(CodecKind kind, KvSide side, const KvTensorShape& shape, const float* values,
                       absl::Span<const float> saliency) {
  return CodeWriter(kind, side, shape, values).Write(saliency);
}

}  // namespace larder::kv

// Rows of int8, int4 and mixed payloads.
#include <algorithm>
#include <cstring>
#include <vector>

#include "engine/kv/codec/aligned_floats.h"
#include "engine/kv/codec/decode_plan.h"
#include "engine/kv/codec/element.h"
#include "engine/kv/codec/row_reader.h"
#include "engine/kv/codec/scales.h"

namespace larder::kv {
namespace {

class CodeReader : public RowReader {
 public:
  CodeReader(const PayloadHeader& header, const char* payload, uint32_t first_head, uint32_t heads,
             const KvKernels& kernels);
  const float* Read(uint32_t token) override;

 private:
  // scale * code + zero of each column in memory, from begin_ on.
  struct Affines {
    AlignedFloats scale, zero;
  };
  bool keys() const { return header_.side == static_cast<uint8_t>(KvSide::kKey); }
  KvDtype dtype() const { return static_cast<KvDtype>(header_.dtype); }
  void LoadColumns();
  void ReadValues(const PlannedRow& planned, uint32_t coded);
  void SpreadGroups(const GroupCode* groups, float zero_step);
  void Patch(uint32_t coded, uint32_t at);

  const PayloadHeader header_;
  const PayloadLayout layout_;
  const std::vector<PlannedRow> plan_;  // by token
  const uint8_t* const payload_;
  const KvKernels& kernels_;
  // Columns to read, and whole stripes around them: every byte that places an outlier lies within a row.
  const uint64_t first_, last_, begin_, width_;
  Affines wide_, narrow_;  // keys
  AlignedFloats mean_;     // values
  float steps_[256];       // values: of GroupCode::step
  AlignedFloats outliers_;
  AlignedFloats rows_[2];
  float* row_ = nullptr;  // the one at hand
};

CodeReader::CodeReader(const PayloadHeader& header, const char* payload, uint32_t first_head, uint32_t heads,
                       const KvKernels& kernels)
    : header_(header),
      layout_(header),
      plan_(PlanRows(header, layout_, payload)),
      payload_(reinterpret_cast<const uint8_t*>(payload)),
      kernels_(kernels),
      first_(uint64_t{first_head} * header.dim),
      last_(first_ + uint64_t{heads} * header.dim),
      begin_(first_ / kStripeColumns * kStripeColumns),
      width_((last_ - begin_ + kStripeColumns - 1) / kStripeColumns * kStripeColumns),
      outliers_(header.outliers + 1),
      rows_{AlignedFloats(width_ + kRowSlack), AlignedFloats(width_ + kRowSlack)} {
  kernels_.widen[header.dtype](payload_ + layout_.values, header.outliers, outliers_.data());
  LoadColumns();
}

void CodeReader::LoadColumns() {
  if (layout_.coded_tokens == 0) return;
  const uint64_t end = std::min(begin_ + width_, layout_.columns);
  const float unit = header_.column_unit;
  if (!keys()) {
    mean_ = AlignedFloats(width_);
    const uint8_t* means = payload_ + layout_.columns_at;
    for (uint64_t c = begin_; c < end; ++c) mean_[c - begin_] = unit * LoadElement(KvDtype::kF16, means + 2 * c);
    FillSteps(header_.group_unit, steps_);
    wide_ = {AlignedFloats(width_), AlignedFloats(width_)};
    return;
  }
  for (Affines* affine : {&wide_, &narrow_}) *affine = {AlignedFloats(width_), AlignedFloats(width_)};
  for (uint64_t c = begin_; c < end; ++c) {
    ColumnCode code;
    std::memcpy(&code, payload_ + layout_.columns_at + c * sizeof(code), sizeof(code));
    const Affine wide = AffineOf(code, unit, layout_.wide_bits);
    wide_.scale[c - begin_] = wide.scale, wide_.zero[c - begin_] = wide.zero;
    if (layout_.kind != CodecKind::kMixed) continue;
    const Affine narrow = AffineOf(code, unit, 2);
    narrow_.scale[c - begin_] = narrow.scale, narrow_.zero[c - begin_] = narrow.zero;
  }
}

// Groups that end within a block: a step and a zero for each column.
void CodeReader::SpreadGroups(const GroupCode* groups, float zero_step) {
  for (uint64_t head = first_ / header_.dim; head < last_ / header_.dim; ++head) {
    const float step = steps_[groups[head].step], zero = step * (groups[head].zero * zero_step);
    for (uint64_t c = head * header_.dim - begin_; c < (head + 1) * header_.dim - begin_; ++c) {
      wide_.scale[c] = step, wide_.zero[c] = mean_[c] + zero;
    }
  }
}

void CodeReader::ReadValues(const PlannedRow& planned, uint32_t coded) {
  const uint8_t* const row_codes = payload_ + planned.at;
  const int bits = static_cast<int>(planned.bits);
  const KvKernels::Codes& codes = kernels_.OfBits(bits);
  const uint64_t dim = header_.dim, per_block = BlockColumns(bits);
  const GroupCode* groups =
      reinterpret_cast<const GroupCode*>(payload_ + layout_.groups) + uint64_t{coded} * header_.heads;
  const float zero_step = -ZeroStep(bits);
  if (dim % per_block != 0) {
    SpreadGroups(groups, zero_step);
    const uint64_t block = first_ / per_block, end = (last_ + per_block - 1) / per_block;
    const uint64_t at = block * per_block - begin_;
    codes.columns(row_codes + block * kBlockBytes, end - block, &wide_.scale[at], &wide_.zero[at], &row_[at]);
    return;
  }
  GroupRun run;
  run.codes = row_codes + first_ / per_block * kBlockBytes;
  run.heads = (last_ - first_) / dim, run.blocks = dim / per_block;
  run.groups = reinterpret_cast<const uint8_t*>(groups + first_ / dim);
  run.steps = steps_, run.zero_step = zero_step;
  run.mean = &mean_[first_ - begin_], run.row = &row_[first_ - begin_];
  codes.groups(run);
}

void CodeReader::Patch(uint32_t coded, uint32_t at) {
  const uint8_t* counts = payload_ + layout_.counts + uint64_t{coded} * layout_.stripes;
  const uint8_t* places = payload_ + layout_.places;
  const uint64_t first_stripe = begin_ / kStripeColumns;
  for (uint64_t stripe = 0; stripe < first_stripe; ++stripe) at += counts[stripe];
  float* row = row_;
  for (uint64_t stripe = 0; stripe < width_ / kStripeColumns; ++stripe, row += kStripeColumns) {
    for (const uint32_t end = at + counts[first_stripe + stripe]; at < end; ++at) row[places[at]] = outliers_[at];
  }
}

const float* CodeReader::Read(uint32_t token) {
  row_ = row_ == rows_[0].data() ? rows_[1].data() : rows_[0].data();
  float* const first = row_ + (first_ - begin_);
  if (token < header_.exact_tokens) {
    kernels_.widen[header_.dtype](payload_ + plan_[token].at + first_ * ElementBytes(dtype()), last_ - first_, first);
    return first;
  }
  const uint32_t coded = token - header_.exact_tokens;
  const PlannedRow& planned = plan_[token];
  if (keys()) {
    const int bits = static_cast<int>(planned.bits);
    const Affines& affine = bits == 2 ? narrow_ : wide_;
    const uint64_t per_block = BlockColumns(bits);
    const uint64_t block = first_ / per_block, end = (last_ + per_block - 1) / per_block;
    const uint64_t at = block * per_block - begin_;
    kernels_.OfBits(bits).columns(payload_ + planned.at + block * kBlockBytes, end - block, &affine.scale[at],
                                  &affine.zero[at], &row_[at]);
  } else {
    ReadValues(planned, coded);
  }
  Patch(coded, planned.outliers);
  return first;
}

}  // namespace

std::unique_ptr<RowReader> MakeCodeReader(const PayloadHeader& header, const char* payload, uint32_t first_head,
                                          uint32_t heads, const KvKernels& kernels) {
  return std::make_unique<CodeReader>(header, payload, first_head, heads, kernels);
}

}  // namespace larder::kv

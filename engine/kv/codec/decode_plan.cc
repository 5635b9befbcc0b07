#include "engine/kv/codec/decode_plan.h"

#include <new>

#include "absl/strings/str_cat.h"
#include "engine/kv/codec/scales.h"
#include "storage/status_macros.h"

namespace larder::kv {
namespace {

// Every selected token needs its row of the table, every head room for the rotation.
absl::Status CheckTable(const RopeTable& rope, const KvTensorShape& shape, const Placement& placement) {
  if (rope.style() == RopeStyle::kNone) return absl::OkStatus();
  if (rope.rotary_dim() > shape.dim) {
    return absl::InvalidArgumentError(
        absl::StrCat("kv decode: rotary_dim ", rope.rotary_dim(), " exceeds dim ", shape.dim));
  }
  for (uint32_t n = 0; n < placement.count(); ++n) {
    if (!rope.Covers(placement.Token(n))) {
      return absl::InvalidArgumentError(
          absl::StrCat("kv decode: the rope table has no row for token ", placement.Token(n)));
    }
  }
  return absl::OkStatus();
}

// The header; of a raw payload, which has none, a default one.
absl::StatusOr<PayloadHeader> CheckPayload(CodecKind kind, KvSide side, const KvTensorShape& shape,
                                           absl::string_view payload) {
  RETURN_IF_ERROR(CheckShape(shape));
  if (kind != CodecKind::kRaw) return ParsePayload(kind, side, shape, payload);
  if (payload.size() == shape.Bytes()) return PayloadHeader();
  return absl::DataLossError(
      absl::StrCat("kv payload: ", payload.size(), " bytes, expected ", shape.Bytes(), " of codec raw"));
}

std::vector<PlannedRow> PlanElements(const KvTensorShape& shape) {
  std::vector<PlannedRow> rows(shape.tokens);
  for (uint32_t t = 0; t < shape.tokens; ++t) rows[t].at = t * shape.RowBytes();
  return rows;
}

}  // namespace

absl::Status CheckKvPayload(absl::string_view codec, KvSide side, const KvTensorShape& shape,
                            absl::string_view payload) {
  return KvPayloadError(codec, side, shape, payload).status();
}

absl::StatusOr<KvErrorBound> KvPayloadError(absl::string_view codec, KvSide side, const KvTensorShape& shape,
                                            absl::string_view payload) {
  ASSIGN_OR_RETURN(const CodecKind kind, ParseCodecName(codec));
  ASSIGN_OR_RETURN(const PayloadHeader header, CheckPayload(kind, side, shape, payload));
  return KvErrorBound{header.max_abs, header.rms};
}

absl::StatusOr<CheckedDecode> CheckDecode(absl::string_view codec, KvSide side, const KvTensorShape& shape,
                                          absl::string_view payload, const KvSelection& selection,
                                          const RopeTable* rope, const KvTarget& target) {
  CheckedDecode checked;
  ASSIGN_OR_RETURN(checked.kind, ParseCodecName(codec));
  ASSIGN_OR_RETURN(checked.header, CheckPayload(checked.kind, side, shape, payload));
  ASSIGN_OR_RETURN(checked.placement, Placement::Make(shape, selection, target));
  if (rope == nullptr || rope->style() == RopeStyle::kNone) return checked;
  if (side == KvSide::kValue) {
    return absl::InvalidArgumentError("kv decode: values are not rotated, a rope table was given");
  }
  RETURN_IF_ERROR(CheckTable(*rope, shape, checked.placement));
  return checked;
}

std::vector<PlannedRow> PlanRows(const PayloadHeader& header, const PayloadLayout& layout, const char* payload) {
  const uint64_t exact_row = layout.columns * (header.dtype == static_cast<uint8_t>(KvDtype::kF32) ? 4 : 2);
  const auto* bytes = reinterpret_cast<const uint8_t*>(payload);
  std::vector<PlannedRow> rows(header.tokens);
  for (uint32_t t = 0; t < header.exact_tokens; ++t) rows[t].at = layout.exact + t * exact_row;
  uint64_t wide = layout.wide, narrow = layout.narrow;
  uint32_t outliers = 0;
  const uint8_t* counts = bytes + layout.counts;
  for (uint32_t t = 0; t < layout.coded_tokens; ++t) {
    const bool is_wide = layout.kind != CodecKind::kMixed || (bytes[layout.classes + t / 8] >> t % 8 & 1) != 0;
    uint64_t& next = is_wide ? wide : narrow;
    rows[header.exact_tokens + t] = {next, static_cast<uint32_t>(is_wide ? layout.wide_bits : 2), outliers};
    next += is_wide ? layout.wide_row_bytes : layout.narrow_row_bytes;
    for (uint32_t stripe = 0; stripe < layout.stripes; ++stripe) outliers += *counts++;
  }
  return rows;
}

absl::StatusOr<DecodePlan> PlanDecode(absl::string_view codec, KvSide side, const KvTensorShape& shape,
                                      absl::string_view payload, const KvSelection& selection, const RopeTable* rope,
                                      const KvTarget& target) {
  ASSIGN_OR_RETURN(const CheckedDecode checked, CheckDecode(codec, side, shape, payload, selection, rope, target));
  const PayloadLayout layout(checked.header);
  try {
    return DecodePlan{shape, checked.header, layout, checked.placement,
                      checked.kind == CodecKind::kRaw ? PlanElements(shape)
                                                      : PlanRows(checked.header, layout, payload.data())};
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("kv decode: no memory for a plan");
  }
}

void FillSteps(float unit, float (&steps)[256]) {
  for (size_t i = 0; i < 256; ++i) steps[i] = StepOf(static_cast<uint8_t>(i), unit);
}

}  // namespace larder::kv

#include "engine/kv/codec/payload.h"

#include <bit>
#include <cmath>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "storage/status_macros.h"

namespace larder::kv {
namespace {

template <class... Parts>
absl::Status Damaged(const Parts&... parts) {
  return absl::DataLossError(absl::StrCat("kv payload: ", parts...));
}

absl::Status CheckSame(const char* field, uint64_t found, uint64_t expected) {
  return found == expected ? absl::OkStatus() : Damaged(field, " ", found, ", expected ", expected);
}

absl::Status CheckHeader(const PayloadHeader& h, CodecKind kind, KvSide side, const KvTensorShape& shape) {
  RETURN_IF_ERROR(CheckSame("magic", h.magic, kPayloadMagic));
  RETURN_IF_ERROR(CheckSame("version", h.version, kPayloadVersion));
  RETURN_IF_ERROR(CheckSame("codec", h.codec, static_cast<uint8_t>(kind)));
  RETURN_IF_ERROR(CheckSame("side", h.side, static_cast<uint8_t>(side)));
  RETURN_IF_ERROR(CheckSame("dtype", h.dtype, static_cast<uint8_t>(shape.dtype)));
  RETURN_IF_ERROR(CheckSame("tokens", h.tokens, shape.tokens));
  RETURN_IF_ERROR(CheckSame("heads", h.heads, shape.heads));
  RETURN_IF_ERROR(CheckSame("dim", h.dim, shape.dim));
  if (h.exact_tokens > h.tokens) return Damaged(h.exact_tokens, " exact tokens of ", h.tokens);
  const uint32_t coded = h.tokens - h.exact_tokens;
  if (h.wide_tokens > coded || (kind != CodecKind::kMixed && h.wide_tokens != coded)) {
    return Damaged(h.wide_tokens, " wide tokens of ", coded);
  }
  for (float number : {h.max_abs, h.rms, h.column_unit, h.group_unit}) {
    if (!(number >= 0) || std::isinf(number)) return Damaged("a number of the header is ", number);
  }
  for (uint8_t byte : h.reserved) RETURN_IF_ERROR(CheckSame("reserved byte", byte, 0));
  return absl::OkStatus();
}

// The tables that say where rows and outliers are.
absl::Status CheckTables(const PayloadHeader& h, const PayloadLayout& layout, const char* payload) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(payload);
  uint64_t outliers = 0;
  for (uint64_t at = layout.counts; at < layout.places; ++at) outliers += bytes[at];
  RETURN_IF_ERROR(CheckSame("sum of outlier counts", outliers, h.outliers));
  if (layout.kind != CodecKind::kMixed) return absl::OkStatus();
  uint64_t wide = 0;
  for (uint64_t t = 0; t < layout.coded_tokens; ++t) wide += bytes[layout.classes + t / 8] >> t % 8 & 1;
  return CheckSame("wide tokens of the class bits", wide, h.wide_tokens);
}

}  // namespace

PayloadLayout::PayloadLayout(const PayloadHeader& h)
    : kind(static_cast<CodecKind>(h.codec)),
      columns(uint64_t{h.heads} * h.dim),
      coded_tokens(h.tokens - h.exact_tokens),
      wide_bits(kind == CodecKind::kInt8 ? 8 : 4),
      wide_row_bytes(CodeRowBytes(columns, wide_bits)),
      narrow_row_bytes(CodeRowBytes(columns, 2)),
      stripes(static_cast<uint32_t>((columns + kStripeColumns - 1) / kStripeColumns)) {
  const bool keys = h.side == static_cast<uint8_t>(KvSide::kKey);
  const uint64_t element_bytes = h.dtype == static_cast<uint8_t>(KvDtype::kF32) ? 4 : 2;
  end = sizeof(PayloadHeader);
  // Counts are at most 2^32 and rows at most 2^24 bytes: no sum overflows.
  const auto section = [this](uint64_t bytes) {
    const uint64_t begin = (end + kSectionBytes - 1) / kSectionBytes * kSectionBytes;
    end = begin + bytes;
    return begin;
  };
  exact = section(h.exact_tokens * columns * element_bytes);
  columns_at = section(coded_tokens == 0 ? 0 : columns * (keys ? sizeof(ColumnCode) : sizeof(uint16_t)));
  groups = section(keys ? 0 : uint64_t{coded_tokens} * h.heads * sizeof(GroupCode));
  classes = section(kind == CodecKind::kMixed ? (uint64_t{coded_tokens} + 7) / 8 : 0);
  wide = section(h.wide_tokens * wide_row_bytes);
  narrow = section((coded_tokens - h.wide_tokens) * narrow_row_bytes);
  counts = section(uint64_t{coded_tokens} * stripes);
  places = end;  // bytes as well
  end += h.outliers;
  values = section(h.outliers * element_bytes);
}

absl::StatusOr<PayloadHeader> ParsePayload(CodecKind kind, KvSide side, const KvTensorShape& shape,
                                           absl::string_view payload) {
  PayloadHeader header;
  if (payload.size() < sizeof(header)) {
    return Damaged(payload.size(), " bytes, expected a header of ", sizeof(header));
  }
  std::memcpy(&header, payload.data(), sizeof(header));
  RETURN_IF_ERROR(CheckHeader(header, kind, side, shape));
  const PayloadLayout layout(header);
  RETURN_IF_ERROR(CheckSame("bytes", payload.size(), layout.end));
  RETURN_IF_ERROR(CheckTables(header, layout, payload.data()));
  return header;
}

}  // namespace larder::kv

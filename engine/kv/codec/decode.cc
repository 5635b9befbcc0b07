#include <cstring>
#include <new>

#include "engine/kv/codec/decode_plan.h"
#include "engine/kv/codec/element.h"
#include "engine/kv/codec/row_reader.h"
#include "hwy/cache_control.h"
#include "larder/kv_codec.h"
#include "storage/status_macros.h"

namespace larder::kv {
namespace {

// A call that writes this much goes past the caches: rows will not be read from there, and memory need not be read
// before it is overwritten.
constexpr uint64_t kStreamBytes = 128 << 10;

// Rows that nothing changes are copied as bytes.
void CopyRows(const KvTensorShape& shape, const char* payload, const Placement& placement, const KvTarget& target) {
  const uint64_t head_bytes = shape.ElementBytes() * shape.dim;
  const bool whole = target.head_stride == head_bytes || placement.heads() == 1;
  for (uint32_t n = 0; n < placement.count(); ++n) {
    const char* from = payload + placement.Token(n) * shape.RowBytes() + placement.first_head() * head_bytes;
    if (whole) {
      std::memcpy(placement.To(n), from, placement.heads() * head_bytes);
      continue;
    }
    for (uint32_t head = 0; head < placement.heads(); ++head) {
      std::memcpy(placement.To(n) + head * target.head_stride, from + head * head_bytes, head_bytes);
    }
  }
}

void PlaceRows(const KvTensorShape& shape, const Placement& placement, const RopeTable* rope, const KvTarget& target,
               KvKernels::Place place, RowReader* reader) {
  PlacedRow row;
  row.heads = placement.heads(), row.dim = shape.dim, row.stride = target.head_stride;
  row.stream = uint64_t{placement.count()} * placement.heads() * shape.dim * ElementBytes(target.dtype) >= kStreamBytes;
  const float* next = reader->Read(placement.Token(0));
  for (uint32_t n = 0; n < placement.count(); ++n) {
    row.row = next;
    if (n + 1 < placement.count()) next = reader->Read(placement.Token(n + 1));
    row.to = reinterpret_cast<uint8_t*>(placement.To(n));
    if (rope != nullptr) row.rope = rope->Row(placement.Token(n)), row.rotary_dim = rope->rotary_dim();
    place(row);
  }
  if (row.stream) hwy::FlushStream();
}

}  // namespace

absl::Status DecodeKv(absl::string_view codec, KvSide side, const KvTensorShape& shape, absl::string_view payload,
                      const KvSelection& selection, const RopeTable* rope, const KvTarget& target) {
  ASSIGN_OR_RETURN(const CheckedDecode checked, CheckDecode(codec, side, shape, payload, selection, rope, target));
  const auto& [kind, header, placement] = checked;
  if (rope != nullptr && rope->style() == RopeStyle::kNone) rope = nullptr;
  if (kind == CodecKind::kRaw && rope == nullptr && target.dtype == shape.dtype) {
    CopyRows(shape, payload.data(), placement, target);
    return absl::OkStatus();
  }
  const RopeStyle style = rope == nullptr ? RopeStyle::kNone : rope->style();
  try {
    const KvKernels kernels = SelectKvKernels();
    const auto reader =
        kind == CodecKind::kRaw
            ? MakeRawReader(shape, payload.data(), placement.first_head(), placement.heads(), kernels)
            : MakeCodeReader(header, payload.data(), placement.first_head(), placement.heads(), kernels);
    PlaceRows(shape, placement, rope, target,
              kernels.place[static_cast<size_t>(target.dtype)][static_cast<size_t>(style)], reader.get());
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("kv decode: no memory for a row");
  }
  return absl::OkStatus();
}

}  // namespace larder::kv

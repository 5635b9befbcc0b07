// All that is checked and known before the first number is decoded, on whatever device.
#ifndef LARDER_ENGINE_KV_CODEC_DECODE_PLAN_H_
#define LARDER_ENGINE_KV_CODEC_DECODE_PLAN_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/kv/codec/payload.h"
#include "engine/kv/codec/placement.h"
#include "larder/kv_codec.h"

namespace larder::kv {

struct CheckedDecode {
  CodecKind kind = CodecKind::kRaw;
  PayloadHeader header;  // of a raw payload a default one
  Placement placement;   // points into the selection and the target
};
// Refuses what DecodeKv refuses.
absl::StatusOr<CheckedDecode> CheckDecode(absl::string_view codec, KvSide side, const KvTensorShape& shape,
                                          absl::string_view payload, const KvSelection& selection,
                                          const RopeTable* rope, const KvTarget& target);

struct PlannedRow {
  uint64_t at = 0;        // of its codes or elements, in bytes from the payload's beginning
  uint32_t bits = 0;      // of a code; 0 = elements
  uint32_t outliers = 0;  // before this row
};
// By token. `payload` was checked. May throw std::bad_alloc.
std::vector<PlannedRow> PlanRows(const PayloadHeader& header, const PayloadLayout& layout, const char* payload);

// The steps that a GroupCode may name.
void FillSteps(float unit, float (&steps)[256]);

// What a decoder elsewhere than in this library needs.
struct DecodePlan {
  KvTensorShape shape;
  PayloadHeader header;
  PayloadLayout layout;
  Placement placement;
  std::vector<PlannedRow> rows;  // by token
};
absl::StatusOr<DecodePlan> PlanDecode(absl::string_view codec, KvSide side, const KvTensorShape& shape,
                                      absl::string_view payload, const KvSelection& selection, const RopeTable* rope,
                                      const KvTarget& target);

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_CODEC_DECODE_PLAN_H_

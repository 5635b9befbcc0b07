// Re-encodes an entry in place, to a codec that takes fewer bytes, instead of deleting it.
#ifndef LARDER_ENGINE_KV_KV_DEMOTE_H_
#define LARDER_ENGINE_KV_KV_DEMOTE_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/kv/kv_context.h"
#include "larder/kv_types.h"

namespace larder::kv {

// The next step of raw, int8, int4 after `codec`, `last` (KvOptions::demote_to) at most. "" where there is
// none: nothing is demoted (`last` is ""), the codec is none of them, or the profile asks for K bit for bit as it was given
// (k_before_rope false).
std::string DemotedCodec(const KvProfile& profile, absl::string_view codec, absl::string_view last);

// Whether an entry of the profile may be kept so: as it was put, or demoted.
bool MayBeKeptAs(const KvProfile& profile, absl::string_view codec);

// Decodes the entry's payloads and encodes them by DemotedCodec, a layer at a time; then one batch replaces its
// record and gives the old extents back. Killed before that, the entry is what it was. A read under
// way goes on by the new record. The payloads declare what was lost in all.
//
// False, and nothing is changed, if there is no smaller codec, it saves nothing, or the entry is pinned or
// was replaced meanwhile. The caller holds none of the context's locks.
absl::StatusOr<bool> Demote(KvContext* context, const std::string& entry_key, absl::string_view last);

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_KV_DEMOTE_H_

// Limits that are checked at the door (design: nothing is silently capped), and the checks.
#ifndef LARDER_ENGINE_LIMITS_H_
#define LARDER_ENGINE_LIMITS_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "larder/types.h"

namespace larder {

inline constexpr size_t kMaxIdBytes = 1024;
inline constexpr size_t kMaxTextBytes = 16u << 20;
inline constexpr size_t kMaxMetadataBytes = 64u << 10;
inline constexpr size_t kMaxMetadataFields = 256;
inline constexpr size_t kMaxFieldNameBytes = 256;
inline constexpr size_t kMaxChunksPerDocument = 100'000;
inline constexpr uint32_t kMaxK = 10'000;
inline constexpr size_t kMaxBatchDocuments = 10'000;

absl::Status ValidateName(absl::string_view what, absl::string_view name);  // collections, spaces
absl::Status ValidateId(absl::string_view id);
absl::Status ValidateTenant(absl::string_view tenant);  // "" or like an id
absl::Status ValidateUtf8(absl::string_view what, absl::string_view text, size_t max_bytes);
absl::Status ValidateMetadata(const Metadata& metadata);
// Everything about a document that needs no collection.
absl::Status ValidateDocument(const Document& document);

}  // namespace larder

#endif  // LARDER_ENGINE_LIMITS_H_

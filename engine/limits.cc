#include "engine/limits.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "engine/utf8.h"
#include "storage/status_macros.h"

namespace larder {

absl::Status ValidateUtf8(absl::string_view what, absl::string_view text, size_t max_bytes) {
  if (text.size() > max_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, " is ", text.size(), " bytes, expected at most ", max_bytes));
  }
  const size_t bad = ValidUtf8Prefix(text);
  if (bad == text.size()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(what, ": invalid UTF-8 at byte ", bad, " (0x",
                                                 absl::Hex(static_cast<uint8_t>(text[bad]), absl::kZeroPad2), ")"));
}

absl::Status ValidateId(absl::string_view id) {
  if (id.empty()) return absl::InvalidArgumentError("id is empty, expected 1 to 1024 bytes");
  if (id.find('\0') != absl::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat("id holds a NUL at byte ", id.find('\0')));
  }
  return ValidateUtf8("id", id, kMaxIdBytes);
}

absl::Status ValidateTenant(absl::string_view tenant) {
  if (tenant.find('\0') != absl::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat("tenant holds a NUL at byte ", tenant.find('\0')));
  }
  return ValidateUtf8("tenant", tenant, kMaxIdBytes);
}

namespace {

absl::Status ValidateScalar(absl::string_view field, const Scalar& value, size_t* bytes) {
  *bytes += sizeof(uint64_t);
  if (const double* number = std::get_if<double>(&value); number != nullptr && !std::isfinite(*number)) {
    return absl::InvalidArgumentError(absl::StrCat("metadata field \"", field, "\": value is not finite"));
  }
  if (const std::string* text = std::get_if<std::string>(&value)) {
    *bytes += text->size();
    return ValidateUtf8(absl::StrCat("metadata field \"", field, "\""), *text, kMaxMetadataBytes);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ValidateMetadata(const Metadata& metadata) {
  if (metadata.size() > kMaxMetadataFields) {
    return absl::InvalidArgumentError(
        absl::StrCat("metadata has ", metadata.size(), " fields, expected at most ", kMaxMetadataFields));
  }
  size_t bytes = 0;
  for (const auto& [name, value] : metadata) {
    if (name.empty()) return absl::InvalidArgumentError("metadata: a field name is empty");
    RETURN_IF_ERROR(ValidateUtf8("metadata field name", name, kMaxFieldNameBytes));
    if (name.find('\0') != std::string::npos) {
      return absl::InvalidArgumentError("metadata: a field name holds a NUL");
    }
    if (!value.is_list && value.values.size() != 1) {
      return absl::InvalidArgumentError(absl::StrCat("metadata field \"", name, "\" has ", value.values.size(),
                                                     " values and is not a list"));
    }
    bytes += name.size();
    for (const Scalar& scalar : value.values) RETURN_IF_ERROR(ValidateScalar(name, scalar, &bytes));
  }
  if (bytes <= kMaxMetadataBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("metadata is ", bytes, " bytes, expected at most ", kMaxMetadataBytes));
}

namespace {

absl::Status ValidateChunk(const Document& document, size_t i) {
  const GivenChunk& chunk = document.chunks[i];
  RETURN_IF_ERROR(ValidateUtf8(absl::StrCat("chunk ", i, ": text"), chunk.text, kMaxTextBytes));
  RETURN_IF_ERROR(ValidateUtf8(absl::StrCat("chunk ", i, ": section"), chunk.section, kMaxMetadataBytes));
  RETURN_IF_ERROR(ValidateMetadata(chunk.metadata));
  if (chunk.text.empty() && chunk.vectors.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("chunk ", i, " has neither text nor a vector"));
  }
  if (chunk.span && (chunk.span->begin > chunk.span->end || chunk.span->end > document.text.size())) {
    return absl::InvalidArgumentError(absl::StrCat("chunk ", i, ": span ", chunk.span->begin, " to ",
                                                   chunk.span->end, " lies outside the text of ",
                                                   document.text.size(), " bytes"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ValidateDocument(const Document& document) {
  RETURN_IF_ERROR(ValidateId(document.id));
  RETURN_IF_ERROR(ValidateTenant(document.tenant));
  RETURN_IF_ERROR(ValidateUtf8("title", document.title, kMaxMetadataBytes));
  RETURN_IF_ERROR(ValidateUtf8("uri", document.uri, kMaxMetadataBytes));
  RETURN_IF_ERROR(ValidateUtf8("text", document.text, kMaxTextBytes));
  RETURN_IF_ERROR(ValidateMetadata(document.metadata));
  if (document.media_type != "text/plain" && document.media_type != "text/markdown") {
    return absl::InvalidArgumentError(absl::StrCat("media_type \"", document.media_type.substr(0, 80),
                                                   "\": expected text/plain or text/markdown"));
  }
  if (document.expires_at_ms < 0) {
    return absl::InvalidArgumentError(absl::StrCat("expires_at_ms is ", document.expires_at_ms, ", expected >= 0"));
  }
  if (document.chunks.size() > kMaxChunksPerDocument) {
    return absl::InvalidArgumentError(absl::StrCat("document has ", document.chunks.size(),
                                                   " chunks, expected at most ", kMaxChunksPerDocument));
  }
  for (size_t i = 0; i < document.chunks.size(); ++i) RETURN_IF_ERROR(ValidateChunk(document, i));
  return absl::OkStatus();
}

}  // namespace larder

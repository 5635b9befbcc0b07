// One line of a .jsonl corpus as a document.
#ifndef LARDER_TOOLS_READERS_JSON_DOCUMENT_H_
#define LARDER_TOOLS_READERS_JSON_DOCUMENT_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "larder/types.h"

namespace larder::tools {

struct JsonDocumentOptions {
  bool extra_fields_to_metadata = false;  // else an unknown field is refused
  std::string vector_space = "default";   // that "vector" belongs to
};

// Fields: _id or id (a string, or an integer), title, text, uri, tenant, media_type, metadata (scalars
// and lists of scalars; null is no field), vector, expires_at_ms. With a vector the document is one
// chunk of its whole text. InvalidArgument naming the field, or the byte where it is no JSON.
absl::StatusOr<Document> ParseJsonDocument(absl::string_view line, const JsonDocumentOptions& options);

}  // namespace larder::tools

#endif  // LARDER_TOOLS_READERS_JSON_DOCUMENT_H_

// Larder's values as JSON and back. One shape everywhere: what `get --json` prints, `put --document`
// takes. Pure functions; thread-safe.
#ifndef LARDER_TOOLS_CLI_JSON_H_
#define LARDER_TOOLS_CLI_JSON_H_

#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "larder/collection.h"
#include "larder/database.h"
#include "larder/kv_types.h"
#include "larder/options.h"
#include "larder/types.h"

namespace larder::tools {

using Json = nlohmann::ordered_json;  // keeps the order of fields as written

// One line; bytes that are not UTF-8 become U+FFFD.
std::string ToLine(const Json& json);
// InvalidArgument, naming `what` and the byte, if `text` is not one JSON value.
absl::StatusOr<Json> ParseJson(absl::string_view text, absl::string_view what);

Json ToJson(const Metadata& metadata);
Json ToJson(const Document& document, bool with_text);
Json ToJson(const Chunk& chunk);
Json ToJson(const UpsertResult& result);
Json ToJson(const Hit& hit, const SearchRequest& request);
Json ToJson(const SearchReply& reply, const SearchRequest& request);
Json ToJson(const CollectionOptions& options);
Json ToJson(const CollectionInfo& info);
// What is known of a space's recall; null before anything was measured.
Json RecallJson(const VectorSpaceInfo& space);
Json ToJson(const DatabaseStats& stats);
Json ToJson(const VerifyReport& report);
Json ToJson(const BackupInfo& backup);
Json ToJson(const KvProfile& profile);

// Each refuses unknown fields and wrong types with InvalidArgument naming the field.
absl::StatusOr<Metadata> MetadataFromJson(const Json& json);
absl::StatusOr<Document> DocumentFromJson(const Json& json);
absl::StatusOr<KvProfile> KvProfileFromJson(const Json& json);

// Names as options and JSON spell them.
const char* NameOf(Metric metric);
const char* NameOf(IndexKind kind);
const char* NameOf(RowCode code);
const char* NameOf(EmbedderKind kind);
const char* NameOf(KvDtype dtype);
const char* NameOf(RopeStyle style);

}  // namespace larder::tools

#endif  // LARDER_TOOLS_CLI_JSON_H_

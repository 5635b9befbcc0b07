#include "tools/readers/json_document.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/utf8.h"
#include "storage/status_macros.h"

namespace larder::tools {
namespace {

using Json = nlohmann::json;

// {"metadata": {"tags": ["a"]}} is three deep.
constexpr int kMaxDepth = 3;

absl::Status FieldError(absl::string_view field, absl::string_view expected, const Json& found) {
  std::string what = found.type_name();
  if (found.is_primitive()) absl::StrAppend(&what, " ", QuoteForMessage(found.dump()));
  return absl::InvalidArgumentError(
      absl::StrCat("field ", QuoteForMessage(field), ": expected ", expected, ", found ", what));
}

absl::Status TakeString(absl::string_view field, Json& json, std::string* out) {
  if (json.is_null()) return absl::OkStatus();
  if (!json.is_string()) return FieldError(field, "a string", json);
  *out = std::move(json.get_ref<std::string&>());
  return absl::OkStatus();
}

absl::StatusOr<Scalar> ToScalar(absl::string_view field, Json& json) {
  if (json.is_boolean()) return Scalar(json.get<bool>());
  if (json.is_string()) return Scalar(std::move(json.get_ref<std::string&>()));
  if (json.is_number_float()) return Scalar(json.get<double>());
  constexpr uint64_t kMax = std::numeric_limits<int64_t>::max();
  if (json.is_number_unsigned() && json.get<uint64_t>() > kMax)
    return FieldError(field, "at most 2^63 - 1", json);
  if (json.is_number_integer()) return Scalar(json.get<int64_t>());
  return FieldError(field, "a string, a number, true, false or a list of these", json);
}

absl::Status AddMetadata(const std::string& field, Json& json, Metadata* metadata) {
  if (json.is_null()) return absl::OkStatus();
  MetadataValue value;
  if (json.is_array()) {
    value.is_list = true;
    for (Json& element : json) {
      ASSIGN_OR_RETURN(Scalar scalar, ToScalar(field, element));
      value.values.push_back(std::move(scalar));
    }
  } else {
    ASSIGN_OR_RETURN(Scalar scalar, ToScalar(field, json));
    value.values.push_back(std::move(scalar));
  }
  if (metadata->emplace(field, std::move(value)).second) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("field ", QuoteForMessage(field), " stands both in \"metadata\" and beside it"));
}

absl::Status TakeMetadata(Json& json, Metadata* metadata) {
  if (json.is_null()) return absl::OkStatus();
  if (!json.is_object()) return FieldError("metadata", "an object", json);
  for (auto& [field, value] : json.items()) RETURN_IF_ERROR(AddMetadata(field, value, metadata));
  return absl::OkStatus();
}

absl::Status TakeVector(const Json& json, std::vector<float>* vector) {
  if (!json.is_array() || json.empty()) return FieldError("vector", "a list of numbers", json);
  vector->reserve(json.size());
  for (const Json& element : json) {
    if (!element.is_number()) return FieldError("vector", "numbers", element);
    float value = element.get<float>();
    if (!std::isfinite(value)) return FieldError("vector", "numbers that a float can hold", element);
    vector->push_back(value);
  }
  return absl::OkStatus();
}

absl::Status TakeId(absl::string_view field, Json& json, Document* document) {
  if (!document->id.empty()) return FieldError(field, "either _id or id", json);
  if (json.is_number_integer()) {
    document->id = json.dump();
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(TakeString(field, json, &document->id));
  if (document->id.empty()) return FieldError(field, "an id", json);
  return absl::OkStatus();
}

absl::Status TakeExpiry(const Json& json, int64_t* expires_at_ms) {
  if (json.is_null()) return absl::OkStatus();
  constexpr uint64_t kMax = std::numeric_limits<int64_t>::max();
  if (!json.is_number_unsigned() || json.get<uint64_t>() > kMax) {
    return FieldError("expires_at_ms", "milliseconds since 1970", json);
  }
  *expires_at_ms = json.get<int64_t>();
  return absl::OkStatus();
}

struct Parsed {
  Document document;
  std::vector<float> vector;
};

absl::Status TakeField(const std::string& field, Json& json, const JsonDocumentOptions& options,
                       Parsed* out) {
  Document& document = out->document;
  if (field == "_id" || field == "id") return TakeId(field, json, &document);
  if (field == "title") return TakeString(field, json, &document.title);
  if (field == "text") return TakeString(field, json, &document.text);
  if (field == "uri") return TakeString(field, json, &document.uri);
  if (field == "tenant") return TakeString(field, json, &document.tenant);
  if (field == "media_type") return TakeString(field, json, &document.media_type);
  if (field == "metadata") return TakeMetadata(json, &document.metadata);
  if (field == "vector") return TakeVector(json, &out->vector);
  if (field == "expires_at_ms") return TakeExpiry(json, &document.expires_at_ms);
  if (options.extra_fields_to_metadata) return AddMetadata(field, json, &document.metadata);
  return absl::InvalidArgumentError(absl::StrCat("field ", QuoteForMessage(field),
                                                 " is not known: expected _id, id, title, text, uri, tenant, "
                                                 "media_type, metadata, vector or expires_at_ms"));
}

// nlohmann keeps the last of two equal keys; we keep neither.
class KeyCheck {
 public:
  bool operator()(int depth, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) keys_.emplace_back();
    if (event == Json::parse_event_t::object_end) keys_.pop_back();
    bool starts = event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start;
    if (starts && depth >= kMaxDepth) Fail("JSON: expected at most three levels, found more");
    if (event == Json::parse_event_t::key && !keys_.back().insert(parsed.get<std::string>()).second) {
      Fail(absl::StrCat("field ", QuoteForMessage(parsed.get<std::string>()), " stands twice"));
    }
    return error_.empty();
  }
  absl::Status status() const {
    return error_.empty() ? absl::OkStatus() : absl::InvalidArgumentError(error_);
  }

 private:
  void Fail(std::string error) {
    if (error_.empty()) error_ = std::move(error);
  }

  std::vector<std::set<std::string>> keys_;
  std::string error_;
};

absl::StatusOr<Json> ParseJson(absl::string_view line) {
  KeyCheck check;
  try {
    Json json = Json::parse(line.begin(), line.end(), std::ref(check));
    RETURN_IF_ERROR(check.status());
    if (!json.is_object()) return FieldError("document", "an object", json);
    return json;
  } catch (const Json::parse_error& error) {
    RETURN_IF_ERROR(check.status());
    size_t at = error.byte == 0 ? 0 : std::min(error.byte - 1, line.size());
    absl::string_view found = at < line.size() ? line.substr(at, 1) : "the end of the line";
    return absl::InvalidArgumentError(
        absl::StrCat("byte ", at, " of the line: expected JSON, found ",
                     at < line.size() ? QuoteForMessage(found) : std::string(found)));
  } catch (const Json::exception& error) {  // a number out of range
    return absl::InvalidArgumentError(absl::StrCat("JSON: ", absl::string_view(error.what()).substr(0, 200)));
  }
}

}  // namespace

absl::StatusOr<Document> ParseJsonDocument(absl::string_view line, const JsonDocumentOptions& options) {
  ASSIGN_OR_RETURN(Json json, ParseJson(line));
  Parsed parsed;
  for (auto& [field, value] : json.items()) RETURN_IF_ERROR(TakeField(field, value, options, &parsed));
  Document& document = parsed.document;
  if (document.id.empty()) return absl::InvalidArgumentError("field \"_id\": expected an id, found none");
  if (!parsed.vector.empty()) {
    GivenChunk chunk;
    chunk.text = document.text;
    if (!document.text.empty()) chunk.span = ByteSpan{0, document.text.size()};
    chunk.vectors.emplace(options.vector_space, std::move(parsed.vector));
    document.chunks.push_back(std::move(chunk));
  }
  return std::move(document);
}

}  // namespace larder::tools

#include <cmath>
#include <limits>
#include <set>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "storage/status_macros.h"
#include "tools/cli/json.h"

namespace larder::tools {
namespace {

absl::Status WrongType(absl::string_view field, absl::string_view expected, const Json& found) {
  return absl::InvalidArgumentError(
      absl::StrCat("field \"", field, "\": expected ", expected, ", found ", found.type_name()));
}

absl::Status Convert(const Json& json, absl::string_view field, std::string* out) {
  if (!json.is_string()) return WrongType(field, "a string", json);
  *out = json.get<std::string>();
  return absl::OkStatus();
}

absl::Status Convert(const Json& json, absl::string_view field, bool* out) {
  if (!json.is_boolean()) return WrongType(field, "true or false", json);
  *out = json.get<bool>();
  return absl::OkStatus();
}

absl::Status Convert(const Json& json, absl::string_view field, double* out) {
  if (!json.is_number()) return WrongType(field, "a number", json);
  *out = json.get<double>();
  return absl::OkStatus();
}

absl::Status Convert(const Json& json, absl::string_view field, int64_t* out) {
  if (!json.is_number_integer()) return WrongType(field, "an integer", json);
  if (json.is_number_unsigned() && json.get<uint64_t>() > uint64_t{std::numeric_limits<int64_t>::max()}) {
    return absl::InvalidArgumentError(
        absl::StrCat("field \"", field, "\": ", json.dump(), " does not fit 64 bits with sign"));
  }
  *out = json.get<int64_t>();
  return absl::OkStatus();
}

absl::Status Convert(const Json& json, absl::string_view field, uint64_t* out) {
  if (!json.is_number_unsigned()) return WrongType(field, "an integer of at least 0", json);
  *out = json.get<uint64_t>();
  return absl::OkStatus();
}

absl::Status Convert(const Json& json, absl::string_view field, uint32_t* out) {
  uint64_t wide = 0;
  RETURN_IF_ERROR(Convert(json, field, &wide));
  if (wide > std::numeric_limits<uint32_t>::max()) {
    return absl::InvalidArgumentError(absl::StrCat("field \"", field, "\": ", wide, " does not fit 32 bits"));
  }
  *out = static_cast<uint32_t>(wide);
  return absl::OkStatus();
}

absl::Status Convert(const Json& json, absl::string_view, Metadata* out) {
  ASSIGN_OR_RETURN(*out, MetadataFromJson(json));
  return absl::OkStatus();
}

absl::Status Convert(const Json& json, absl::string_view field, std::vector<float>* out) {
  if (!json.is_array()) return WrongType(field, "an array of numbers", json);
  for (const Json& value : json) {
    double number = 0;
    RETURN_IF_ERROR(Convert(value, field, &number));
    out->push_back(static_cast<float>(number));
  }
  return absl::OkStatus();
}

absl::Status Convert(const Json& json, absl::string_view field, std::vector<double>* out) {
  if (!json.is_array()) return WrongType(field, "an array of numbers", json);
  for (const Json& value : json) RETURN_IF_ERROR(Convert(value, field, &out->emplace_back()));
  return absl::OkStatus();
}

absl::Status Convert(const Json& json, absl::string_view field,
                     std::map<std::string, std::vector<float>>* out) {
  if (!json.is_object()) return WrongType(field, "an object of space to numbers", json);
  for (const auto& [space, vector] : json.items()) {
    RETURN_IF_ERROR(Convert(vector, absl::StrCat(field, ".", space), &(*out)[space]));
  }
  return absl::OkStatus();
}

absl::Status Convert(const Json& json, absl::string_view field, std::optional<ByteSpan>* out) {
  if (!json.is_array() || json.size() != 2) return WrongType(field, "[begin, end]", json);
  ByteSpan span;
  RETURN_IF_ERROR(Convert(json[0], field, &span.begin));
  RETURN_IF_ERROR(Convert(json[1], field, &span.end));
  *out = span;
  return absl::OkStatus();
}

template <typename Enum>
absl::Status ConvertName(const Json& json, absl::string_view field, Enum last, Enum* out) {
  std::string name, known;
  RETURN_IF_ERROR(Convert(json, field, &name));
  for (int i = 0; i <= static_cast<int>(last); ++i) {
    const Enum candidate = static_cast<Enum>(i);
    if (name == NameOf(candidate)) {
      *out = candidate;
      return absl::OkStatus();
    }
    absl::StrAppend(&known, i == 0 ? "" : ", ", NameOf(candidate));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("field \"", field, "\": expected one of ", known, "; found \"", name, "\""));
}

absl::Status Convert(const Json& json, absl::string_view field, KvDtype* out) {
  return ConvertName(json, field, KvDtype::kBf16, out);
}
absl::Status Convert(const Json& json, absl::string_view field, RopeStyle* out) {
  return ConvertName(json, field, RopeStyle::kInterleaved, out);
}

absl::Status Convert(const Json& json, absl::string_view field, std::vector<GivenChunk>* out);

// Reads the fields of one object, then refuses those that nobody asked for.
class Fields {
 public:
  Fields(const Json& json, absl::string_view what) : json_(json), what_(what) {
    if (!json.is_object()) {
      status_ = absl::InvalidArgumentError(
          absl::StrCat(what, ": expected a JSON object, found ", json.type_name()));
    }
  }

  template <typename T>
  Fields& Take(const std::string& name, T* out) {
    known_.insert(name);
    if (!status_.ok()) return *this;
    if (auto found = json_.find(name); found != json_.end()) {
      status_ = Convert(*found, absl::StrCat(what_, ".", name), out);
    }
    return *this;
  }

  absl::Status Done() const {
    if (!status_.ok()) return status_;
    for (const auto& [name, value] : json_.items()) {
      if (known_.count(name) == 0) {
        return absl::InvalidArgumentError(absl::StrCat("unknown field \"", what_, ".", name, "\""));
      }
    }
    return absl::OkStatus();
  }

 private:
  const Json& json_;
  const std::string what_;
  std::set<std::string> known_;
  absl::Status status_;
};

absl::StatusOr<Scalar> ScalarFromJson(const Json& json, absl::string_view field) {
  if (json.is_boolean()) return Scalar(json.get<bool>());
  if (json.is_string()) return Scalar(json.get<std::string>());
  if (json.is_number_float()) return Scalar(json.get<double>());
  int64_t integer = 0;
  if (!json.is_number_integer()) return WrongType(field, "a string, a number, true or false", json);
  RETURN_IF_ERROR(Convert(json, field, &integer));
  return Scalar(integer);
}

absl::Status Convert(const Json& json, absl::string_view field, std::vector<GivenChunk>* out) {
  if (!json.is_array()) return WrongType(field, "an array of chunks", json);
  for (size_t i = 0; i < json.size(); ++i) {
    GivenChunk chunk;
    Fields fields(json[i], absl::StrCat(field, "[", i, "]"));
    RETURN_IF_ERROR(fields.Take("text", &chunk.text)
                        .Take("vectors", &chunk.vectors)
                        .Take("section", &chunk.section)
                        .Take("span", &chunk.span)
                        .Take("metadata", &chunk.metadata)
                        .Done());
    out->push_back(std::move(chunk));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Json> ParseJson(absl::string_view text, absl::string_view what) {
  try {
    return Json::parse(text.begin(), text.end());
  } catch (const Json::exception& error) {  // its message names line, column and what was expected
    return absl::InvalidArgumentError(absl::StrCat(what, ": not JSON: ", error.what()));
  }
}

absl::StatusOr<Metadata> MetadataFromJson(const Json& json) {
  if (!json.is_object()) return WrongType("metadata", "a JSON object", json);
  Metadata metadata;
  for (const auto& [name, value] : json.items()) {
    const std::string field = absl::StrCat("metadata.", name);
    if (!value.is_array()) {
      ASSIGN_OR_RETURN(Scalar scalar, ScalarFromJson(value, field));
      metadata[name] = MetadataValue(std::move(scalar));
      continue;
    }
    std::vector<Scalar> list;
    for (const Json& element : value) {
      ASSIGN_OR_RETURN(Scalar scalar, ScalarFromJson(element, field));
      list.push_back(std::move(scalar));
    }
    metadata[name] = MetadataValue(std::move(list));
  }
  return metadata;
}

absl::StatusOr<Document> DocumentFromJson(const Json& json) {
  Document document;
  RETURN_IF_ERROR(Fields(json, "document")
                      .Take("id", &document.id)
                      .Take("tenant", &document.tenant)
                      .Take("title", &document.title)
                      .Take("text", &document.text)
                      .Take("uri", &document.uri)
                      .Take("media_type", &document.media_type)
                      .Take("metadata", &document.metadata)
                      .Take("chunks", &document.chunks)
                      .Take("expires_at_ms", &document.expires_at_ms)
                      .Take("version", &document.version)
                      .Done());
  return document;
}

absl::StatusOr<KvProfile> KvProfileFromJson(const Json& json) {
  KvProfile profile;
  RETURN_IF_ERROR(Fields(json, "profile")
                      .Take("model", &profile.model)
                      .Take("model_revision", &profile.model_revision)
                      .Take("weights_sha256", &profile.weights_sha256)
                      .Take("tokenizer", &profile.tokenizer)
                      .Take("tokenizer_revision", &profile.tokenizer_revision)
                      .Take("adapter", &profile.adapter)
                      .Take("dtype", &profile.dtype)
                      .Take("layers", &profile.layers)
                      .Take("kv_heads", &profile.kv_heads)
                      .Take("head_dim", &profile.head_dim)
                      .Take("rope_style", &profile.rope_style)
                      .Take("rope_theta", &profile.rope_theta)
                      .Take("rope_frequencies", &profile.rope_frequencies)
                      .Take("rotary_dim", &profile.rotary_dim)
                      .Take("rope_scaling", &profile.rope_scaling)
                      .Take("k_before_rope", &profile.k_before_rope)
                      .Take("sliding_window", &profile.sliding_window)
                      .Take("prompt_template", &profile.prompt_template)
                      .Take("codec", &profile.codec)
                      .Done());
  return profile;
}

}  // namespace larder::tools

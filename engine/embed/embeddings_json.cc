#include "engine/embed/embeddings_json.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

constexpr size_t kMaxDimension = 65'536;
constexpr int kMaxDepth = 16;

using Json = nlohmann::json;

template <typename... Parts>
absl::Status Fault(const Parts&... parts) {
  return absl::FailedPreconditionError(absl::StrCat("bad reply: ", parts...));
}

// Replies nest 4 deep; what is deeper is dropped while it is read, so that it takes no memory.
Json ParseShallow(absl::string_view body) {
  return Json::parse(
      body.begin(), body.end(), [](int depth, Json::parse_event_t, Json&) { return depth <= kMaxDepth; },
      /*allow_exceptions=*/false);
}

absl::StatusOr<size_t> RowIndex(const Json& entry, size_t position, size_t count) {
  if (!entry.contains("index")) return position;
  const Json& index = entry["index"];
  if (!index.is_number_unsigned() || index.get<uint64_t>() >= count) {
    return Fault("row ", position, " has index ", index.dump().substr(0, 20), " of ", count);
  }
  return index.get<size_t>();
}

absl::Status CopyRow(const Json& embedding, size_t position, float* to) {
  for (const Json& number : embedding) {
    const double value = number.is_number() ? number.get<double>() : std::nan("");
    if (!(std::fabs(value) <= std::numeric_limits<float>::max())) {
      return Fault("row ", position, " has a value that is not a finite number");
    }
    *to++ = static_cast<float>(value);
  }
  return absl::OkStatus();
}

}  // namespace

std::string EmbeddingsRequest(absl::string_view model, absl::Span<const std::string> texts) {
  Json request = {{"model", std::string(model)}, {"encoding_format", "float"}, {"input", Json::array()}};
  for (const std::string& text : texts) request["input"].push_back(text);
  return request.dump(-1, ' ', false, Json::error_handler_t::replace);
}

absl::StatusOr<Embeddings> ParseEmbeddings(absl::string_view body, size_t count) {
  const Json reply = ParseShallow(body);
  if (!reply.is_object() || !reply.contains("data") || !reply["data"].is_array()) {
    return Fault("expected a JSON object with a list \"data\"");
  }
  const Json& data = reply["data"];
  if (data.size() != count) return Fault("expected ", count, " rows, found ", data.size());
  Embeddings embeddings;
  std::vector<bool> seen(count, false);
  for (size_t i = 0; i < count; ++i) {
    const Json& entry = data[i];
    if (!entry.is_object() || !entry.contains("embedding") || !entry["embedding"].is_array()) {
      return Fault("row ", i, " has no list \"embedding\"");
    }
    const Json& embedding = entry["embedding"];
    if (embedding.empty() || embedding.size() > kMaxDimension) {
      return Fault("row ", i, " has dimension ", embedding.size(), ", expected 1 to ", kMaxDimension);
    }
    if (i == 0) {
      embeddings.dimension = static_cast<uint32_t>(embedding.size());
      embeddings.rows.resize(count * embedding.size());
    }
    if (embedding.size() != embeddings.dimension) {
      return Fault("row ", i, " has dimension ", embedding.size(), ", row 0 has ", embeddings.dimension);
    }
    ASSIGN_OR_RETURN(const size_t row, RowIndex(entry, i, count));
    if (seen[row]) return Fault("index ", row, " occurs twice");
    seen[row] = true;
    RETURN_IF_ERROR(CopyRow(embedding, i, &embeddings.rows[row * embeddings.dimension]));
  }
  return embeddings;
}

}  // namespace larder

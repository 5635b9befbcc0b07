#include <charconv>
#include <cstdlib>

#include "tools/cli/json.h"

namespace larder::tools {
namespace {

Json ToJson(const Scalar& scalar) {
  return std::visit([](const auto& value) { return Json(value); }, scalar);
}

Json ToJson(const ByteSpan& span) { return Json::array({span.begin, span.end}); }

// The shortest decimal that reads back as the same float, not as the double nearest to it.
Json ToJson(float value) {
  char digits[32];
  const auto [end, error] = std::to_chars(digits, digits + sizeof(digits) - 1, value);
  *end = '\0';
  return Json(std::strtod(digits, nullptr));
}

Json ToJson(const std::vector<float>& vector) {
  Json json = Json::array();
  for (float value : vector) json.push_back(ToJson(value));
  return json;
}

Json ToJson(const GivenChunk& chunk) {
  Json json{{"text", chunk.text}, {"section", chunk.section}};
  if (chunk.span) json["span"] = ToJson(*chunk.span);
  json["metadata"] = larder::tools::ToJson(chunk.metadata);
  for (const auto& [space, vector] : chunk.vectors) json["vectors"][space] = ToJson(vector);
  return json;
}

Json ToJson(const VectorSpaceInfo& space) {
  return {{"name", space.name},
          {"dimension", space.dimension},
          {"metric", NameOf(space.metric)},
          {"index", NameOf(space.requested)},
          {"serving", NameOf(space.serving)},
          {"vectors", space.vectors},
          {"tombstones", space.tombstones},
          {"resident_bytes", space.resident_bytes},
          {"code", space.code},
          {"problem", space.problem},
          {"recall", RecallJson(space)}};
}

Json ToJson(const VectorSpaceOptions& space) {
  return {{"name", space.name},
          {"dimension", space.dimension},
          {"metric", NameOf(space.metric)},
          {"index", NameOf(space.index)},
          {"prefix", space.prefix},
          {"m", space.hnsw.m},
          {"ef_construction", space.hnsw.ef_construction},
          {"ef_search", space.hnsw.ef_search},
          {"row_code", NameOf(space.hnsw.row_code)}};
}

}  // namespace

Json RecallJson(const VectorSpaceInfo& space) {
  if (!space.recall_estimate) return nullptr;
  return {{"estimate", *space.recall_estimate},
          {"standard_error", space.recall_standard_error},
          {"checked", space.recall_checked},
          {"calibrated_points", space.recall_points},
          {"ef_correction", space.recall_correction}};
}

std::string ToLine(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json ToJson(const Metadata& metadata) {
  Json json = Json::object();
  for (const auto& [field, value] : metadata) {
    if (!value.is_list && value.values.size() == 1) {
      json[field] = ToJson(value.values[0]);
      continue;
    }
    Json list = Json::array();
    for (const Scalar& scalar : value.values) list.push_back(ToJson(scalar));
    json[field] = std::move(list);
  }
  return json;
}

Json ToJson(const Document& document, bool with_text) {
  Json json{{"id", document.id},
            {"tenant", document.tenant},
            {"title", document.title},
            {"uri", document.uri},
            {"media_type", document.media_type},
            {"metadata", ToJson(document.metadata)},
            {"version", document.version},
            {"expires_at_ms", document.expires_at_ms}};
  if (with_text) json["text"] = document.text;
  if (!document.chunks.empty()) {
    Json chunks = Json::array();
    for (const GivenChunk& chunk : document.chunks) chunks.push_back(ToJson(chunk));
    json["chunks"] = std::move(chunks);
  }
  return json;
}

Json ToJson(const Chunk& chunk) {
  return {{"vid", chunk.vid},
          {"document_id", chunk.document_id},
          {"tenant", chunk.tenant},
          {"ordinal", chunk.ordinal},
          {"span", ToJson(chunk.span)},
          {"section", chunk.section},
          {"token_count", chunk.token_count},
          {"text", chunk.text},
          {"metadata", ToJson(chunk.metadata)}};
}

Json ToJson(const UpsertResult& result) {
  return {{"id", result.id}, {"version", result.version}, {"chunks", result.chunks}};
}

Json ToJson(const Hit& hit, const SearchRequest& request) {
  Json json{{"document_id", hit.document_id},
            {"ordinal", hit.ordinal},
            {"score", ToJson(hit.score)},
            {"vid", hit.vid}};
  if (request.include_text) {
    json["title"] = hit.title;
    json["uri"] = hit.uri;
    json["section"] = hit.section;
    json["span"] = ToJson(hit.span);
    json["text"] = hit.text;
  }
  if (request.include_metadata) json["metadata"] = ToJson(hit.metadata);
  if (request.include_vector) json["vector"] = ToJson(hit.vector);
  return json;
}

Json ToJson(const SearchReply& reply, const SearchRequest& request) {
  Json json{{"plan", reply.plan}, {"matches", reply.matches}};
  if (reply.ef > 0) json["ef"] = reply.ef;
  if (reply.io != SearchIo()) {
    json["io"] = {{"rounds", reply.io.rounds},
                  {"reads", reply.io.reads},
                  {"bytes", reply.io.bytes},
                  {"postings", reply.io.postings},
                  {"candidates", reply.io.candidates}};
  }
  if (reply.recall_estimate) json["recall_estimate"] = *reply.recall_estimate;
  json["hits"] = Json::array();
  for (const Hit& hit : reply.hits) json["hits"].push_back(ToJson(hit, request));
  if (request.timings) {
    json["timings_us"] = Json::object();
    for (const StageTiming& timing : reply.timings) json["timings_us"][timing.stage] = timing.micros;
  }
  return json;
}

Json ToJson(const CollectionOptions& options) {
  Json json = Json::object();
  json["embedder"] = NameOf(options.embedder);
  if (options.embedder == EmbedderKind::kHttp) {
    json["http"] = {{"url", options.http.url},
                    {"model", options.http.model},
                    {"api_key_env", options.http.api_key_env},
                    {"batch", options.http.batch}};
  }
  json["chunking"] = {{"max_tokens", options.chunking.max_tokens},
                      {"overlap_tokens", options.chunking.overlap_tokens},
                      {"prepend_title", options.chunking.prepend_title}};
  json["spaces"] = Json::array();
  for (const VectorSpaceOptions& space : options.spaces) json["spaces"].push_back(ToJson(space));
  return json;
}

Json ToJson(const CollectionInfo& info) {
  Json json{{"name", info.name},
            {"documents", info.documents},
            {"chunks", info.chunks},
            {"embedder", info.embedder},
            {"spaces", Json::array()}};
  for (const VectorSpaceInfo& space : info.spaces) json["spaces"].push_back(ToJson(space));
  return json;
}

Json ToJson(const DatabaseStats& stats) {
  return {{"commit", stats.commit},
          {"collections", stats.collections},
          {"documents", stats.documents},
          {"chunks", stats.chunks},
          {"kv_entries", stats.kv_entries},
          {"store_bytes", stats.store_bytes},
          {"extent_bytes", stats.extent_bytes},
          {"extent_live_bytes", stats.extent_live_bytes},
          {"index_bytes", stats.index_bytes},
          {"resident_index_bytes", stats.resident_index_bytes},
          {"resident_directory_bytes", stats.resident_directory_bytes},
          {"resident_store_bytes", stats.resident_store_bytes},
          {"memory_bytes", stats.memory_bytes}};
}

Json ToJson(const VerifyReport& report) {
  return {{"records", report.records},
          {"extents", report.extents},
          {"index_entries", report.index_entries},
          {"problems", report.problems}};
}

Json ToJson(const BackupInfo& backup) {
  Json json{{"id", backup.id},
            {"created_ms", backup.created_ms},
            {"bytes", backup.bytes},
            {"commit", backup.commit}};
  if (!backup.problem.empty()) json["problem"] = backup.problem;
  return json;
}

Json ToJson(const KvProfile& profile) {
  return {{"model", profile.model},
          {"model_revision", profile.model_revision},
          {"weights_sha256", profile.weights_sha256},
          {"tokenizer", profile.tokenizer},
          {"tokenizer_revision", profile.tokenizer_revision},
          {"adapter", profile.adapter},
          {"dtype", NameOf(profile.dtype)},
          {"layers", profile.layers},
          {"kv_heads", profile.kv_heads},
          {"head_dim", profile.head_dim},
          {"rope_style", NameOf(profile.rope_style)},
          {"rope_theta", profile.rope_theta},
          {"rope_frequencies", profile.rope_frequencies},
          {"rotary_dim", profile.rotary_dim},
          {"rope_scaling", profile.rope_scaling},
          {"k_before_rope", profile.k_before_rope},
          {"sliding_window", profile.sliding_window},
          {"prompt_template", profile.prompt_template},
          {"codec", profile.codec}};
}

const char* NameOf(Metric metric) {
  constexpr const char* kNames[] = {"cosine", "dot", "l2"};
  return kNames[static_cast<size_t>(metric)];
}
const char* NameOf(IndexKind kind) {
  constexpr const char* kNames[] = {"auto", "flat", "hnsw", "tree"};
  return kNames[static_cast<size_t>(kind)];
}
const char* NameOf(RowCode code) {
  constexpr const char* kNames[] = {"auto", "f32", "sq4x8"};
  return kNames[static_cast<size_t>(code)];
}
const char* NameOf(EmbedderKind kind) {
  constexpr const char* kNames[] = {"none", "minilm", "http"};
  return kNames[static_cast<size_t>(kind)];
}
const char* NameOf(KvDtype dtype) {
  constexpr const char* kNames[] = {"f32", "f16", "bf16"};
  return kNames[static_cast<size_t>(dtype)];
}
const char* NameOf(RopeStyle style) {
  constexpr const char* kNames[] = {"none", "neox", "interleaved"};
  return kNames[static_cast<size_t>(style)];
}

}  // namespace larder::tools

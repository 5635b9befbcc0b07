// Collections' options and info.
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "proto/convert.h"
#include "proto/convert_common.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

constexpr EnumTable<Metric, v1::Metric, 3> kMetrics = {
    "metric",
    {{Metric::kCosine, v1::METRIC_COSINE}, {Metric::kDot, v1::METRIC_DOT}, {Metric::kL2, v1::METRIC_L2}}};

constexpr EnumTable<IndexKind, v1::IndexKind, 4> kIndexKinds = {"index kind",
                                                                {{IndexKind::kAuto, v1::INDEX_KIND_AUTO},
                                                                 {IndexKind::kFlat, v1::INDEX_KIND_FLAT},
                                                                 {IndexKind::kHnsw, v1::INDEX_KIND_HNSW},
                                                                 {IndexKind::kTree, v1::INDEX_KIND_TREE}}};

constexpr EnumTable<RowCode, v1::RowCode, 3> kRowCodes = {
    "row code",
    {{RowCode::kAuto, v1::ROW_CODE_AUTO}, {RowCode::kF32, v1::ROW_CODE_F32}, {RowCode::kSq4x8, v1::ROW_CODE_SQ4X8}}};

constexpr EnumTable<EmbedderKind, v1::EmbedderKind, 3> kEmbedders = {
    "embedder kind",
    {{EmbedderKind::kNone, v1::EMBEDDER_KIND_NONE},
     {EmbedderKind::kMiniLm, v1::EMBEDDER_KIND_MINILM},
     {EmbedderKind::kHttp, v1::EMBEDDER_KIND_HTTP}}};

absl::Status ToProto(const VectorSpaceOptions& space, v1::VectorSpaceOptions* message) {
  message->set_name(space.name);
  message->set_dimension(space.dimension);
  ASSIGN_OR_RETURN(const v1::Metric metric, kMetrics.To(space.metric));
  message->set_metric(metric);
  ASSIGN_OR_RETURN(const v1::IndexKind index, kIndexKinds.To(space.index));
  message->set_index(index);
  message->set_prefix(space.prefix);
  message->mutable_hnsw()->set_m(space.hnsw.m);
  message->mutable_hnsw()->set_ef_construction(space.hnsw.ef_construction);
  message->mutable_hnsw()->set_ef_search(space.hnsw.ef_search);
  ASSIGN_OR_RETURN(const v1::RowCode row_code, kRowCodes.To(space.hnsw.row_code));
  message->mutable_hnsw()->set_row_code(row_code);
  return absl::OkStatus();
}

absl::StatusOr<VectorSpaceOptions> FromProto(const v1::VectorSpaceOptions& message) {
  VectorSpaceOptions space;
  if (message.has_name()) space.name = message.name();
  space.dimension = message.dimension();
  space.prefix = message.prefix();
  if (message.has_metric()) {
    ASSIGN_OR_RETURN(space.metric, kMetrics.From(message.metric()));
  }
  if (message.has_index()) {
    ASSIGN_OR_RETURN(space.index, kIndexKinds.From(message.index()));
  }
  const v1::HnswOptions& hnsw = message.hnsw();
  if (hnsw.has_m()) space.hnsw.m = hnsw.m();
  if (hnsw.has_ef_construction()) space.hnsw.ef_construction = hnsw.ef_construction();
  if (hnsw.has_ef_search()) space.hnsw.ef_search = hnsw.ef_search();
  if (hnsw.has_row_code()) {
    ASSIGN_OR_RETURN(space.hnsw.row_code, kRowCodes.From(hnsw.row_code()));
  }
  return space;
}

absl::Status ToProto(const HttpEmbedderOptions& http, v1::HttpEmbedderOptions* message) {
  const int64_t timeout_ms = absl::ToInt64Milliseconds(http.timeout);
  if (absl::Milliseconds(timeout_ms) != http.timeout) {
    return absl::InvalidArgumentError(absl::StrCat("http.timeout is ", absl::FormatDuration(http.timeout),
                                                   ", expected whole milliseconds"));
  }
  message->set_url(http.url);
  message->set_model(http.model);
  message->set_api_key_env(http.api_key_env);
  message->set_batch(http.batch);
  message->set_max_attempts(http.max_attempts);
  message->set_timeout_ms(timeout_ms);
  return absl::OkStatus();
}

HttpEmbedderOptions FromProto(const v1::HttpEmbedderOptions& message) {
  HttpEmbedderOptions http;
  http.url = message.url();
  http.model = message.model();
  http.api_key_env = message.api_key_env();
  if (message.has_batch()) http.batch = message.batch();
  if (message.has_max_attempts()) http.max_attempts = message.max_attempts();
  if (message.has_timeout_ms()) http.timeout = absl::Milliseconds(message.timeout_ms());
  return http;
}

absl::Status ToProto(const VectorSpaceInfo& info, v1::VectorSpaceInfo* message) {
  message->set_name(info.name);
  message->set_dimension(info.dimension);
  ASSIGN_OR_RETURN(const v1::Metric metric, kMetrics.To(info.metric));
  message->set_metric(metric);
  ASSIGN_OR_RETURN(const v1::IndexKind requested, kIndexKinds.To(info.requested));
  message->set_requested(requested);
  ASSIGN_OR_RETURN(const v1::IndexKind serving, kIndexKinds.To(info.serving));
  message->set_serving(serving);
  message->set_vectors(info.vectors);
  message->set_tombstones(info.tombstones);
  message->set_resident_bytes(info.resident_bytes);
  if (info.recall_estimate) message->set_recall_estimate(*info.recall_estimate);
  message->set_recall_standard_error(info.recall_standard_error);
  message->set_recall_checked(info.recall_checked);
  message->set_recall_points(info.recall_points);
  message->set_recall_correction(info.recall_correction);
  message->set_code(info.code);
  message->set_problem(info.problem);
  return absl::OkStatus();
}

absl::StatusOr<VectorSpaceInfo> FromProto(const v1::VectorSpaceInfo& message) {
  VectorSpaceInfo info;
  info.name = message.name();
  info.dimension = message.dimension();
  ASSIGN_OR_RETURN(info.metric, kMetrics.From(message.metric()));
  ASSIGN_OR_RETURN(info.requested, kIndexKinds.From(message.requested()));
  ASSIGN_OR_RETURN(info.serving, kIndexKinds.From(message.serving()));
  info.vectors = message.vectors();
  info.tombstones = message.tombstones();
  info.resident_bytes = message.resident_bytes();
  if (message.has_recall_estimate()) info.recall_estimate = message.recall_estimate();
  info.recall_standard_error = message.recall_standard_error();
  info.recall_checked = message.recall_checked();
  info.recall_points = message.recall_points();
  info.code = message.code();
  info.problem = message.problem();
  info.recall_correction = message.recall_correction();
  return info;
}

}  // namespace

absl::Status ToProto(const CollectionOptions& options, v1::CollectionOptions* message) {
  if (options.spaces.empty()) {
    return absl::InvalidArgumentError("collection options without a vector space: expected 1 to 16");
  }
  ASSIGN_OR_RETURN(const v1::EmbedderKind embedder, kEmbedders.To(options.embedder));
  message->set_embedder(embedder);
  RETURN_IF_ERROR(ToProto(options.http, message->mutable_http()));
  for (const VectorSpaceOptions& space : options.spaces) {
    RETURN_IF_ERROR(ToProto(space, message->add_spaces()));
  }
  message->mutable_chunking()->set_max_tokens(options.chunking.max_tokens);
  message->mutable_chunking()->set_overlap_tokens(options.chunking.overlap_tokens);
  message->mutable_chunking()->set_prepend_title(options.chunking.prepend_title);
  return absl::OkStatus();
}

absl::StatusOr<CollectionOptions> FromProto(const v1::CollectionOptions& message) {
  CollectionOptions options;
  if (message.has_embedder()) {
    ASSIGN_OR_RETURN(options.embedder, kEmbedders.From(message.embedder()));
  }
  options.http = FromProto(message.http());
  if (message.spaces_size() > 0) options.spaces.clear();
  for (const v1::VectorSpaceOptions& sent : message.spaces()) {
    ASSIGN_OR_RETURN(VectorSpaceOptions space, FromProto(sent));
    options.spaces.push_back(std::move(space));
  }
  const v1::ChunkingOptions& chunking = message.chunking();
  if (chunking.has_max_tokens()) options.chunking.max_tokens = chunking.max_tokens();
  if (chunking.has_overlap_tokens()) options.chunking.overlap_tokens = chunking.overlap_tokens();
  if (chunking.has_prepend_title()) options.chunking.prepend_title = chunking.prepend_title();
  return options;
}

absl::Status ToProto(const CollectionInfo& info, v1::CollectionInfo* message) {
  message->set_name(info.name);
  message->set_documents(info.documents);
  message->set_chunks(info.chunks);
  message->set_embedder(info.embedder);
  for (const VectorSpaceInfo& space : info.spaces) RETURN_IF_ERROR(ToProto(space, message->add_spaces()));
  return absl::OkStatus();
}

absl::StatusOr<CollectionInfo> FromProto(const v1::CollectionInfo& message) {
  CollectionInfo info;
  info.name = message.name();
  info.documents = message.documents();
  info.chunks = message.chunks();
  info.embedder = message.embedder();
  for (const v1::VectorSpaceInfo& sent : message.spaces()) {
    ASSIGN_OR_RETURN(VectorSpaceInfo space, FromProto(sent));
    info.spaces.push_back(std::move(space));
  }
  return info;
}

}  // namespace larder

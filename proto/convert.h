// The library's values (larder/types.h, options.h, kv_types.h) <-> their messages.
//
// ToProto fills an empty message, FromProto reads one that a peer sent. Both answer InvalidArgument,
// naming the field, for what cannot be represented: an enum unset or unknown, metadata without a
// value, map keys and values that are not UTF-8. Limits and sizes are the engine's to check.
// An absent optional field becomes the library's default. Pure functions; thread-safe.
//
// The collection, the sync flag and the tree filter of a request have no place in the library's values;
// the caller sets and reads them.
#ifndef LARDER_PROTO_CONVERT_H_
#define LARDER_PROTO_CONVERT_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "larder/database.h"
#include "larder/kv_stats.h"
#include "larder/kv_types.h"
#include "larder/options.h"
#include "larder/types.h"
#include "larder/v1/admin.pb.h"
#include "larder/v1/kv.pb.h"
#include "larder/v1/kv_tiers.pb.h"
#include "larder/v1/larder.pb.h"
#include "larder/v1/types.pb.h"

namespace larder {

using MetadataMessage = google::protobuf::Map<std::string, v1::MetadataValue>;

void ToProto(const Scalar& scalar, v1::Scalar* message);
absl::StatusOr<Scalar> FromProto(const v1::Scalar& message);
absl::Status ToProto(const Metadata& metadata, MetadataMessage* message);
absl::StatusOr<Metadata> FromProto(const MetadataMessage& message);

absl::Status ToProto(const Document& document, v1::Document* message);
absl::StatusOr<Document> FromProto(const v1::Document& message);
absl::Status ToProto(const Chunk& chunk, v1::Chunk* message);
absl::StatusOr<Chunk> FromProto(const v1::Chunk& message);
void ToProto(const UpsertResult& result, v1::UpsertResult* message);
UpsertResult FromProto(const v1::UpsertResult& message);
void ToProto(const ScrollRequest& request, v1::ScrollRequest* message);
ScrollRequest FromProto(const v1::ScrollRequest& message);
absl::Status ToProto(const ScrollReply& reply, v1::ScrollReply* message);
absl::StatusOr<ScrollReply> FromProto(const v1::ScrollReply& message);

// ToProto refuses a request with both text and vector.
absl::Status ToProto(const SearchRequest& request, v1::SearchRequest* message);
SearchRequest FromProto(const v1::SearchRequest& message);
absl::Status ToProto(const SearchReply& reply, v1::SearchReply* message);
absl::StatusOr<SearchReply> FromProto(const v1::SearchReply& message);

// ToProto refuses an empty list of spaces (on the wire it means the default) and a timeout that is
// not whole milliseconds.
absl::Status ToProto(const CollectionOptions& options, v1::CollectionOptions* message);
absl::StatusOr<CollectionOptions> FromProto(const v1::CollectionOptions& message);
absl::Status ToProto(const CollectionInfo& info, v1::CollectionInfo* message);
absl::StatusOr<CollectionInfo> FromProto(const v1::CollectionInfo& message);

absl::Status ToProto(const KvProfile& profile, v1::KvProfile* message);
absl::StatusOr<KvProfile> FromProto(const v1::KvProfile& message);
void ToProto(const KvKey& key, v1::KvKey* message);
KvKey FromProto(const v1::KvKey& message);
void ToProto(const KvOwner& owner, v1::KvOwner* message);
KvOwner FromProto(const v1::KvOwner& message);
absl::Status ToProto(const KvPutRequest& request, v1::PutBeginRequest* message);
absl::StatusOr<KvPutRequest> FromProto(const v1::PutBeginRequest& message);
absl::StatusOr<v1::KvSidecarKind> ToProto(KvSidecarKind kind);
absl::StatusOr<KvSidecarKind> FromProto(v1::KvSidecarKind kind);
void ToProto(const KvReadRequest& request, v1::KvReadRequest::Object* message);
KvReadRequest FromProto(const v1::KvReadRequest::Object& message);
void ToProto(const KvLookup& lookup, v1::LookupReply::Answer* message);
KvLookup FromProto(const v1::LookupReply::Answer& message);
void ToProto(const KvPlanRequest& request, v1::PlanRequest* message);
KvPlanRequest FromProto(const v1::PlanRequest& message);
void ToProto(const KvPlan& plan, v1::PlanReply* message);
KvPlan FromProto(const v1::PlanReply& message);
void ToProto(const KvStats& stats, v1::KvStatsReply* message);
KvStats FromProto(const v1::KvStatsReply& message);

void ToProto(const DatabaseStats& stats, v1::StatsReply* message);
DatabaseStats FromProto(const v1::StatsReply& message);
void ToProto(const VerifyReport& report, v1::VerifyReply* message);
VerifyReport FromProto(const v1::VerifyReply& message);
void ToProto(const BackupInfo& info, v1::BackupInfo* message);
BackupInfo FromProto(const v1::BackupInfo& message);

}  // namespace larder

#endif  // LARDER_PROTO_CONVERT_H_

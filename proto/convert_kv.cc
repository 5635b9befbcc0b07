// KV profiles, keys and plans.
#include "proto/convert.h"
#include "proto/convert_common.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

constexpr EnumTable<KvDtype, v1::KvProfile::Dtype, 3> kDtypes = {
    "dtype",
    {{KvDtype::kF32, v1::KvProfile::DTYPE_F32},
     {KvDtype::kF16, v1::KvProfile::DTYPE_F16},
     {KvDtype::kBf16, v1::KvProfile::DTYPE_BF16}}};

constexpr EnumTable<RopeStyle, v1::KvProfile::RopeStyle, 3> kRopeStyles = {
    "rope_style",
    {{RopeStyle::kNone, v1::KvProfile::ROPE_STYLE_NONE},
     {RopeStyle::kNeox, v1::KvProfile::ROPE_STYLE_NEOX},
     {RopeStyle::kInterleaved, v1::KvProfile::ROPE_STYLE_INTERLEAVED}}};

constexpr EnumTable<KvSidecarKind, v1::KvSidecarKind, 3> kSidecarKinds = {
    "sidecar kind",
    {{KvSidecarKind::kSaliency, v1::KV_SIDECAR_KIND_SALIENCY},
     {KvSidecarKind::kInterAttention, v1::KV_SIDECAR_KIND_INTER_ATTENTION},
     {KvSidecarKind::kCentroids, v1::KV_SIDECAR_KIND_CENTROIDS}}};

void ToProto(const KvVariant& variant, v1::KvVariant* message) {
  message->set_kind(static_cast<v1::KvVariant::Kind>(variant.kind));
  for (const std::string& hash : variant.context) message->add_context(hash);
}

// The numbers are the same; the engine refuses one that is no kind.
KvVariant FromProto(const v1::KvVariant& message) {
  constexpr auto kUnknown = static_cast<KvVariantKind>(255);
  return KvVariant{.kind = v1::KvVariant::Kind_IsValid(message.kind())
                               ? static_cast<KvVariantKind>(message.kind())
                               : kUnknown,
                   .context = {message.context().begin(), message.context().end()}};
}

absl::Status ToProto(const KvForm& form, v1::KvForm* message) {
  ASSIGN_OR_RETURN(const v1::KvProfile::Dtype dtype, kDtypes.To(form.dtype));
  message->set_tokens(form.tokens);
  message->set_kv_heads(form.kv_heads);
  message->set_head_dim(form.head_dim);
  message->set_dtype(dtype);
  return absl::OkStatus();
}

absl::StatusOr<KvForm> FromProto(const v1::KvForm& message) {
  ASSIGN_OR_RETURN(const KvDtype dtype, kDtypes.From(message.dtype()));
  return KvForm{.tokens = message.tokens(),
                .kv_heads = message.kv_heads(),
                .head_dim = message.head_dim(),
                .dtype = dtype};
}

}  // namespace

absl::StatusOr<v1::KvSidecarKind> ToProto(KvSidecarKind kind) { return kSidecarKinds.To(kind); }
absl::StatusOr<KvSidecarKind> FromProto(v1::KvSidecarKind kind) { return kSidecarKinds.From(kind); }

absl::Status ToProto(const KvProfile& profile, v1::KvProfile* message) {
  ASSIGN_OR_RETURN(const v1::KvProfile::Dtype dtype, kDtypes.To(profile.dtype));
  ASSIGN_OR_RETURN(const v1::KvProfile::RopeStyle rope_style, kRopeStyles.To(profile.rope_style));
  message->set_model(profile.model);
  message->set_model_revision(profile.model_revision);
  message->set_weights_sha256(profile.weights_sha256);
  message->set_tokenizer(profile.tokenizer);
  message->set_tokenizer_revision(profile.tokenizer_revision);
  message->set_adapter(profile.adapter);
  message->set_dtype(dtype);
  message->set_layers(profile.layers);
  message->set_kv_heads(profile.kv_heads);
  message->set_head_dim(profile.head_dim);
  message->set_rope_style(rope_style);
  message->set_rope_theta(profile.rope_theta);
  message->set_rotary_dim(profile.rotary_dim);
  message->set_rope_scaling(profile.rope_scaling);
  message->set_k_before_rope(profile.k_before_rope);
  message->set_sliding_window(profile.sliding_window);
  message->set_prompt_template(profile.prompt_template);
  message->set_codec(profile.codec);
  message->mutable_rope_frequencies()->Assign(profile.rope_frequencies.begin(),
                                              profile.rope_frequencies.end());
  return absl::OkStatus();
}

absl::StatusOr<KvProfile> FromProto(const v1::KvProfile& message) {
  KvProfile profile;
  profile.model = message.model();
  profile.model_revision = message.model_revision();
  profile.weights_sha256 = message.weights_sha256();
  profile.tokenizer = message.tokenizer();
  profile.tokenizer_revision = message.tokenizer_revision();
  profile.adapter = message.adapter();
  ASSIGN_OR_RETURN(profile.dtype, kDtypes.From(message.dtype()));
  profile.layers = message.layers();
  profile.kv_heads = message.kv_heads();
  profile.head_dim = message.head_dim();
  ASSIGN_OR_RETURN(profile.rope_style, kRopeStyles.From(message.rope_style()));
  if (message.has_rope_theta()) profile.rope_theta = message.rope_theta();
  profile.rotary_dim = message.rotary_dim();
  profile.rope_scaling = message.rope_scaling();
  if (message.has_k_before_rope()) profile.k_before_rope = message.k_before_rope();
  profile.sliding_window = message.sliding_window();
  profile.prompt_template = message.prompt_template();
  if (message.has_codec()) profile.codec = message.codec();
  profile.rope_frequencies.assign(message.rope_frequencies().begin(), message.rope_frequencies().end());
  return profile;
}

void ToProto(const KvKey& key, v1::KvKey* message) {
  message->set_tenant(key.tenant);
  message->set_profile_id(key.profile_id);
  message->mutable_tokens()->Assign(key.tokens.begin(), key.tokens.end());
  if (!(key.variant == KvVariant())) ToProto(key.variant, message->mutable_variant());
}

KvKey FromProto(const v1::KvKey& message) {
  return KvKey{.tenant = message.tenant(),
               .profile_id = message.profile_id(),
               .tokens = {message.tokens().begin(), message.tokens().end()},
               .variant = FromProto(message.variant())};
}

void ToProto(const KvOwner& owner, v1::KvOwner* message) {
  message->set_collection(owner.collection);
  message->set_document_id(owner.document_id);
  message->set_ordinal(owner.ordinal);
}

KvOwner FromProto(const v1::KvOwner& message) {
  return KvOwner{
      .collection = message.collection(), .document_id = message.document_id(), .ordinal = message.ordinal()};
}

absl::Status ToProto(const KvPutRequest& request, v1::PutBeginRequest* message) {
  ToProto(request.key, message->mutable_key());
  for (const KvOwner& owner : request.owners) ToProto(owner, message->add_owners());
  if (request.rotated_from.has_value()) message->set_rotated_from(*request.rotated_from);
  if (request.compute_seconds.has_value()) message->set_compute_seconds(*request.compute_seconds);
  message->set_may_decline(request.may_decline);
  return request.form.has_value() ? ToProto(*request.form, message->mutable_form()) : absl::OkStatus();
}

absl::StatusOr<KvPutRequest> FromProto(const v1::PutBeginRequest& message) {
  KvPutRequest request{.key = FromProto(message.key()), .owners = {}};
  for (const v1::KvOwner& owner : message.owners()) request.owners.push_back(FromProto(owner));
  if (message.has_rotated_from()) request.rotated_from = message.rotated_from();
  if (message.has_form()) {
    ASSIGN_OR_RETURN(request.form, FromProto(message.form()));
  }
  if (message.has_compute_seconds()) request.compute_seconds = message.compute_seconds();
  request.may_decline = message.may_decline();
  return request;
}

void ToProto(const KvReadRequest& request, v1::KvReadRequest::Object* message) {
  ToProto(request.key, message->mutable_key());
  message->set_first_layer(request.first_layer);
  message->set_layers(request.layers);
  message->set_first_token(request.first_token);
  message->set_tokens(request.tokens);
  message->mutable_token_list()->Assign(request.token_list.begin(), request.token_list.end());
  message->set_first_head(request.first_head);
  message->set_heads(request.heads);
  if (request.rotate_to.has_value()) message->set_rotate_to(*request.rotate_to);
  message->set_encoded(request.encoded);
}

KvReadRequest FromProto(const v1::KvReadRequest::Object& message) {
  KvReadRequest request{.key = FromProto(message.key()),
                        .first_layer = message.first_layer(),
                        .layers = message.layers(),
                        .first_token = message.first_token(),
                        .tokens = message.tokens(),
                        .token_list = {message.token_list().begin(), message.token_list().end()},
                        .first_head = message.first_head(),
                        .heads = message.heads(),
                        .encoded = message.encoded()};
  if (message.has_rotate_to()) request.rotate_to = message.rotate_to();
  return request;
}

void ToProto(const KvLookup& lookup, v1::LookupReply::Answer* message) {
  message->set_hit(lookup.hit);
  message->set_bytes(lookup.bytes);
  message->set_tokens(lookup.tokens);
  if (lookup.rotated_from.has_value()) message->set_rotated_from(*lookup.rotated_from);
}

KvLookup FromProto(const v1::LookupReply::Answer& message) {
  KvLookup lookup{.hit = message.hit(), .bytes = message.bytes(), .tokens = message.tokens()};
  if (message.has_rotated_from()) lookup.rotated_from = message.rotated_from();
  return lookup;
}

void ToProto(const KvPlanRequest& request, v1::PlanRequest* message) {
  message->set_tenant(request.tenant);
  message->set_profile_id(request.profile_id);
  for (const std::vector<int32_t>& tokens : request.chunks) {
    message->add_chunks()->mutable_tokens()->Assign(tokens.begin(), tokens.end());
  }
  message->set_first_position(request.first_position);
}

KvPlanRequest FromProto(const v1::PlanRequest& message) {
  KvPlanRequest request;
  request.tenant = message.tenant();
  request.profile_id = message.profile_id();
  request.chunks.reserve(message.chunks_size());
  for (const v1::PlanRequest::Tokens& chunk : message.chunks()) {
    request.chunks.emplace_back(chunk.tokens().begin(), chunk.tokens().end());
  }
  request.first_position = message.first_position();
  return request;
}

void ToProto(const KvPlan& plan, v1::PlanReply* message) {
  for (const KvPlanItem& item : plan.items) {
    v1::PlanReply::Item* sent = message->add_items();
    sent->set_hit(item.hit);
    sent->set_position(item.position);
    sent->set_tokens(item.tokens);
    sent->set_bytes(item.bytes);
  }
  message->set_hit_tokens(plan.hit_tokens);
  message->set_miss_tokens(plan.miss_tokens);
  message->set_bytes(plan.bytes);
}

KvPlan FromProto(const v1::PlanReply& message) {
  KvPlan plan;
  for (const v1::PlanReply::Item& item : message.items()) {
    plan.items.push_back(KvPlanItem{
        .hit = item.hit(), .position = item.position(), .tokens = item.tokens(), .bytes = item.bytes()});
  }
  plan.hit_tokens = message.hit_tokens();
  plan.miss_tokens = message.miss_tokens();
  plan.bytes = message.bytes();
  return plan;
}

}  // namespace larder

// Metadata, documents and chunks.
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/utf8.h"
#include "proto/convert.h"
#include "proto/convert_common.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

// v1::Scalar and v1::MetadataValue name their scalars alike.
template <typename Message>
void SetScalar(const Scalar& scalar, Message* message) {
  if (const bool* b = std::get_if<bool>(&scalar)) {
    message->set_bool_value(*b);
  } else if (const int64_t* i = std::get_if<int64_t>(&scalar)) {
    message->set_int_value(*i);
  } else if (const double* d = std::get_if<double>(&scalar)) {
    message->set_double_value(*d);
  } else {
    message->set_string_value(std::get<std::string>(scalar));
  }
}

template <typename Message>
absl::StatusOr<Scalar> GetScalar(const Message& message) {
  switch (message.kind_case()) {
    case Message::kBoolValue:
      return Scalar(message.bool_value());
    case Message::kIntValue:
      return Scalar(static_cast<int64_t>(message.int_value()));
    case Message::kDoubleValue:
      return Scalar(message.double_value());
    case Message::kStringValue:
      return Scalar(message.string_value());
    default:
      return absl::InvalidArgumentError("a value is not set: expected bool, int, double or string");
  }
}

absl::Status ToProto(const std::string& field, const MetadataValue& value, v1::MetadataValue* message) {
  if (!value.is_list && value.values.size() != 1) {
    return absl::InvalidArgumentError(absl::StrCat("metadata field \"", field, "\": ", value.values.size(),
                                                   " values, expected 1 or a list"));
  }
  for (const Scalar& scalar : value.values) {
    const std::string* text = std::get_if<std::string>(&scalar);
    if (text != nullptr && !IsUtf8(*text)) {
      return absl::InvalidArgumentError(absl::StrCat("metadata field \"", field, "\": a value is not UTF-8"));
    }
    if (value.is_list) SetScalar(scalar, message->mutable_list_value()->add_values());
  }
  if (value.is_list) {
    message->mutable_list_value();  // an empty list is a list
  } else {
    SetScalar(value.values[0], message);
  }
  return absl::OkStatus();
}

absl::StatusOr<MetadataValue> FromProto(const v1::MetadataValue& message) {
  if (!message.has_list_value()) {
    ASSIGN_OR_RETURN(Scalar scalar, GetScalar(message));
    return MetadataValue(std::move(scalar));
  }
  std::vector<Scalar> values;
  values.reserve(message.list_value().values_size());
  for (const v1::Scalar& value : message.list_value().values()) {
    ASSIGN_OR_RETURN(Scalar scalar, GetScalar(value));
    values.push_back(std::move(scalar));
  }
  return MetadataValue(std::move(values));
}

absl::Status ToProto(const GivenChunk& chunk, v1::GivenChunk* message) {
  message->set_text(chunk.text);
  for (const auto& [space, vector] : chunk.vectors) {
    if (!IsUtf8(space)) return absl::InvalidArgumentError("the name of a vector space is not UTF-8");
    SetVector(vector, &(*message->mutable_vectors())[space]);
  }
  message->set_section(chunk.section);
  if (chunk.span.has_value()) SetSpan(*chunk.span, message->mutable_span());
  return larder::ToProto(chunk.metadata, message->mutable_metadata());
}

absl::StatusOr<GivenChunk> FromProto(const v1::GivenChunk& message) {
  GivenChunk chunk;
  chunk.text = message.text();
  for (const auto& [space, vector] : message.vectors()) chunk.vectors[space] = GetVector(vector);
  chunk.section = message.section();
  if (message.has_span()) chunk.span = GetSpan(message.span());
  ASSIGN_OR_RETURN(chunk.metadata, larder::FromProto(message.metadata()));
  return chunk;
}

}  // namespace

void ToProto(const Scalar& scalar, v1::Scalar* message) { SetScalar(scalar, message); }
absl::StatusOr<Scalar> FromProto(const v1::Scalar& message) { return GetScalar(message); }

absl::Status ToProto(const Metadata& metadata, MetadataMessage* message) {
  for (const auto& [field, value] : metadata) {
    if (!IsUtf8(field)) {
      return absl::InvalidArgumentError(
          absl::StrCat("the name of metadata field \"", ToValidUtf8(field), "\" is not UTF-8"));
    }
    RETURN_IF_ERROR(ToProto(field, value, &(*message)[field]));
  }
  return absl::OkStatus();
}

absl::StatusOr<Metadata> FromProto(const MetadataMessage& message) {
  Metadata metadata;
  for (const auto& [field, value] : message) {
    absl::StatusOr<MetadataValue> read = FromProto(value);
    if (!read.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("metadata field \"", field, "\": ", read.status().message()));
    }
    metadata.emplace(field, *std::move(read));
  }
  return metadata;
}

absl::Status ToProto(const Document& document, v1::Document* message) {
  message->set_id(document.id);
  message->set_tenant(document.tenant);
  message->set_title(document.title);
  message->set_text(document.text);
  message->set_uri(document.uri);
  message->set_media_type(document.media_type);
  RETURN_IF_ERROR(ToProto(document.metadata, message->mutable_metadata()));
  message->mutable_chunks()->Reserve(static_cast<int>(document.chunks.size()));
  for (const GivenChunk& chunk : document.chunks) RETURN_IF_ERROR(ToProto(chunk, message->add_chunks()));
  message->set_expires_at_ms(document.expires_at_ms);
  message->set_version(document.version);
  return absl::OkStatus();
}

absl::StatusOr<Document> FromProto(const v1::Document& message) {
  Document document;
  document.id = message.id();
  document.tenant = message.tenant();
  document.title = message.title();
  document.text = message.text();
  document.uri = message.uri();
  if (message.has_media_type()) document.media_type = message.media_type();
  ASSIGN_OR_RETURN(document.metadata, FromProto(message.metadata()));
  document.chunks.reserve(message.chunks_size());
  for (const v1::GivenChunk& given : message.chunks()) {
    ASSIGN_OR_RETURN(GivenChunk chunk, FromProto(given));
    document.chunks.push_back(std::move(chunk));
  }
  document.expires_at_ms = message.expires_at_ms();
  document.version = message.version();
  return document;
}

absl::Status ToProto(const Chunk& chunk, v1::Chunk* message) {
  message->set_vid(chunk.vid);
  message->set_document_id(chunk.document_id);
  message->set_tenant(chunk.tenant);
  message->set_ordinal(chunk.ordinal);
  SetSpan(chunk.span, message->mutable_span());
  message->set_section(chunk.section);
  message->set_token_count(chunk.token_count);
  message->set_text(chunk.text);
  return ToProto(chunk.metadata, message->mutable_metadata());
}

absl::StatusOr<Chunk> FromProto(const v1::Chunk& message) {
  Chunk chunk;
  chunk.vid = message.vid();
  chunk.document_id = message.document_id();
  chunk.tenant = message.tenant();
  chunk.ordinal = message.ordinal();
  chunk.span = GetSpan(message.span());
  chunk.section = message.section();
  chunk.token_count = message.token_count();
  chunk.text = message.text();
  ASSIGN_OR_RETURN(chunk.metadata, FromProto(message.metadata()));
  return chunk;
}

void ToProto(const UpsertResult& result, v1::UpsertResult* message) {
  message->set_id(result.id);
  message->set_version(result.version);
  message->set_chunks(result.chunks);
  message->set_error_code(result.error_code);
  message->set_error(ToValidUtf8(result.error));
}

UpsertResult FromProto(const v1::UpsertResult& message) {
  return UpsertResult{.id = message.id(),
                      .version = message.version(),
                      .chunks = message.chunks(),
                      .error_code = message.error_code(),
                      .error = message.error()};
}

void ToProto(const ScrollRequest& request, v1::ScrollRequest* message) {
  message->set_tenant(request.tenant);
  if (!request.filter.empty()) message->set_filter(request.filter);
  message->set_cursor(request.cursor);
  message->set_limit(request.limit);
  message->set_include_text(request.include_text);
}

ScrollRequest FromProto(const v1::ScrollRequest& message) {
  ScrollRequest request;
  request.tenant = message.tenant();
  request.filter = message.filter();
  request.cursor = message.cursor();
  if (message.has_limit()) request.limit = message.limit();
  request.include_text = message.include_text();
  return request;
}

absl::Status ToProto(const ScrollReply& reply, v1::ScrollReply* message) {
  for (const Document& document : reply.documents) {
    RETURN_IF_ERROR(ToProto(document, message->add_documents()));
  }
  message->set_cursor(reply.cursor);
  return absl::OkStatus();
}

absl::StatusOr<ScrollReply> FromProto(const v1::ScrollReply& message) {
  ScrollReply reply;
  reply.documents.reserve(message.documents_size());
  for (const v1::Document& sent : message.documents()) {
    ASSIGN_OR_RETURN(Document document, FromProto(sent));
    reply.documents.push_back(std::move(document));
  }
  reply.cursor = message.cursor();
  return reply;
}

}  // namespace larder

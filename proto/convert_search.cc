// Search requests and replies.
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/convert.h"
#include "proto/convert_common.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

absl::Status ToProto(const Hit& hit, v1::Hit* message) {
  message->set_vid(hit.vid);
  message->set_document_id(hit.document_id);
  message->set_ordinal(hit.ordinal);
  message->set_score(hit.score);
  message->set_title(hit.title);
  message->set_uri(hit.uri);
  message->set_section(hit.section);
  message->set_text(hit.text);
  SetSpan(hit.span, message->mutable_span());
  if (!hit.vector.empty()) SetVector(hit.vector, message->mutable_vector());
  return larder::ToProto(hit.metadata, message->mutable_metadata());
}

absl::StatusOr<Hit> FromProto(const v1::Hit& message) {
  Hit hit;
  hit.vid = message.vid();
  hit.document_id = message.document_id();
  hit.ordinal = message.ordinal();
  hit.score = message.score();
  hit.title = message.title();
  hit.uri = message.uri();
  hit.section = message.section();
  hit.text = message.text();
  hit.span = GetSpan(message.span());
  ASSIGN_OR_RETURN(hit.metadata, larder::FromProto(message.metadata()));
  hit.vector = GetVector(message.vector());
  return hit;
}

}  // namespace

absl::Status ToProto(const SearchRequest& request, v1::SearchRequest* message) {
  if (!request.text.empty() && !request.vector.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("search request with both text (", request.text.size(),
                                                   " bytes) and a vector (", request.vector.size(),
                                                   " values): expected exactly one"));
  }
  if (!request.text.empty()) message->set_text(request.text);
  if (!request.vector.empty()) SetVector(request.vector, message->mutable_vector());
  message->set_space(request.space);
  message->set_k(request.k);
  if (!request.filter.empty()) message->set_filter(request.filter);
  message->set_tenant(request.tenant);
  message->set_ef(request.ef);
  message->set_target_recall(request.target_recall);
  message->set_exact(request.exact);
  message->set_include_text(request.include_text);
  message->set_include_metadata(request.include_metadata);
  message->set_include_vector(request.include_vector);
  message->set_timings(request.timings);
  message->set_prefetch_kv(request.prefetch_kv);
  return absl::OkStatus();
}

SearchRequest FromProto(const v1::SearchRequest& message) {
  SearchRequest request;
  request.text = message.text();
  request.vector = GetVector(message.vector());
  request.space = message.space();
  if (message.has_k()) request.k = message.k();
  request.filter = message.filter();
  request.tenant = message.tenant();
  request.ef = message.ef();
  request.target_recall = message.target_recall();
  request.exact = message.exact();
  if (message.has_include_text()) request.include_text = message.include_text();
  request.include_metadata = message.include_metadata();
  request.include_vector = message.include_vector();
  request.timings = message.timings();
  request.prefetch_kv = message.prefetch_kv();
  return request;
}

absl::Status ToProto(const SearchReply& reply, v1::SearchReply* message) {
  message->mutable_hits()->Reserve(static_cast<int>(reply.hits.size()));
  for (const Hit& hit : reply.hits) RETURN_IF_ERROR(ToProto(hit, message->add_hits()));
  message->set_plan(reply.plan);
  message->set_matches(reply.matches);
  message->set_ef(reply.ef);
  if (reply.io != SearchIo()) {
    v1::SearchIo* const io = message->mutable_io();
    io->set_rounds(reply.io.rounds);
    io->set_reads(reply.io.reads);
    io->set_bytes(reply.io.bytes);
    io->set_postings(reply.io.postings);
    io->set_candidates(reply.io.candidates);
  }
  if (reply.recall_estimate) message->set_recall_estimate(*reply.recall_estimate);
  for (const StageTiming& timing : reply.timings) {
    v1::StageTiming* sent = message->add_timings();
    sent->set_stage(timing.stage);
    sent->set_micros(timing.micros);
  }
  return absl::OkStatus();
}

absl::StatusOr<SearchReply> FromProto(const v1::SearchReply& message) {
  SearchReply reply;
  reply.hits.reserve(message.hits_size());
  for (const v1::Hit& sent : message.hits()) {
    ASSIGN_OR_RETURN(Hit hit, FromProto(sent));
    reply.hits.push_back(std::move(hit));
  }
  reply.plan = message.plan();
  reply.matches = message.matches();
  reply.ef = message.ef();
  const v1::SearchIo& io = message.io();
  reply.io = {io.rounds(), io.reads(), io.bytes(), io.postings(), io.candidates()};
  if (message.has_recall_estimate()) reply.recall_estimate = message.recall_estimate();
  for (const v1::StageTiming& timing : message.timings()) {
    reply.timings.push_back(StageTiming{.stage = timing.stage(), .micros = timing.micros()});
  }
  return reply;
}

}  // namespace larder

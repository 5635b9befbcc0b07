// The life of a query: vector, matches, plan, candidates, hits.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/collection_impl.h"
#include "engine/keys.h"
#include "engine/limits.h"
#include "engine/metadata_index.h"
#include "engine/query_plan.h"
#include "storage/status_macros.h"

namespace larder {

using index::VidSet;
using storage::Table;

namespace {

class StageClock {
 public:
  explicit StageClock(std::vector<StageTiming>* out) : out_(out), start_(absl::Now()) {}
  void Stage(const char* name) {
    if (out_ == nullptr) return;
    const absl::Time now = absl::Now();
    out_->push_back({name, absl::ToDoubleMicroseconds(now - start_)});
    start_ = now;
  }

 private:
  std::vector<StageTiming>* out_;
  absl::Time start_;
};

float ToScore(float distance, index::Metric metric) {
  return metric == index::Metric::kCosine ? 1 - distance : -distance;
}

absl::Status CheckRequest(const SearchRequest& request) {
  if (request.k == 0 || request.k > kMaxK) {
    return absl::InvalidArgumentError(absl::StrCat("k is ", request.k, ", expected 1 to ", kMaxK));
  }
  if (request.ef > index::kMaxEf) {
    return absl::InvalidArgumentError(absl::StrCat("ef is ", request.ef, ", expected at most ", index::kMaxEf));
  }
  if (request.target_recall == 0) return absl::OkStatus();
  if (!(request.target_recall > 0 && request.target_recall < 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("target_recall is ", request.target_recall, ", expected more than 0 and less than 1"));
  }
  if (request.ef == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("ef is ", request.ef, " and target_recall is ",
                                                 request.target_recall, ", expected at most one of them"));
}

}  // namespace

absl::StatusOr<const VectorSpace*> CollectionImpl::FindSpace(absl::string_view name) const {
  for (const auto& space : spaces_) {
    if (name.empty() || space->options().name == name) return space.get();
  }
  return absl::NotFoundError(
      absl::StrCat("collection \"", record_.name, "\" has no vector space \"", name, "\""));
}

absl::StatusOr<VidSet> CollectionImpl::Match(const Filter& filter, absl::string_view tenant, bool* all) const {
  RETURN_IF_ERROR(ValidateTenant(tenant));
  const bool unfiltered = filter.op == Filter::Op::kAnd && filter.children.empty();
  const bool tenants = !tenant.empty() || directory_.has_tenants();
  *all = unfiltered && !tenants;
  if (*all) return VidSet();
  const std::shared_ptr<const VidSet> live = directory_.live();
  const FilterCompiler compiler(&postings_, record_.id, *live, [this](uint64_t vid) { return MetadataOf(vid); });
  if (!tenants) return compiler.Compile(filter);
  ASSIGN_OR_RETURN(VidSet matches, compiler.CompileTenant(tenant));
  if (unfiltered) return matches;
  ASSIGN_OR_RETURN(const VidSet passed, compiler.Compile(filter));
  matches &= passed;
  return matches;
}

absl::StatusOr<std::vector<float>> CollectionImpl::QueryVector(const SearchRequest& request,
                                                               const VectorSpace& space) const {
  if (request.text.empty() == request.vector.empty()) {
    return absl::InvalidArgumentError("search needs either text or a vector");
  }
  std::vector<float> query = request.vector;
  if (!request.text.empty()) {
    RETURN_IF_ERROR(ValidateUtf8("query text", request.text, kMaxTextBytes));
    ASSIGN_OR_RETURN(const std::shared_ptr<Embedder> embedder, services_->embedder(record_));
    if (embedder == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("collection \"", record_.name, "\" has no embedder: search by vector"));
    }
    ASSIGN_OR_RETURN(query, embedder->Embed({request.text}));
  }
  RETURN_IF_ERROR(index::CheckVector(query, space.options().dimension, space.metric()));
  return query;
}

absl::StatusOr<SearchReply> CollectionImpl::Search(const SearchRequest& request) const {
  RETURN_IF_ERROR(CheckRequest(request));
  if (!request.prefetch_kv.empty()) RETURN_IF_ERROR(services_->kv->CheckPrefetch(request.prefetch_kv));
  SearchReply reply;
  StageClock clock(request.timings ? &reply.timings : nullptr);
  ASSIGN_OR_RETURN(const VectorSpace* space, FindSpace(request.space));
  ASSIGN_OR_RETURN(const Filter filter, ParseFilter(request.filter));
  ASSIGN_OR_RETURN(const std::vector<float> query, QueryVector(request, *space));
  clock.Stage("embed");
  bool all = false;
  ASSIGN_OR_RETURN(const VidSet matches, Match(filter, request.tenant, &all));
  reply.matches = all ? directory_.chunks() : matches.size();
  clock.Stage("filter");
  if (reply.matches == 0) {
    reply.plan = "matches";
    reply.recall_estimate = 1;
    return reply;
  }
  auto index = space->index();
  const index::Vid end_vid = vids_.next();
  const int64_t start = index::SteadyNanos();
  const auto find = [&] {
    return FindCandidates(*index, query, request, space->EfFor(request.ef, request.target_recall, request.k),
                          all ? nullptr : &matches);
  };
  absl::StatusOr<Candidates> sought = find();
  // A tree that was replaced meanwhile may have lost its extents.
  for (auto now = space->index(); !sought.ok() && now != index; now = space->index()) {
    index = std::move(now);
    sought = find();
  }
  RETURN_IF_ERROR(sought.status());
  const Candidates& found = *sought;
  reply.io = {found.io.rounds, found.io.reads, found.io.bytes, found.io.postings, found.io.candidates};
  reply.plan = found.plan;
  reply.ef = found.ef;
  if (found.exact) reply.recall_estimate = 1;
  if (index->options().kind == index::Kind::kTree) {
    if (!found.exact) reply.recall_estimate = found.recall;
  } else if (!all && !found.exact) {
    const uint64_t rows = directory_.chunks();
    reply.recall_estimate = space->filtered_recall().Expect(matches.size(), rows);
    space->filtered_recall().Offer({query, request.k, found.neighbors, &matches, rows, index::SteadyNanos() - start});
  } else if (!found.exact) {
    reply.recall_estimate = space->recall().Expect(found.ef, request.k);
    space->recall().Offer({query, request.k, found.ef, found.neighbors, end_vid, index::SteadyNanos() - start});
  }
  clock.Stage("search");
  reply.hits.resize(found.neighbors.size());
  for (size_t i = 0; i < found.neighbors.size(); ++i) {
    reply.hits[i].vid = found.neighbors[i].vid;
    reply.hits[i].score = ToScore(found.neighbors[i].distance, space->metric());
  }
  RETURN_IF_ERROR(FillHits(request, *space, &reply.hits));
  if (!request.prefetch_kv.empty()) {
    std::vector<uint64_t> vids;
    for (const Hit& hit : reply.hits) vids.push_back(hit.vid);
    services_->kv->Prefetch(record_.id, vids, request.prefetch_kv);
  }
  clock.Stage("fetch");
  return reply;
}

absl::Status CollectionImpl::FillHits(const SearchRequest& request, const VectorSpace& space,
                                      std::vector<Hit>* hits) const {
  directory_.Resolve(hits);
  if (request.include_vector) {
    std::vector<std::string> keys;
    for (const Hit& hit : *hits) keys.push_back(VectorKey(record_.id, space.number(), hit.vid));
    const auto rows = services_->store->MultiGet(Table::kVectors, keys);
    for (size_t i = 0; i < hits->size(); ++i) {
      if (absl::IsNotFound(rows[i].status())) continue;  // deleted meanwhile
      RETURN_IF_ERROR(rows[i].status());
      ASSIGN_OR_RETURN((*hits)[i].vector, DecodeVector(*rows[i], space.options().dimension,
                                                       absl::StrCat("vector of vid ", (*hits)[i].vid)));
    }
  }
  if (!request.include_text && !request.include_metadata) return absl::OkStatus();
  std::vector<std::string> chunk_keys, document_keys;
  for (const Hit& hit : *hits) {
    chunk_keys.push_back(ChunkKey(record_.id, hit.vid));
    document_keys.push_back(DocumentKey(record_.id, request.tenant, hit.document_id));
  }
  const auto chunks = services_->store->MultiGet(Table::kChunks, chunk_keys);
  const auto documents = services_->store->MultiGet(Table::kDocuments, document_keys);
  std::vector<Hit> kept;
  for (size_t i = 0; i < hits->size(); ++i) {
    // A chunk whose document was deleted or replaced while this query ran is no hit any more.
    if (absl::IsNotFound(chunks[i].status()) || absl::IsNotFound(documents[i].status())) continue;
    RETURN_IF_ERROR(chunks[i].status());
    RETURN_IF_ERROR(documents[i].status());
    Hit& hit = (*hits)[i];
    ASSIGN_OR_RETURN(ChunkRecord chunk, DecodeChunk(*chunks[i], absl::StrCat("chunk of vid ", hit.vid)));
    ASSIGN_OR_RETURN(DocumentRecord document, DecodeDocument(*documents[i], hit.document_id));
    if (request.include_text) {
      hit.title = std::move(document.title);
      hit.uri = std::move(document.uri);
      hit.section = std::move(chunk.section);
      hit.text = std::move(chunk.text);
      hit.span = chunk.span;
    }
    if (request.include_metadata) hit.metadata = MergeMetadata(document.metadata, chunk.metadata);
    kept.push_back(std::move(hit));
  }
  *hits = std::move(kept);
  return absl::OkStatus();
}

}  // namespace larder

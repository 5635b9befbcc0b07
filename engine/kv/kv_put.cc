#include "engine/kv/kv_put.h"

#include <openssl/rand.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/kv/kv_drop.h"
#include "engine/kv/kv_read.h"
#include "engine/kv/kv_shared.h"
#include "engine/kv/kv_summary.h"
#include "engine/kv/kv_tier.h"
#include "storage/status_macros.h"

namespace larder::kv {
namespace {

using storage::Counter;
using storage::Table;
using storage::WriteBatch;

constexpr size_t kMaxIdBytes = 1'024;

absl::Status UnknownHandle() {
  return absl::NotFoundError("kv put: no such session; it was committed, aborted, or idle for 10 minutes");
}

absl::Status AlreadyThere(absl::string_view entry_key) {
  return absl::AlreadyExistsError(
      absl::StrCat(EntryName(entry_key), " is already there; AddOwners gives it more owners"));
}

std::string OwnerName(const KvOwner& owner) {
  return absl::StrCat("chunk ", owner.ordinal, " of document '",
                      absl::CHexEscape(owner.document_id.substr(0, kMaxIdBytes)), "' in collection '",
                      absl::CHexEscape(owner.collection.substr(0, kMaxIdBytes)), "'");
}

// Handles are not to be guessed: whoever knows one may write under its tenant.
absl::StatusOr<KvPutHandle> RandomHandle() {
  KvPutHandle handle = 0;
  if (RAND_bytes(reinterpret_cast<unsigned char*>(&handle), sizeof(handle)) != 1) {
    return absl::InternalError("kv put: OpenSSL has no random bytes");
  }
  return handle;
}

absl::StatusOr<std::vector<SessionOwner>> ResolveOwners(const KvContext& context, absl::string_view tenant,
                                                        absl::Span<const KvOwner> owners) {
  if (owners.size() > kMaxOwners) {
    return absl::InvalidArgumentError(
        absl::StrCat("kv owners: found ", owners.size(), ", expected at most ", kMaxOwners));
  }
  std::vector<SessionOwner> resolved;
  for (const KvOwner& owner : owners) {
    const size_t bytes = std::max(owner.collection.size(), owner.document_id.size());
    if (owner.collection.empty() || owner.document_id.empty() || bytes > kMaxIdBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("kv owner: ", OwnerName(owner), ": expected names of 1 to ", kMaxIdBytes, " bytes"));
    }
    const auto chunk = context.resolve(tenant, owner);
    if (absl::IsNotFound(chunk.status())) {
      return absl::NotFoundError(absl::StrCat("kv owner: there is no ", OwnerName(owner)));
    }
    RETURN_IF_ERROR(chunk.status());
    resolved.push_back({owner, *chunk});
  }
  return resolved;
}

KeyLocks::Held LockChunks(KvContext* context, absl::Span<const SessionOwner> owners) {
  std::vector<std::string> keys;
  for (const SessionOwner& owner : owners) {
    keys.push_back(ChunkOwnersPrefix(owner.chunk.collection, owner.chunk.vid));
  }
  return context->chunk_locks.Acquire(std::move(keys));
}

// The chunks that are still what they were when they were resolved; under their locks, so that they
// stay so. FailedPrecondition if there were any, and none is left.
absl::StatusOr<std::vector<ChunkRef>> LiveOwners(const KvContext& context, const SessionSubject& subject) {
  std::vector<ChunkRef> live;
  for (const SessionOwner& owner : subject.owners) {
    const auto chunk = context.resolve(subject.header.tenant, owner.owner);
    if (absl::IsNotFound(chunk.status())) continue;
    RETURN_IF_ERROR(chunk.status());
    const bool twice = std::find(live.begin(), live.end(), *chunk) != live.end();
    if (*chunk == owner.chunk && !twice) live.push_back(*chunk);
  }
  if (live.empty() && !subject.owners.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        EntryName(subject.entry_key), ": every owner was deleted or updated since the put began, first ",
        OwnerName(subject.owners[0].owner)));
  }
  return live;
}

void PutOwners(const std::string& entry_key, absl::Span<const ChunkRef> chunks, WriteBatch* batch) {
  for (const ChunkRef& chunk : chunks) {
    const OwnerRow row{chunk.collection, chunk.vid, entry_key};
    batch->Put(Table::kKvOwners, ChunkOwnerKey(row), "");
    batch->Put(Table::kKvOwners, EntryOwnerKey(row), "");
  }
}

absl::StatusOr<SessionSubject> MakeSubject(KvContext* context, const KvPutRequest& request) {
  const KvKey& key = request.key;
  const double seconds = request.compute_seconds.value_or(0);
  if (!std::isfinite(seconds) || seconds < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("kv put: compute_seconds is ", seconds, ", expected 0 or more, and finite"));
  }
  SessionSubject subject;
  ASSIGN_OR_RETURN(subject.entry_key, EntryKey(key));
  ASSIGN_OR_RETURN(subject.profile, context->profiles.Get(key.profile_id));
  const uint64_t layer_bytes = subject.profile->LayerBytes(key.tokens.size());
  if (layer_bytes > kMaxLayerBytes) {
    return absl::InvalidArgumentError(absl::StrCat("kv put: ", key.tokens.size(), " tokens make ",
                                                   layer_bytes, " bytes of K a layer, expected at most ",
                                                   kMaxLayerBytes));
  }
  if (request.form.has_value())
    RETURN_IF_ERROR(CheckForm(*request.form, *subject.profile, key.tokens.size()));
  ASSIGN_OR_RETURN(subject.owners, ResolveOwners(*context, key.tenant, request.owners));
  ASSIGN_OR_RETURN(subject.header, HeaderFor(key));
  subject.header.codec = subject.profile->codec;
  subject.saved_seconds =
      request.compute_seconds.value_or(EstimateSeconds(key.tokens.size(), subject.profile->layers));
  return subject;
}

// AlreadyExists if the entry is there. If what is there is damaged, adds its removal to `batch`.
absl::Status MakeRoom(const KvContext& context, const SessionSubject& subject, WriteBatch* batch) {
  ASSIGN_OR_RETURN(const bool there, HasEntry(*context.store, subject.entry_key, subject.header));
  return there ? AlreadyThere(subject.entry_key) : DropEntry(context, subject.entry_key, batch);
}

// Makes the layers durable, then the entry visible, durable and owned, in one write.
absl::Status WriteEntry(KvContext* context, const SessionSubject& subject, PutExtents put) {
  Entry entry{subject.header, std::move(put.layers), std::move(put.sidecars)};
  const Summary summary = SummaryOf(subject.entry_key, entry, subject.saved_seconds);
  ASSIGN_OR_RETURN(const KvTier::Room room, context->tier->MakeRoom(subject.header.tenant, summary.bytes));
  RETURN_IF_ERROR(context->extents->Sync());
  const KeyLocks::Held chunks = LockChunks(context, subject.owners);
  ASSIGN_OR_RETURN(const std::vector<ChunkRef> owners, LiveOwners(*context, subject));
  const KeyLocks::Held held = context->entry_locks.Acquire({subject.entry_key});
  WriteBatch batch;
  RETURN_IF_ERROR(MakeRoom(*context, subject, &batch));
  const storage::ExtentOwner extent_owner{Table::kKvEntries, subject.entry_key};
  for (const storage::ExtentPointer& pointer : PointersOf(entry)) {
    context->extents->Reference(pointer, extent_owner, &batch);
  }
  entry.header.created_ms = absl::ToUnixMillis(context->clock());
  batch.Put(Table::kKvEntries, subject.entry_key, EncodeEntry(std::move(entry)));
  batch.Put(Table::kKvOwners, SummaryKey(HashOf(subject.entry_key)), EncodeSummary(summary));
  batch.Count(Counter::kKvEntries, 1);
  PutOwners(subject.entry_key, owners, &batch);
  const auto written = context->store->Write(std::move(batch));
  context->tier->Refresh(subject.entry_key);
  return written.status();
}

}  // namespace

absl::StatusOr<KvPutHandle> KvPutter::Begin(const KvPutRequest& request) {
  ASSIGN_OR_RETURN(SessionSubject subject, MakeSubject(&context_, request));
  ASSIGN_OR_RETURN(subject.encoder,
                   LayerEncoder::Make(*subject.profile, subject.header.token_count, request.rotated_from));
  subject.header.rotated_from = subject.encoder.kept_rotated();
  ExpireIdle();
  const auto session = std::make_shared<PutSession>(std::move(subject), context_.extents, context_.clock(),
                                                    context_.pool == nullptr ? nullptr : &copies_);
  ASSIGN_OR_RETURN(const KvPutHandle handle, Admit(session));
  // Looked up only now that no other producer can commit it: what is absent stays absent.
  const auto there = HasEntry(*context_.store, session->subject().entry_key, session->subject().header);
  if (there.ok() && !*there) return handle;
  Remove(handle, session.get());
  RETURN_IF_ERROR(there.status());
  return AlreadyThere(session->subject().entry_key);
}

absl::StatusOr<KvPutHandle> KvPutter::Admit(SessionPtr session) {
  ASSIGN_OR_RETURN(const KvPutHandle handle, RandomHandle());
  absl::MutexLock lock(&mu_);
  if (sessions_.size() >= kMaxSessions) {
    return absl::ResourceExhaustedError(
        absl::StrCat("kv put: ", sessions_.size(), " sessions are open, expected fewer than ", kMaxSessions));
  }
  const std::string& entry_key = session->subject().entry_key;
  if (producers_.contains(entry_key)) {
    return absl::AlreadyExistsError(absl::StrCat(EntryName(entry_key), ": another producer is putting it"));
  }
  if (!sessions_.emplace(handle, session).second) return absl::InternalError("kv put: the handle is taken");
  producers_.insert(entry_key);
  return handle;
}

absl::StatusOr<KvPutter::SessionPtr> KvPutter::Find(KvPutHandle handle) {
  SessionPtr session;
  {
    absl::MutexLock lock(&mu_);
    const auto it = sessions_.find(handle);
    if (it == sessions_.end()) return UnknownHandle();
    session = it->second;
  }
  if (!session->CloseIfIdle(context_.clock() - kSessionIdle)) return session;
  Remove(handle, session.get());
  return UnknownHandle();
}

void KvPutter::Remove(KvPutHandle handle, PutSession* session) {
  session->Close();
  absl::MutexLock lock(&mu_);
  if (sessions_.erase(handle) > 0) producers_.erase(session->subject().entry_key);
}

absl::Status KvPutter::Layer(KvPutHandle handle, uint32_t layer, absl::string_view k, absl::string_view v) {
  ASSIGN_OR_RETURN(const SessionPtr session, Find(handle));
  return session->PutLayer(layer, k, v, context_.clock());
}

absl::Status KvPutter::Sidecar(KvPutHandle handle, KvSidecarKind kind, absl::string_view bytes) {
  ASSIGN_OR_RETURN(const SessionPtr session, Find(handle));
  return session->PutSidecar(kind, bytes, context_.clock());
}

absl::Status KvPutter::Abort(KvPutHandle handle) {
  ASSIGN_OR_RETURN(const SessionPtr session, Find(handle));
  if (!session->Close()) {
    return absl::FailedPreconditionError(
        absl::StrCat(EntryName(session->subject().entry_key), ": its commit is under way"));
  }
  Remove(handle, session.get());
  return absl::OkStatus();
}

absl::Status KvPutter::Commit(KvPutHandle handle) {
  ASSIGN_OR_RETURN(const SessionPtr session, Find(handle));
  ASSIGN_OR_RETURN(PutExtents put, session->BeginCommit());
  const std::vector<EntryLayer> layers = put.layers;
  const absl::Status status = WriteEntry(&context_, session->subject(), std::move(put));
  if (status.ok() && context_.pool != nullptr) {  // who put it will read it soon
    const SessionSubject& subject = session->subject();
    const std::vector<std::string> payloads = session->TakeCopy();
    (payloads.empty() ? Promote(&context_, subject.entry_key, subject.header)
                      : Share(&context_, subject.entry_key, {subject.header, layers, {}}, payloads))
        .IgnoreError();
  }
  session->EndCommit(status.ok());
  Remove(handle, session.get());
  return status;
}

absl::StatusOr<uint32_t> KvPutter::AddOwners(const KvKey& key, absl::Span<const KvOwner> owners) {
  SessionSubject subject;
  ASSIGN_OR_RETURN(subject, MakeSubject(&context_, {key, {owners.begin(), owners.end()}}));
  const std::string& entry_key = subject.entry_key;
  const KeyLocks::Held chunks = LockChunks(&context_, subject.owners);
  ASSIGN_OR_RETURN(std::vector<ChunkRef> live, LiveOwners(context_, subject));
  const KeyLocks::Held held = context_.entry_locks.Acquire({entry_key});
  ASSIGN_OR_RETURN(const bool there, HasEntry(*context_.store, entry_key, subject.header));
  if (!there) return absl::NotFoundError(absl::StrCat(EntryName(entry_key), " is not there"));
  ASSIGN_OR_RETURN(const std::vector<OwnerRow> rows, ReadOwners(*context_.store, entry_key));
  for (const OwnerRow& row : rows) std::erase(live, ChunkRef{row.collection, row.vid});
  if (live.empty()) return 0;
  WriteBatch batch;
  PutOwners(entry_key, live, &batch);
  RETURN_IF_ERROR(context_.store->Write(std::move(batch)).status());
  return static_cast<uint32_t>(live.size());
}

size_t KvPutter::ExpireIdle() {
  const absl::Time deadline = context_.clock() - kSessionIdle;
  absl::MutexLock lock(&mu_);
  return absl::erase_if(sessions_, [&](const auto& session) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (!session.second->CloseIfIdle(deadline)) return false;
    producers_.erase(session.second->subject().entry_key);
    return true;
  });
}

void KvPutter::AbortAll() {
  absl::MutexLock lock(&mu_);
  for (const auto& [handle, session] : sessions_) session->Close();
  sessions_.clear();
  producers_.clear();
}

}  // namespace larder::kv

// The operator's replies.
#include "engine/utf8.h"
#include "proto/convert.h"

namespace larder {

void ToProto(const DatabaseStats& stats, v1::StatsReply* message) {
  message->set_commit(stats.commit);
  message->set_collections(stats.collections);
  message->set_documents(stats.documents);
  message->set_chunks(stats.chunks);
  message->set_kv_entries(stats.kv_entries);
  message->set_store_bytes(stats.store_bytes);
  message->set_extent_bytes(stats.extent_bytes);
  message->set_extent_live_bytes(stats.extent_live_bytes);
  message->set_index_bytes(stats.index_bytes);
  message->set_resident_index_bytes(stats.resident_index_bytes);
  message->set_resident_directory_bytes(stats.resident_directory_bytes);
  message->set_resident_store_bytes(stats.resident_store_bytes);
  message->set_memory_bytes(stats.memory_bytes);
}

DatabaseStats FromProto(const v1::StatsReply& message) {
  DatabaseStats stats;
  stats.commit = message.commit();
  stats.collections = message.collections();
  stats.documents = message.documents();
  stats.chunks = message.chunks();
  stats.kv_entries = message.kv_entries();
  stats.store_bytes = message.store_bytes();
  stats.extent_bytes = message.extent_bytes();
  stats.extent_live_bytes = message.extent_live_bytes();
  stats.index_bytes = message.index_bytes();
  stats.resident_index_bytes = message.resident_index_bytes();
  stats.resident_directory_bytes = message.resident_directory_bytes();
  stats.resident_store_bytes = message.resident_store_bytes();
  stats.memory_bytes = message.memory_bytes();
  return stats;
}

void ToProto(const VerifyReport& report, v1::VerifyReply* message) {
  message->set_records(report.records);
  message->set_extents(report.extents);
  message->set_index_entries(report.index_entries);
  for (const std::string& problem : report.problems) message->add_problems(ToValidUtf8(problem));
}

VerifyReport FromProto(const v1::VerifyReply& message) {
  VerifyReport report;
  report.records = message.records();
  report.extents = message.extents();
  report.index_entries = message.index_entries();
  report.problems = {message.problems().begin(), message.problems().end()};
  return report;
}

void ToProto(const BackupInfo& info, v1::BackupInfo* message) {
  message->set_id(info.id);
  message->set_created_ms(info.created_ms);
  message->set_bytes(info.bytes);
  message->set_commit(info.commit);
  message->set_problem(ToValidUtf8(info.problem));
}

BackupInfo FromProto(const v1::BackupInfo& message) {
  return BackupInfo{.id = message.id(),
                    .created_ms = message.created_ms(),
                    .bytes = message.bytes(),
                    .commit = message.commit(),
                    .problem = message.problem()};
}

}  // namespace larder

#include "proto/convert.h"

namespace larder {
namespace {

void ToProto(const KvTierStats& tier, v1::KvStatsReply::Tier* message) {
  message->set_name(tier.name);
  message->set_entries(tier.entries);
  message->set_bytes(tier.bytes);
  message->set_budget_bytes(tier.budget_bytes);
  message->set_pinned_entries(tier.pinned_entries);
  message->set_pinned_bytes(tier.pinned_bytes);
  message->set_evictions(tier.evictions);
  message->set_expirations(tier.expirations);
  message->set_demotions(tier.demotions);
  message->set_hits(tier.hits);
}

KvTierStats FromProto(const v1::KvStatsReply::Tier& message) {
  return {.name = message.name(),
          .entries = message.entries(),
          .bytes = message.bytes(),
          .budget_bytes = message.budget_bytes(),
          .pinned_entries = message.pinned_entries(),
          .pinned_bytes = message.pinned_bytes(),
          .evictions = message.evictions(),
          .expirations = message.expirations(),
          .demotions = message.demotions(),
          .hits = message.hits()};
}

void ToProto(const KvTenantStats& tenant, v1::KvStatsReply::Tenant* message) {
  message->set_tenant(tenant.tenant);
  message->set_quota_bytes(tenant.quota_bytes);
  message->set_entries(tenant.entries);
  message->set_bytes(tenant.bytes);
  message->set_hits(tenant.hits);
  message->set_misses(tenant.misses);
  message->set_reads(tenant.reads);
  message->set_evictions(tenant.evictions);
  message->set_saved_seconds(tenant.saved_seconds);
}

KvTenantStats FromProto(const v1::KvStatsReply::Tenant& message) {
  return {.tenant = message.tenant(),
          .quota_bytes = message.quota_bytes(),
          .entries = message.entries(),
          .bytes = message.bytes(),
          .hits = message.hits(),
          .misses = message.misses(),
          .reads = message.reads(),
          .evictions = message.evictions(),
          .saved_seconds = message.saved_seconds()};
}

}  // namespace

void ToProto(const KvStats& stats, v1::KvStatsReply* message) {
  for (const KvTierStats& tier : stats.tiers) ToProto(tier, message->add_tiers());
  for (const KvTenantStats& tenant : stats.tenants) ToProto(tenant, message->add_tenants());
  message->set_hits(stats.hits);
  message->set_misses(stats.misses);
  message->set_reads(stats.reads);
  message->set_saved_seconds(stats.saved_seconds);
  message->set_directory_filled(stats.directory_filled);
  message->set_directory_entries(stats.directory_entries);
  message->set_directory_bytes(stats.directory_bytes);
  message->set_policy(stats.policy);
}

KvStats FromProto(const v1::KvStatsReply& message) {
  KvStats stats;
  for (const auto& tier : message.tiers()) stats.tiers.push_back(FromProto(tier));
  for (const auto& tenant : message.tenants()) stats.tenants.push_back(FromProto(tenant));
  stats.hits = message.hits();
  stats.misses = message.misses();
  stats.reads = message.reads();
  stats.saved_seconds = message.saved_seconds();
  stats.directory_filled = message.directory_filled();
  stats.directory_entries = message.directory_entries();
  stats.directory_bytes = message.directory_bytes();
  stats.policy = message.policy();
  return stats;
}

}  // namespace larder

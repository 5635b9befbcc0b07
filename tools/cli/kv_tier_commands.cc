// kv stats, kv quota.
#include <memory>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "storage/status_macros.h"
#include "tools/cli/session.h"
#include "tools/cli/text_layout.h"

namespace larder::tools {
namespace {

struct QuotaArgs {
  std::string tenant, bytes;
};

std::string Limit(uint64_t bytes) { return bytes == 0 ? "none" : HumanBytes(bytes); }

Json ToJson(const KvTierStats& tier) {
  return {{"name", tier.name},
          {"entries", tier.entries},
          {"bytes", tier.bytes},
          {"budget_bytes", tier.budget_bytes},
          {"pinned_entries", tier.pinned_entries},
          {"pinned_bytes", tier.pinned_bytes},
          {"evictions", tier.evictions},
          {"expirations", tier.expirations},
          {"demotions", tier.demotions},
          {"hits", tier.hits}};
}

Json ToJson(const KvTenantStats& tenant) {
  return {{"tenant", tenant.tenant},   {"quota_bytes", tenant.quota_bytes}, {"entries", tenant.entries},
          {"bytes", tenant.bytes},     {"hits", tenant.hits},               {"misses", tenant.misses},
          {"reads", tenant.reads},     {"evictions", tenant.evictions},     {"saved_seconds", tenant.saved_seconds}};
}

Json ToJson(const KvStats& stats) {
  Json json{{"hits", stats.hits},
            {"misses", stats.misses},
            {"reads", stats.reads},
            {"saved_seconds", stats.saved_seconds},
            {"policy", stats.policy},
            {"directory_entries", stats.directory_entries},
            {"directory_bytes", stats.directory_bytes},
            {"directory_filled", stats.directory_filled},
            {"tiers", Json::array()},
            {"tenants", Json::array()}};
  for (const KvTierStats& tier : stats.tiers) json["tiers"].push_back(ToJson(tier));
  for (const KvTenantStats& tenant : stats.tenants) json["tenants"].push_back(ToJson(tenant));
  return json;
}

std::string ToText(const KvStats& stats) {
  Table tiers({"tier", "entries", "bytes", "budget", "pinned", "hits", "demoted", "evicted", "expired"});
  for (const KvTierStats& tier : stats.tiers) {
    tiers.Add({tier.name, Thousands(tier.entries), HumanBytes(tier.bytes), Limit(tier.budget_bytes),
               HumanBytes(tier.pinned_bytes), Thousands(tier.hits), Thousands(tier.demotions), Thousands(tier.evictions),
               Thousands(tier.expirations)});
  }
  Table tenants({"tenant", "entries", "bytes", "quota", "hits", "misses", "reads", "evicted", "saved"});
  for (const KvTenantStats& tenant : stats.tenants) {
    tenants.Add({tenant.tenant.empty() ? "-" : Printable(tenant.tenant), Thousands(tenant.entries),
                 HumanBytes(tenant.bytes), Limit(tenant.quota_bytes), Thousands(tenant.hits),
                 Thousands(tenant.misses), Thousands(tenant.reads), Thousands(tenant.evictions),
                 absl::StrFormat("%.1f s", tenant.saved_seconds)});
  }
  return absl::StrCat(tiers.ToString(), "\n", tenants.ToString(), "\n", Thousands(stats.hits), " hits, ",
                      Thousands(stats.misses), " misses, ", Thousands(stats.reads), " entries served, ",
                      absl::StrFormat("%.1f s of prefill saved", stats.saved_seconds), " since the database was opened\n",
                      "directory: ", HumanBytes(stats.directory_bytes), " in memory",
                      stats.directory_filled ? "" : ", still being filled", "\n");
}

absl::Status RunStats(Session& session) {
  ASSIGN_OR_RETURN(Backend * backend, session.Open());
  ASSIGN_OR_RETURN(const KvStats stats, backend->KvStatistics());
  session.Show(ToJson(stats), ToText(stats));
  return absl::OkStatus();
}

absl::Status RunQuota(Session& session, const QuotaArgs& args) {
  std::optional<uint64_t> bytes;
  if (args.bytes != "default") {
    uint64_t value = 0;
    if (!absl::SimpleAtoi(args.bytes, &value)) {
      return session.Usage(absl::StrCat("--bytes ", args.bytes, ": expected a number, 0 for no limit, or default"));
    }
    bytes = value;
  }
  ASSIGN_OR_RETURN(Backend * backend, session.Open());
  RETURN_IF_ERROR(backend->SetKvQuota(args.tenant, bytes));
  session.Show(Json{{"tenant", args.tenant}, {"quota_bytes", args.bytes}},
               absl::StrCat("quota of '", Printable(args.tenant), "': ",
                            bytes.has_value() ? Limit(*bytes) : "the default", "\n"));
  return absl::OkStatus();
}

}  // namespace

void AddKvTierCommands(CLI::App& kv, Session& session) {
  CLI::App* stats = session.AddCommand(kv, "stats", "Shows what each tier and tenant holds, hits and saves",
                                       "larder kv stats --server localhost:7400 --json");
  session.OnCall(stats, [&session] { return RunStats(session); });

  auto args = std::make_shared<QuotaArgs>();
  CLI::App* quota = session.AddCommand(kv, "quota", "Limits what one tenant keeps on disk",
                                       "larder kv quota --tenant ann --bytes 1000000000 --db pantry");
  quota->add_option("--tenant", args->tenant, "Whose")->required();
  quota->add_option("--bytes", args->bytes, "0 = no limit, default = what the database was opened with")->required();
  session.OnCall(quota, [&session, args] { return RunQuota(session, *args); });
}

}  // namespace larder::tools

#include "engine/kv/kv_tenants.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/kv/kv_keys.h"
#include "storage/coding.h"
#include "storage/status_macros.h"

namespace larder::kv {
namespace {

using storage::Table;

constexpr absl::string_view kQuotaPrefix = "kv-quota/";
constexpr uint8_t kVersion = 1;

}  // namespace

absl::Status KvTenants::Open() {
  const auto it = store_->NewIterator(Table::kCatalog, kQuotaPrefix);
  for (; it->Valid(); it->Next()) {
    ASSIGN_OR_RETURN(const absl::string_view value, it->value());
    storage::RecordReader reader(value, kVersion, absl::StrCat("catalog entry ", it->key()));
    const uint64_t bytes = reader.U64();
    RETURN_IF_ERROR(reader.status());
    (*this)[Number(it->key().substr(kQuotaPrefix.size()))].quota_bytes = bytes;
    ++quotas_set_;
  }
  return it->status();
}

uint32_t KvTenants::Number(absl::string_view name) {
  absl::MutexLock lock(&mu_);
  const auto it = numbers_.find(name);
  if (it != numbers_.end()) return it->second;
  const auto number = static_cast<uint32_t>(tenants_.size());
  auto tenant = std::make_unique<KvTenant>();
  tenant->name = std::string(name);
  tenant->quota_bytes = default_quota_;
  tenants_.push_back(std::move(tenant));
  numbers_.emplace(name, number);
  return number;
}

std::optional<uint32_t> KvTenants::Find(absl::string_view name) const {
  absl::ReaderMutexLock lock(&mu_);
  const auto it = numbers_.find(name);
  if (it == numbers_.end()) return std::nullopt;
  return it->second;
}

KvTenant& KvTenants::operator[](uint32_t number) const {
  absl::ReaderMutexLock lock(&mu_);
  return *tenants_[number];
}

std::vector<const KvTenant*> KvTenants::All() const {
  absl::ReaderMutexLock lock(&mu_);
  std::vector<const KvTenant*> all;
  for (const auto& tenant : tenants_) all.push_back(tenant.get());
  return all;
}

absl::Status KvTenants::SetQuota(absl::string_view name, std::optional<uint64_t> bytes) {
  RETURN_IF_ERROR(ValidateTenant(name));
  const std::string key = absl::StrCat(kQuotaPrefix, name);
  storage::WriteBatch batch;
  if (bytes.has_value()) {
    storage::RecordWriter writer(kVersion);
    writer.U64(*bytes);
    batch.Put(Table::kCatalog, key, std::move(writer).Finish());
  } else {
    batch.Delete(Table::kCatalog, key);
  }
  RETURN_IF_ERROR(store_->Write(std::move(batch)).status());
  (*this)[Number(name)].quota_bytes = bytes.value_or(default_quota_);
  if (bytes.has_value()) ++quotas_set_;  // only ever asked whether there are any
  return absl::OkStatus();
}

}  // namespace larder::kv

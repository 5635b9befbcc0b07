#include "index/recall/recall_tuner.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "storage/coding.h"
#include "storage/crc32c.h"
#include "storage/status_macros.h"

namespace larder::index {
namespace {

constexpr double kChanged = 0.5;

uint32_t WideEf(double target, uint32_t k) {
  const uint32_t times = target <= 0.9 ? 1 : target <= 0.95 ? 2 : target <= 0.98 ? 4 : 8;
  return std::max(k, std::min(kMaxEf, times * std::max(96u, 2 * k)));
}

}  // namespace

RecallTuner::RecallTuner(CalibrationOptions calibration, LiveCheckOptions live)
    : calibration_(std::move(calibration)), live_(std::move(live)) {}

std::shared_ptr<const RecallTable> RecallTuner::table() const {
  absl::ReaderMutexLock lock(&mutex_);
  return table_;
}

uint32_t RecallTuner::EfFor(double target, uint32_t k) const {
  const auto table = this->table();
  if (table == nullptr) return WideEf(target, k);
  const double ef = std::ceil(table->EfFor(target, k) * live_.correction());
  return std::max(k, static_cast<uint32_t>(std::min<double>(ef, kMaxEf)));
}

std::optional<double> RecallTuner::Expect(uint32_t ef, uint32_t k) const {
  const auto table = this->table();
  if (table == nullptr) return std::nullopt;
  return table->At(std::max(ef, k) / live_.correction(), k).recall;
}

bool RecallTuner::WantsCalibration(const IndexStats& stats) const {
  if (stats.live < kCalibrateRows || live_.search_ns() == 0) return false;
  const bool asked = live_.has_recent_queries();
  absl::ReaderMutexLock lock(&mutex_);
  if (stale_ || (with_rows_ && asked)) return true;
  const double added = static_cast<double>(stats.live + stats.tombstones) -
                       static_cast<double>(measured_.live + measured_.tombstones);
  const double removed = static_cast<double>(stats.tombstones) - static_cast<double>(measured_.tombstones);
  return added + removed >= kChanged * static_cast<double>(measured_.live);
}

absl::Status RecallTuner::Calibrate(const VectorIndex& index, const std::function<bool()>& stop) {
  const IndexStats stats = index.Stats();
  CalibrationOptions options = calibration_;
  options.asked = live_.RecentQueries();
  ASSIGN_OR_RETURN(Calibration calibration, index::Calibrate(index, options, stop));
  live_.Forget();
  SetTable(std::move(calibration.table), stats, options.asked.empty(), calibration.scan_ns);
  return absl::OkStatus();
}

void RecallTuner::SetTable(RecallTable table, const IndexStats& stats, bool with_rows, int64_t scan_ns) {
  live_.set_cost_ns(scan_ns);
  auto shared = std::make_shared<const RecallTable>(std::move(table));
  absl::MutexLock lock(&mutex_);
  table_ = std::move(shared);
  measured_ = stats;
  stale_ = false;
  with_rows_ = with_rows;
  scan_ns_ = scan_ns;
}

std::string RecallTuner::Serialize() const {
  absl::ReaderMutexLock lock(&mutex_);
  if (table_ == nullptr) return "";
  storage::RecordWriter out(1);
  out.U64(measured_.live);
  out.U64(measured_.tombstones);
  out.U64(static_cast<uint64_t>(scan_ns_));
  out.U8(with_rows_);
  out.Bytes(table_->Serialize());
  std::string bytes = std::move(out).Finish();
  const uint32_t sum = storage::Crc32c(bytes);
  for (int shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<char>(sum >> shift));
  return bytes;
}

absl::Status RecallTuner::Restore(absl::string_view bytes) {
  if (bytes.size() < sizeof(uint32_t)) return absl::DataLossError("recall: cut short");
  const absl::string_view record = bytes.substr(0, bytes.size() - sizeof(uint32_t));
  uint32_t sum = 0;
  for (size_t i = 0; i < sizeof(sum); ++i) sum |= static_cast<uint32_t>(static_cast<uint8_t>(bytes[record.size() + i])) << (8 * i);
  if (sum != storage::Crc32c(record)) return absl::DataLossError("recall: the checksum is wrong");
  storage::RecordReader in(record, 1, "recall");
  IndexStats stats;
  stats.live = in.U64();
  stats.tombstones = in.U64();
  const uint64_t scan_ns = in.U64();
  const bool with_rows = in.U8() != 0;
  const auto table = RecallTable::Deserialize(in.Bytes());
  RETURN_IF_ERROR(in.status());
  RETURN_IF_ERROR(table.status());
  if (table->empty()) return absl::DataLossError("recall: an empty table");
  SetTable(*table, stats, with_rows, static_cast<int64_t>(scan_ns));
  return absl::OkStatus();
}

uint32_t RecallTuner::CheckSome(const VectorIndex& index, const std::function<bool()>& stop) {
  const auto table = this->table();
  if (table == nullptr) return 0;  // what a check costs is not known yet
  uint32_t checked = 0;
  while (!stop() && live_.CheckOne(index, *table, stop)) ++checked;
  return checked;
}

void RecallTuner::Replaced() {
  live_.Forget();
  absl::MutexLock lock(&mutex_);
  stale_ = true;
}

RecallReport RecallTuner::Report(uint32_t ef, uint32_t k) const {
  RecallReport report;
  const auto table = this->table();
  if (table == nullptr) return report;
  const LiveEstimate seen = live_.Estimate();
  const RecallPoint expected = table->At(ef / live_.correction(), k);
  report.recall = seen.checked > 0 ? seen.recall : expected.recall;
  report.standard_error = seen.checked > 0 ? seen.standard_error : expected.standard_error;
  report.checked = seen.checked;
  report.table_size = static_cast<uint32_t>(table->size());
  report.correction = live_.correction();
  return report;
}

}  // namespace larder::index

// Entries read by direct I/O, beside the bare disk: as many bytes of the same file through a queue that does
// nothing else, turn by turn; and by fio, where it is installed, after each pass.
#include <fcntl.h>
#include <stdio.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>

#include "absl/strings/str_cat.h"
#include "storage/posix_file.h"
#include "storage/status_macros.h"
#include "storage/uring_io.h"
#include "tools/bench/kv_store.h"

namespace larder::tools {
namespace {

constexpr uint32_t kEntries = 24;
constexpr uint32_t kDepth = 64, kPiece = 64 << 10;  // as the extent store reads

absl::StatusOr<std::string> LargestExtentFile(const KvBenchStore& store) {
  std::string largest;
  uint64_t most = 0;
  for (const auto& entry : std::filesystem::directory_iterator(store.path() + "/extents")) {
    if (entry.file_size() > most) most = entry.file_size(), largest = entry.path();
  }
  if (largest.empty()) return absl::NotFoundError(absl::StrCat(store.path(), ": no extents"));
  return largest;
}

// The file through a full queue.
class BareFile {
 public:
  absl::Status Open(const std::string& path) {
    path_ = path;
    file_ = storage::Descriptor(open(path.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC));
    if (file_.get() < 0) return absl::UnavailableError(absl::StrCat(path, ": no direct I/O here"));
    ASSIGN_OR_RETURN(queue_, storage::MakeUringQueue(kDepth, kPiece));
    return absl::OkStatus();
  }
  // Seconds for `bytes` from `offset` on.
  absl::StatusOr<double> Read(uint64_t offset, uint64_t bytes);

 private:
  std::string path_;
  storage::Descriptor file_{-1};
  std::unique_ptr<storage::ReadQueue> queue_;
};

absl::StatusOr<double> BareFile::Read(uint64_t offset, uint64_t bytes) {
  std::vector<storage::ReadQueue::Completion> done;
  uint64_t submitted = 0, finished = 0;
  const auto submit = [&](uint32_t slot) -> absl::Status {
    RETURN_IF_ERROR(queue_->Submit(slot, file_.get(), offset + submitted, 0, kPiece));
    submitted += kPiece;
    return absl::OkStatus();
  };
  const double start = KvNow();
  for (uint32_t slot = 0; slot < kDepth && submitted < bytes; ++slot) RETURN_IF_ERROR(submit(slot));
  while (finished < bytes) {
    done.clear();
    RETURN_IF_ERROR(queue_->Wait(&done));
    for (const storage::ReadQueue::Completion& completion : done) {
      if (completion.result <= 0) return absl::UnavailableError(absl::StrCat(path_, ": read failed"));
      finished += static_cast<uint64_t>(completion.result);
      if (submitted < bytes) RETURN_IF_ERROR(submit(completion.slot));
    }
  }
  return KvNow() - start;
}

// nullopt where there is no fio.
std::optional<double> ReadByFio(const std::string& path, uint64_t bytes) {
  const std::string command = absl::StrCat(
      "fio --name=read --readonly --rw=read --direct=1 --ioengine=libaio --bs=64k --iodepth=64 --filename=",
      path, " --size=", bytes, " --output-format=json 2>/dev/null");
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return std::nullopt;
  std::string text;
  std::array<char, 4096> buffer;
  for (size_t got = 0; (got = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
    text.append(buffer.data(), got);
  if (pclose(pipe) != 0) return std::nullopt;
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  const nlohmann::json::json_pointer where("/jobs/0/read/bw_bytes");
  if (json.is_discarded() || !json.contains(where)) return std::nullopt;
  return json[where].get<double>();
}

struct EntryRead {
  double first_s = 0, all_s = 0;
  uint64_t bytes = 0;
};

absl::StatusOr<EntryRead> ReadEntry(KvBenchStore* store, uint32_t seed) {
  const KvReadRequest request{.key = store->Key(seed), .encoded = true};
  EntryRead read;
  absl::Status failed;
  const double start = KvNow();
  RETURN_IF_ERROR(store->kv().Read({&request, 1}, [&](const KvLayerRead& layer) {
    if (read.bytes == 0) read.first_s = KvNow() - start;
    read.bytes += layer.k.size() + layer.v.size();
    failed = layer.status;
    return failed.ok();
  }));
  read.all_s = KvNow() - start;
  RETURN_IF_ERROR(failed);
  return read;
}

}  // namespace

absl::StatusOr<KvResult> MeasureDisk(const KvOptions& options) {
  ASSIGN_OR_RETURN(const std::unique_ptr<KvBenchStore> store, KvBenchStore::Make(options, "disk"));
  for (uint32_t i = 0; i < kEntries; ++i) RETURN_IF_ERROR(store->Put(i));
  ASSIGN_OR_RETURN(const std::string file, LargestExtentFile(*store));
  const uint64_t file_bytes = std::filesystem::file_size(file) / kPiece * kPiece;
  BareFile bare_file;
  RETURN_IF_ERROR(bare_file.Open(file));
  std::vector<double> bare, fio, ours, ratios, fio_ratios, first_ms, first_ratios;
  for (uint32_t pass = 0; pass < options.passes; ++pass) {
    double bare_s = 0, bare_bytes = 0, seconds = 0, bytes = 0;
    for (uint32_t i = 0; i < kEntries; ++i) {
      ASSIGN_OR_RETURN(const EntryRead read, ReadEntry(store.get(), i));
      seconds += read.all_s, bytes += static_cast<double>(read.bytes);
      first_ms.push_back(read.first_s * 1e3);
      first_ratios.push_back(read.first_s / (1e-3 + read.all_s / options.layers));
      const uint64_t size = std::min(read.bytes / kPiece * kPiece, file_bytes);
      ASSIGN_OR_RETURN(const double took, bare_file.Read(i * size % (file_bytes - size + kPiece) / kPiece * kPiece, size));
      bare_s += took, bare_bytes += static_cast<double>(size);
    }
    ours.push_back(bytes / seconds / 1e9);
    bare.push_back(bare_bytes / bare_s / 1e9);
    ratios.push_back(ours.back() / bare.back());
    const std::optional<double> by_fio = ReadByFio(file, file_bytes);
    if (!by_fio.has_value()) continue;
    fio.push_back(*by_fio / 1e9);
    fio_ratios.push_back(ours.back() / fio.back());
  }
  KvResult result;
  result.figures = {
      {"disk_ratio_raw", KvMedian(ratios), "entries, one after the other / a full queue that only reads"},
      {"first_layer_ratio", KvMedian(first_ratios),
       "time to the first layer / (1 ms + 1/L of the whole); at most 1 is wanted"},
      {"first_layer_ms", KvMedian(first_ms), "ms to the first layer"}};
  result.lines = {{{"name", "entry GB/s"}, {"value", KvMedian(ours)}},
                  {{"name", "bare GB/s"}, {"value", KvMedian(bare)}}};
  if (!fio.empty()) {
    result.figures.push_back({"disk_ratio_fio", KvMedian(fio_ratios), "the same / fio, 64 KiB x 64"});
    result.lines.push_back({{"name", "fio GB/s"}, {"value", KvMedian(fio)}});
  }
  result.figures.push_back({"disk_gb_s", KvMedian(ours), "GB/s of entries"});
  return result;
}

}  // namespace larder::tools

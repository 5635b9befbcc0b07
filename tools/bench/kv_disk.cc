// Entries read by direct I/O, beside the bare disk: the same files by the same number of bytes, through a
// queue that does nothing else, and by fio where it is installed. The three take turns.
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

// Bytes a second of a full queue over the file.
absl::StatusOr<double> ReadBare(const std::string& path, uint64_t bytes) {
  const storage::Descriptor file(open(path.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC));
  if (file.get() < 0) return absl::UnavailableError(absl::StrCat(path, ": no direct I/O here"));
  ASSIGN_OR_RETURN(const std::unique_ptr<storage::ReadQueue> queue, storage::MakeUringQueue(kDepth, kPiece));
  std::vector<storage::ReadQueue::Completion> done;
  uint64_t submitted = 0, finished = 0;
  const auto submit = [&](uint32_t slot) -> absl::Status {
    RETURN_IF_ERROR(queue->Submit(slot, file.get(), submitted, 0, kPiece));
    submitted += kPiece;
    return absl::OkStatus();
  };
  const double start = KvNow();
  for (uint32_t slot = 0; slot < kDepth; ++slot) RETURN_IF_ERROR(submit(slot));
  while (finished < bytes) {
    done.clear();
    RETURN_IF_ERROR(queue->Wait(&done));
    for (const storage::ReadQueue::Completion& completion : done) {
      if (completion.result <= 0) return absl::UnavailableError(absl::StrCat(path, ": read failed"));
      finished += static_cast<uint64_t>(completion.result);
      if (submitted < bytes) RETURN_IF_ERROR(submit(completion.slot));
    }
  }
  return static_cast<double>(finished) / (KvNow() - start);
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
  std::vector<double> bare, fio, ours, ratios, fio_ratios, first_ms, first_ratios;
  uint32_t next = 0;
  for (uint32_t pass = 0; pass < options.passes; ++pass) {
    ASSIGN_OR_RETURN(const double raw, ReadBare(file, file_bytes));
    bare.push_back(raw / 1e9);
    double seconds = 0, bytes = 0;
    for (uint32_t i = 0; i < kEntries; ++i) {
      ASSIGN_OR_RETURN(const EntryRead read, ReadEntry(store.get(), next++ % kEntries));
      seconds += read.all_s, bytes += static_cast<double>(read.bytes);
      first_ms.push_back(read.first_s * 1e3);
      first_ratios.push_back(read.first_s / (1e-3 + read.all_s / options.layers));
    }
    ours.push_back(bytes / seconds / 1e9);
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

#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <numeric>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "index/fuzz/edits.h"
#include "index/fuzz/targets.h"
#include "index/test_vectors.h"
#include "index/vector_index.h"
#include "storage/crc32c.h"

namespace larder::index {
namespace {

// The layout of snapshot.h.
constexpr size_t kSectionsAt = 72, kSectionBytes = 24, kHeaderBytes = 368;
constexpr uint32_t kMaxSections = 12;

[[noreturn]] void Fail(const std::string& what) {
  std::fprintf(stderr, "snapshot fuzz: %s\n", what.c_str());
  std::abort();
}

template <typename T>
T Get(const std::string& bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}
template <typename T>
void Put(T value, size_t at, std::string* bytes) {
  std::memcpy(bytes->data() + at, &value, sizeof(T));
}

uint32_t Sections(const std::string& bytes) { return std::min(kMaxSections, Get<uint32_t>(bytes, 12)); }

// A file in memory. Single-threaded.
class MemoryFile {
 public:
  MemoryFile() : descriptor_(memfd_create("fuzz", MFD_CLOEXEC)) {}
  ~MemoryFile() { close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  std::string path() const { return absl::StrCat("/proc/self/fd/", descriptor_); }
  void Write(const std::string& bytes) const {
    if (ftruncate(descriptor_, 0) != 0) Fail("ftruncate");
    if (pwrite(descriptor_, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) Fail("pwrite");
  }

 private:
  const int descriptor_;
};

std::string Saved(const IndexOptions& options, size_t rows) {
  auto index = *CreateIndex(options);
  const std::vector<float> vectors = ClusteredVectors(rows, options.dimension, 1);
  std::vector<Vid> vids(rows);
  std::iota(vids.begin(), vids.end(), 0);
  if (rows > 0 && !index->Add(vids, vectors).ok()) Fail("a seed cannot be built");
  for (Vid twin = 0; twin < 4 && rows > 0; ++twin) {
    if (!index->Add({rows + twin}, {vectors.data(), options.dimension}).ok()) Fail("a seed cannot be built");
  }
  for (Vid vid = 0; vid < rows; vid += 9) index->Remove({vid});
  std::string folder = std::filesystem::temp_directory_path() / "larder-fuzz-XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) Fail("no temporary folder");
  const std::string path = folder + "/seed";
  if (!index->Save(path, "tag").ok()) Fail("a seed cannot be saved");
  std::ifstream file(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(file), {}};
  std::filesystem::remove_all(folder);
  return bytes;
}

const std::vector<std::string>& Seeds() {
  static const std::vector<std::string> seeds = {
      Saved({.kind = Kind::kFlat, .dimension = 12, .metric = Metric::kCosine}, 150),
      Saved({.kind = Kind::kFlat, .dimension = 12, .metric = Metric::kL2, .prefix = 3}, 150),
      Saved({.dimension = 12, .metric = Metric::kL2, .m = 4, .ef_construction = 20}, 400),
      Saved({.dimension = 3, .metric = Metric::kDot, .m = 2, .ef_construction = 8}, 60),
      Saved({.dimension = 8}, 0),
      Saved({.dimension = 16, .metric = Metric::kCosine, .m = 4, .ef_construction = 16, .code = RowCode::kSq4x8}, 4200),
      Saved({.dimension = 16, .metric = Metric::kL2, .m = 4, .ef_construction = 16, .code = RowCode::kSq4x8}, 4200),
      Saved({.dimension = 16, .metric = Metric::kDot, .m = 4, .ef_construction = 16, .code = RowCode::kSq4x8,
             .prefix = 5}, 4200),
      Saved({.dimension = 16, .metric = Metric::kCosine, .m = 4, .ef_construction = 16, .code = RowCode::kF32,
             .prefix = 5}, 4200),
  };
  return seeds;
}

// Grows or shrinks a section, moving those behind it.
void Resize(size_t section, const Edit& edit, std::string* bytes) {
  const size_t at = kSectionsAt + section * kSectionBytes;
  const uint32_t sections = Sections(*bytes);
  const uint64_t offset = Get<uint64_t>(*bytes, at + 8), length = Get<uint64_t>(*bytes, at + 16);
  const uint64_t wanted = edit.place % 2 == 0 ? length / 2 : length + edit.value % 4096;
  std::string content = bytes->substr(offset, std::min(length, wanted));
  content.resize(wanted, static_cast<char>(edit.value));
  bytes->replace(offset, length, content);
  Put(wanted, at + 16, bytes);
  for (size_t later = section + 1; later < sections; ++later) {
    const size_t its = kSectionsAt + later * kSectionBytes + 8;
    Put(Get<uint64_t>(*bytes, its) + wanted - length, its, bytes);
  }
}

void Apply(const Edit& edit, std::string* bytes) {
  const uint32_t count = Get<uint32_t>(*bytes, 48);
  const uint32_t sections = Sections(*bytes);
  const uint32_t part = edit.part % (sections + 2);
  if (part >= sections) return Overwrite(edit, part == sections ? 16 : 8, kHeaderBytes - 4, count, bytes);
  const size_t at = kSectionsAt + part * kSectionBytes;
  const uint64_t offset = Get<uint64_t>(*bytes, at + 8), length = Get<uint64_t>(*bytes, at + 16);
  if (offset < kHeaderBytes || offset > bytes->size() || length > bytes->size() - offset) return;
  if (edit.kind % 16 == 15) return Resize(part, edit, bytes);
  Overwrite(edit, offset, offset + length, count, bytes);
}

void Seal(std::string* bytes) {
  const uint32_t sections = Sections(*bytes);
  for (uint32_t i = 0; i < sections; ++i) {
    const size_t at = kSectionsAt + i * kSectionBytes;
    const uint64_t offset = Get<uint64_t>(*bytes, at + 8), length = Get<uint64_t>(*bytes, at + 16);
    if (offset > bytes->size() || length > bytes->size() - offset) continue;
    Put(storage::Crc32c(absl::string_view(*bytes).substr(offset, length)), at + 4, bytes);
  }
  Put(storage::Crc32c(absl::string_view(*bytes).substr(0, kHeaderBytes - 4)), kHeaderBytes - 4, bytes);
}

IndexOptions OptionsIn(const std::string& bytes) {
  return {.kind = static_cast<Kind>(Get<uint32_t>(bytes, 16)), .dimension = Get<uint32_t>(bytes, 24),
          .metric = static_cast<Metric>(Get<uint32_t>(bytes, 20)), .m = Get<uint32_t>(bytes, 28),
          .ef_construction = Get<uint32_t>(bytes, 32), .seed = Get<uint64_t>(bytes, 40),
          .code = static_cast<RowCode>(Get<uint32_t>(bytes, 36)), .prefix = Get<uint32_t>(bytes, 360)};
}

void CheckAnswer(const absl::StatusOr<std::vector<Neighbor>>& found, const VidSet& live, size_t expected) {
  if (!found.ok()) Fail(found.status().ToString());
  if (found->size() != expected) Fail(absl::StrCat("expected ", expected, " answers, found ", found->size()));
  VidSet seen;
  for (size_t i = 0; i < found->size(); ++i) {
    const Neighbor& neighbor = (*found)[i];
    if (!live.Contains(neighbor.vid)) Fail(absl::StrCat("vid ", neighbor.vid, " is not live"));
    if (!std::isfinite(neighbor.distance)) Fail(absl::StrCat("a distance of ", neighbor.distance));
    if (i > 0 && neighbor < (*found)[i - 1]) Fail("answers out of order");
    seen.Add(neighbor.vid);
  }
  if (seen.size() != found->size()) Fail("an answer appears twice");
}

void Ask(const VectorIndex& index, const std::vector<float>& queries) {
  const VidSet live = index.LiveVids();
  const uint32_t dimension = index.options().dimension;
  VidSet some;
  some.AddRange(0, 50);
  for (size_t q = 0; q < queries.size() / dimension; ++q) {
    const absl::Span<const float> query(queries.data() + q * dimension, dimension);
    for (const uint32_t k : {1u, 10u}) {
      CheckAnswer(index.Search(query, {.k = k, .ef = 24}), live, std::min<size_t>(k, live.size()));
    }
    CheckAnswer(index.Score(query, live, 5), live, std::min<size_t>(5, live.size()));
    (void)index.Search(query, {.k = 10, .ef = 24, .filter = &some});
  }
  for (const Vid vid : {Vid{0}, Vid{1}, Vid{149}}) (void)index.Vector(vid);
}

}  // namespace

void FuzzSnapshot(absl::string_view edits) {
  static const MemoryFile file;
  if (edits.empty()) return;
  std::string bytes = Seeds()[static_cast<uint8_t>(edits[0]) % Seeds().size()];
  edits.remove_prefix(1);
  for (Edit edit; TakeEdit(&edits, &edit);) Apply(edit, &bytes);
  Seal(&bytes);
  file.Write(bytes);
  const IndexOptions options = OptionsIn(bytes);
  const auto loaded = LoadIndex(file.path(), options);
  if (!loaded.ok() || options.dimension > 64) return;
  const std::vector<float> queries = ClusteredVectors(3, options.dimension, 2);
  Ask(*loaded->index, queries);
  for (Vid vid = 1'000'000; vid < 1'000'003; ++vid) {
    (void)loaded->index->Add({vid}, {queries.data(), options.dimension});
  }
  loaded->index->Remove({1, 1'000'001});
  Ask(*loaded->index, queries);
}

}  // namespace larder::index

// What a put, a read and a lookup cost for chunks of 512 tokens of a model like SmolLM2-135M (30 layers,
// 3 KV heads of 64, f16: 11.25 MiB), beside plain files of the same bytes on the same file system.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/kv/kv_test_database.h"
#include "storage/test_directory.h"

namespace larder::kv {
namespace {

constexpr size_t kTokens = 512;
constexpr uint64_t kLayerBytes = kTokens * 3 * 64 * 2;
constexpr uint32_t kLayers = 30;
constexpr uint64_t kEntryBytes = kLayers * 2 * kLayerBytes;
constexpr int kEntries = 32;  // read in turn: more than a chunk at a time stays in no cache of ours

KvProfile SmolProfile() {
  KvProfile profile = SmallProfile();
  profile.layers = kLayers;
  profile.kv_heads = 3;
  profile.head_dim = 64;
  return profile;
}

const std::string& Layer(bool is_v) {
  static const std::string* const kParts[] = {new std::string(Payload(kLayerBytes, 1, 0, false)),
                                              new std::string(Payload(kLayerBytes, 1, 0, true))};
  return *kParts[is_v ? 1 : 0];
}

void Check(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::abort();
}

void CheckSystem(bool ok) {
  if (ok) return;
  std::perror("kv_benchmark");
  std::abort();
}

class Smol {
 public:
  Smol() : db_(256 << 20), id_(*db_.kv().RegisterProfile(SmolProfile())) {}
  KvCache& kv() { return db_.kv(); }
  KvKey Key(int seed) const { return {"", id_, Tokens(seed, kTokens)}; }
  void Put(const KvKey& key) {
    const KvPutHandle handle = *kv().PutBegin({key, {}});
    for (uint32_t i = 0; i < kLayers; ++i) Check(kv().PutLayer(handle, i, Layer(false), Layer(true)));
    Check(kv().PutCommit(handle));
  }

 private:
  TestDatabase db_;
  const std::string id_;
};

void PutEntry(benchmark::State& state) {
  Smol smol;
  int seed = 0;
  for (auto _ : state) {
    const KvKey key = smol.Key(seed++);
    smol.Put(key);
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * kEntryBytes));
}
BENCHMARK(PutEntry)->Iterations(kEntries)->Unit(benchmark::kMillisecond)->UseRealTime();

void GetEntry(benchmark::State& state) {
  Smol smol;
  std::vector<KvKey> keys;
  for (int i = 0; i < kEntries; ++i) smol.Put(keys.emplace_back(smol.Key(i)));
  size_t next = 0;
  for (auto _ : state) {
    const auto layers = smol.kv().Get(keys[next++ % keys.size()]);
    Check(layers.status());
    benchmark::DoNotOptimize(layers->front().k.data());
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * kEntryBytes));
}
BENCHMARK(GetEntry)->Iterations(2 * kEntries)->Unit(benchmark::kMillisecond)->UseRealTime();

void WriteFile(const std::string& path) {
  const int fd = ::open(path.c_str(), O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0644);
  CheckSystem(fd >= 0);
  for (uint32_t i = 0; i < 2 * kLayers; ++i) {
    CheckSystem(::write(fd, Layer(i % 2 != 0).data(), kLayerBytes) == static_cast<ssize_t>(kLayerBytes));
  }
  CheckSystem(::fdatasync(fd) == 0);
  CheckSystem(::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
  ::close(fd);
}

void FileWrite(benchmark::State& state) {
  const storage::TestDirectory directory;
  int next = 0;
  for (auto _ : state) WriteFile(directory.path(absl::StrCat("f", next++)));
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * kEntryBytes));
}
BENCHMARK(FileWrite)->Iterations(kEntries)->Unit(benchmark::kMillisecond)->UseRealTime();

// Argument 0: through the page cache, from which the file was dropped; 1: O_DIRECT, 4 MiB a read.
void FileRead(benchmark::State& state) {
  const bool direct = state.range(0) != 0;
  const storage::TestDirectory directory;
  for (int i = 0; i < kEntries; ++i) WriteFile(directory.path(absl::StrCat("f", i)));
  constexpr uint64_t kPiece = 4 << 20;
  const std::unique_ptr<char, void (*)(void*)> buffer(
      static_cast<char*>(::aligned_alloc(4096, kEntryBytes + kPiece)), &::free);
  int next = 0;
  for (auto _ : state) {
    const std::string path = directory.path(absl::StrCat("f", next++ % kEntries));
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | (direct ? O_DIRECT : 0));
    CheckSystem(fd >= 0);
    uint64_t done = 0;
    while (done < kEntryBytes) {
      const ssize_t n = ::pread(fd, buffer.get() + done, kPiece, static_cast<off_t>(done));
      CheckSystem(n > 0);
      done += static_cast<uint64_t>(n);
    }
    if (!direct) CheckSystem(::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
    ::close(fd);
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * kEntryBytes));
}
BENCHMARK(FileRead)->Arg(0)->Arg(1)->Iterations(2 * kEntries)->Unit(benchmark::kMillisecond)->UseRealTime();

// 4,096 entries of 512 tokens, written once; the second half of the keys is not there.
struct Library {
  static constexpr int kStored = 4'096;
  Library() {
    for (int i = 0; i < 2 * kStored; ++i) keys.push_back({"", db.profile_id(), Tokens(i, kTokens)});
    const std::string payload = Payload(SmallProfile().LayerBytes(kTokens), 1, 0, false);
    for (int i = 0; i < kStored; ++i) {
      const KvPutHandle handle = *db.kv().PutBegin({keys[i], {}});
      for (uint32_t layer = 0; layer < 3; ++layer) Check(db.kv().PutLayer(handle, layer, payload, payload));
      Check(db.kv().PutCommit(handle));
    }
  }
  TestDatabase db;
  std::vector<KvKey> keys;
};

// Arguments: keys a call, and whether they are there.
void LookupKeys(benchmark::State& state) {
  static Library library;
  const auto count = static_cast<size_t>(state.range(0));
  const bool hit = state.range(1) != 0;
  const auto keys = absl::MakeConstSpan(library.keys).subspan(hit ? 0 : Library::kStored, Library::kStored);
  size_t begin = 0, hits = 0;
  for (auto _ : state) {
    const auto answers = library.db.kv().Lookup(keys.subspan(begin, count));
    Check(answers.status());
    for (const KvLookup& answer : *answers) hits += answer.hit ? 1 : 0;
    begin = (begin + count) % Library::kStored;
  }
  CheckSystem(hits == (hit ? state.iterations() * count : 0));
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * count));
}
BENCHMARK(LookupKeys)
    ->Args({1, 1})
    ->Args({64, 1})
    ->Args({1024, 1})
    ->Args({64, 0})
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace larder::kv

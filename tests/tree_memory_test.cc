// What a collection on disk takes of memory and time: filled, searched and opened again in processes of their own.
// Prints peak and budget; the bound is the budget and an eighth of it.
//   LARDER_TREE_ROWS=1000000 tree_memory_test   the longer run
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>
#include <string>
#include <thread>

#include "absl/time/clock.h"
#include "tests/support/documents.h"
#include "tests/support/temp_dir.h"

namespace larder::testing {
namespace {

constexpr uint32_t kDimension = 128;
constexpr size_t kBatch = 1000, kCentres = 500;

size_t Rows() {
  const char* wanted = std::getenv("LARDER_TREE_ROWS");
  return wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 40'000;
}

// Half of what vectors take is left for the collection.
OpenOptions Options() {
  OpenOptions options;
  options.create_if_missing = true;
  options.block_cache_bytes = 8 << 20;
  options.write_buffer_bytes = 8 << 20;
  options.memory_bytes = 3 * (8 << 20) + kLeastMemoryBytes + Rows() * kDimension * sizeof(float) / 2;
  return options;
}

class Vectors {
 public:
  Vectors() {
    std::mt19937_64 random(1);
    for (size_t i = 0; i < kCentres; ++i) centres_.push_back(RandomVector(kDimension, random));
  }
  // The same for the same number.
  std::vector<float> Of(size_t i) const {
    std::mt19937_64 random(i + 1000);
    std::vector<float> vector = RandomVector(kDimension, random);
    for (size_t j = 0; j < kDimension; ++j) vector[j] = centres_[i % kCentres][j] + 0.7f * vector[j];
    return vector;
  }

 private:
  std::vector<std::vector<float>> centres_;
};

uint64_t PeakBytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    uint64_t kib = 0;
    if (word == "VmHWM:" && status >> kib) return kib << 10;
  }
  return 0;
}

#define CHECK_OK(expression)                                                    \
  if (const absl::Status status = (expression); !status.ok()) {                 \
    std::fprintf(stderr, "%s: %s\n", #expression, status.ToString().c_str());   \
    _exit(1);                                                                   \
  }

void Search(const Collection& docs, const Vectors& vectors, size_t i) {
  SearchRequest request;
  request.vector = vectors.Of(i);
  request.k = 1;
  request.target_recall = 0.999;
  const auto reply = docs.Search(request);
  CHECK_OK(reply.status());
  if (reply->plan != "tree" || reply->hits.size() != 1 || reply->hits[0].document_id != std::to_string(i)) {
    std::fprintf(stderr, "row %zu: %s, found %s\n", i, reply->plan.c_str(),
                 reply->hits.empty() ? "nothing" : reply->hits[0].document_id.c_str());
    _exit(1);
  }
}

void Fill(const std::string& path) {
  const Vectors vectors;
  auto db = Database::Open(path, Options());
  CHECK_OK(db.status());
  auto docs = (*db)->CreateCollection("docs", VectorsOnly(kDimension, IndexKind::kTree));
  CHECK_OK(docs.status());
  absl::Duration writing;
  for (size_t i = 0; i < Rows(); i += kBatch) {
    std::vector<Document> batch;
    for (size_t j = i; j < i + kBatch; ++j) batch.push_back(DocumentOf(std::to_string(j), vectors.Of(j)));
    const absl::Time start = absl::Now();
    CHECK_OK(docs->Upsert(batch).status());
    writing += absl::Now() - start;
  }
  while (docs->Info().spaces[0].serving != IndexKind::kTree) absl::SleepFor(absl::Milliseconds(10));
  const absl::Time start = absl::Now();
  for (size_t i = 0; i < Rows(); i += Rows() / 200) Search(*docs, vectors, i);
  std::printf("%zu rows of %u: %.0f inserts/s, %.2f ms a search, indexes %.1f MiB\n", Rows(), kDimension,
              static_cast<double>(Rows()) / absl::ToDoubleSeconds(writing), absl::ToDoubleMilliseconds(absl::Now() - start) / 200,
              static_cast<double>((*db)->Stats()->resident_index_bytes) / (1 << 20));
  CHECK_OK((*db)->Close());
}

void OpenAgain(const std::string& path) {
  const Vectors vectors;
  const absl::Time start = absl::Now();
  auto db = Database::Open(path, Options());
  CHECK_OK(db.status());
  const Collection docs = *(*db)->GetCollection("docs");
  Search(docs, vectors, 7);
  std::printf("opened to the first answer in %.0f ms\n", absl::ToDoubleMilliseconds(absl::Now() - start));
  CHECK_OK((*db)->Close());
}

// In a child, whose peak is its own.
void InAChild(void (*work)(const std::string&), const std::string& path) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    work(path);
    const uint64_t peak = PeakBytes(), budget = Options().memory_bytes;
    std::printf("peak %.1f MiB, budget %.1f MiB\n", static_cast<double>(peak) / (1 << 20), static_cast<double>(budget) / (1 << 20));
    std::fflush(stdout);
    _exit(peak <= budget + budget / 8 ? 0 : 2);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0) << "1: see above, 2: far over the budget";
}

TEST(TreeMemory, IsBoundedThroughBuildingSearchingAndOpening) {
  const TempDir dir;
  InAChild(&Fill, dir / "db");
  if (!HasFailure()) InAChild(&OpenAgain, dir / "db");
}

}  // namespace
}  // namespace larder::testing

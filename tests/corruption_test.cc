// Bytes that rot, one file at a time: flips and truncations of every kind of file that a database has.
// The database must refuse to open, or answer DataLoss, or answer right. A document that is silently
// missing, or a wrong byte, fails the test.
//   LARDER_CORRUPTION_ROUNDS=1000 corruption_test    the longer run
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>

#include "larder/database.h"
#include "tests/support/crash_kv.h"
#include "tests/support/documents.h"
#include "tests/support/temp_dir.h"

namespace larder::testing {
namespace {

namespace fs = std::filesystem;

constexpr int kDocuments = 60;

std::string IdOf(int i) { return "d" + std::to_string(i); }

// A crash image: half of the data in SST files, half in the WAL, a KV entry for every third document,
// index snapshots, and a commit mark that covers it all.
class Image {
 public:
  Image() {
    OpenOptions options;
    options.create_if_missing = true;
    auto db = Database::Open(dir_ / "live", options);
    EXPECT_TRUE(db.ok()) << db.status();
    auto docs = (*db)->CreateCollection("docs", VectorsOnly(8, IndexKind::kHnsw));
    EXPECT_TRUE(docs.ok()) << docs.status();
    std::mt19937_64 random(1);
    const std::string profile = *(*db)->kv().RegisterProfile(CrashProfile("raw"));
    for (int i = 0; i < kDocuments; ++i) {
      if (i == kDocuments / 2) {
        EXPECT_TRUE((*db)->Compact().ok());
      }
      Document document = DocumentOf(IdOf(i), RandomVector(8, random), {{"n", i}});
      document.text = "the source text of " + document.id;
      vectors_.push_back(document.chunks[0].vectors["default"]);
      EXPECT_TRUE(docs->Upsert(document).ok());
      if (i % 3 == 0) {
        EXPECT_TRUE(PutCrashKv(&(*db)->kv(), "raw", CrashKey(profile, IdOf(i), i), IdOf(i)));
      }
    }
    absl::SleepFor(absl::Milliseconds(1500));  // the mark is at most a second behind
    fs::copy(dir_ / "live", dir_ / "image", fs::copy_options::recursive);
    EXPECT_TRUE((*db)->Backup(dir_ / "backups").ok());
    EXPECT_TRUE((*db)->Close().ok());
    fs::copy(dir_ / "live", dir_ / "closed", fs::copy_options::recursive);
  }

  std::string path(const std::string& name) const { return dir_ / name; }
  const std::vector<float>& vector(int i) const { return vectors_[i]; }

 private:
  TempDir dir_;
  std::vector<std::vector<float>> vectors_;
};

const Image& TheImage() {
  static const Image* image = new Image;
  return *image;
}

// What a damaged copy said.
struct Outcome {
  int refused = 0, data_loss = 0, right = 0;
};

// Asks for everything; every answer must be right or an error that says so.
void AskEverything(Database* db, Outcome* outcome) {
  const auto docs = db->GetCollection("docs");
  ASSERT_TRUE(docs.ok()) << "silently lost: " << docs.status();
  bool loss = false;
  for (int i = 0; i < kDocuments; ++i) {
    const auto document = docs->Get(IdOf(i), "", true);
    ASSERT_FALSE(absl::IsNotFound(document.status())) << "silently lost: " << IdOf(i);
    if (!document.ok()) {
      loss = true;
      continue;
    }
    ASSERT_EQ(document->text, "the source text of " + IdOf(i));
    ASSERT_EQ(document->metadata.at("n"), MetadataValue(i));
    ASSERT_EQ(document->chunks.at(0).vectors.at("default"), TheImage().vector(i));
    SearchRequest request;
    request.vector = TheImage().vector(i);
    request.k = 1;
    request.filter = "n = " + std::to_string(i);
    const auto reply = docs->Search(request);
    loss |= !reply.ok();
    if (reply.ok()) {
      ASSERT_EQ(reply->hits.size(), 1u) << "silently lost: " << IdOf(i);
      ASSERT_EQ(reply->hits[0].document_id, IdOf(i));
      ASSERT_NEAR(reply->hits[0].score, 1, 1e-5);
    }
  }
  const auto profiles = db->kv().ListProfiles();
  if (profiles.ok()) {
    ASSERT_EQ(profiles->size(), 1u);
  }
  for (int i = 0; i < kDocuments && profiles.ok(); i += 3) {
    const KvKey key = CrashKey((*profiles)[0], IdOf(i), i);
    const auto layers = db->kv().Get(key);
    loss |= !layers.ok();  // a damaged entry is a miss, which is recomputed
    if (!layers.ok()) continue;
    for (const KvLayer& layer : *layers) {
      ASSERT_EQ(layer.k, CrashTensor(key, layer.layer, 'k'));
      ASSERT_EQ(layer.v, CrashTensor(key, layer.layer, 'v'));
    }
    const auto sidecar = db->kv().GetSidecar(key, KvSidecarKind::kCentroids);
    loss |= !sidecar.ok();
    if (sidecar.ok()) {
      ASSERT_EQ(*sidecar, CrashSidecar(key));
    }
  }
  ++(loss ? outcome->data_loss : outcome->right);
}

void OpenAndAsk(const std::string& path, Outcome* outcome) {
  const auto db = Database::Open(path);
  if (!db.ok()) {
    ASSERT_FALSE(db.status().message().empty());
    ++outcome->refused;
    return;
  }
  AskEverything(db->get(), outcome);
}

std::vector<fs::path> FilesOfKind(const std::string& root, const std::string& kind) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (!entry.is_regular_file() || entry.file_size() == 0) continue;
    const std::string name = entry.path().filename().string();
    if (name.find(kind) != std::string::npos) files.push_back(fs::relative(entry.path(), root));
  }
  return files;
}

void Flip(const fs::path& file, std::mt19937_64& random) {
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  const uint64_t at = random() % fs::file_size(file);
  stream.seekg(at);
  char byte = 0;
  stream.get(byte);
  stream.seekp(at);
  stream.put(static_cast<char>(byte ^ (1 << (random() % 8))));
}

int Rounds() {
  const char* wanted = std::getenv("LARDER_CORRUPTION_ROUNDS");
  return wanted != nullptr ? std::atoi(wanted) : 40;
}

class CorruptionTest : public ::testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(CorruptionTest, IsRefusedOrSaidOrHarmless) {
  const auto [image, kind] = GetParam();
  const std::string root = TheImage().path(image);
  const std::vector<fs::path> files = FilesOfKind(root, kind);
  ASSERT_FALSE(files.empty()) << "no " << kind << " in the image";
  std::mt19937_64 random(42);
  Outcome flips, cuts;
  for (int round = 0; round < Rounds() * 3 / 2 && !HasFatalFailure(); ++round) {
    const bool cut = round % 3 == 2;
    const TempDir copy;
    fs::copy(root, copy / "db", fs::copy_options::recursive);
    const fs::path file = fs::path(copy / "db") / files[random() % files.size()];
    const std::string what = cut ? "cut" : "flip";
    SCOPED_TRACE(what + " " + file.filename().string() + ", round " + std::to_string(round));
    if (cut) {
      fs::resize_file(file, random() % fs::file_size(file));
    } else {
      Flip(file, random);
    }
    OpenAndAsk(copy / "db", cut ? &cuts : &flips);
  }
  std::printf("%s: flips refused %d, said %d, harmless %d; cuts refused %d, said %d, harmless %d; silent 0\n", kind,
              flips.refused, flips.data_loss, flips.right, cuts.refused, cuts.data_loss, cuts.right);
}

INSTANTIATE_TEST_SUITE_P(Files, CorruptionTest,
                         ::testing::Values(std::pair("image", ".sst"), std::pair("image", ".log"),
                                           std::pair("image", "MANIFEST"), std::pair("image", "CURRENT"),
                                           std::pair("image", "COMMITTED"), std::pair("image", "FORMAT"),
                                           std::pair("image", ".ext"), std::pair("closed", "directory"),
                                           std::pair("closed", ".hnsw"), std::pair("closed", "MANIFEST")));

TEST(Corruption, DamagedBackupsAreNotRestored) {
  const std::string root = TheImage().path("backups");
  std::vector<fs::path> files = FilesOfKind(root, "");
  ASSERT_FALSE(files.empty());
  std::mt19937_64 random(43);
  for (int round = 0; round < Rounds(); ++round) {
    const TempDir copy;
    fs::copy(root, copy / "backups", fs::copy_options::recursive);
    Flip(fs::path(copy / "backups") / files[random() % files.size()], random);
    EXPECT_FALSE(Database::Restore(copy / "backups", copy / "restored").ok()) << "round " << round;
    EXPECT_FALSE(fs::exists(copy / "restored")) << "a refused restore left something behind";
  }
}

}  // namespace
}  // namespace larder::testing

#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "index/codes/code.h"
#include "index/codes/code_format.h"
#include "index/fuzz/edits.h"
#include "index/fuzz/targets.h"
#include "index/test_vectors.h"

namespace larder::index {
namespace {

constexpr uint32_t kDimension = 19;

// Of the codes that train themselves; those that FAISS trains are of numbers drawn.
std::vector<std::string> MakeSeeds() {
  std::vector<std::string> seeds;
  const std::vector<float> sample = ClusteredVectors(300, kDimension, 1);
  for (const char* name : {"f32", "f16", "sq8", "sq4", "sq4x8", "binary1", "binary3", "rabitq1", "rabitq4", "rabitq7"}) {
    for (const Metric metric : {Metric::kCosine, Metric::kL2}) {
      seeds.push_back((*TrainCode(*ParseCodeName(name, kDimension, metric), sample))->Serialize());
    }
  }
  for (const CodeKind kind : {CodeKind::kPq, CodeKind::kOpq}) {
    storage::RecordWriter writer = BeginCode({.kind = kind, .dimension = kDimension, .parts = 4});
    AppendFloats({sample.data(), kind == CodeKind::kOpq ? kDimension * kDimension : 0u}, &writer);
    AppendFloats({sample.data(), 5 * 4 * 256}, &writer);
    seeds.push_back(std::move(writer).Finish());
  }
  return seeds;
}

void Use(const Code& code, absl::string_view bytes) {
  const uint32_t dimension = code.options().dimension;
  const std::vector<float> query = ClusteredVectors(1, dimension, 2);
  CodeQuery prepared;
  code.Prepare(query.data(), &prepared);
  // Rows of whatever stands in the code's own bytes, each in memory of exactly its size.
  std::vector<std::vector<uint8_t>> rows(5, std::vector<uint8_t>(code.bytes()));
  std::vector<const uint8_t*> pointers;
  for (size_t i = 0; i < rows.size(); ++i) {
    for (size_t j = 0; j < rows[i].size(); ++j) rows[i][j] = static_cast<uint8_t>(bytes[(i * 7 + j) % bytes.size()]);
    pointers.push_back(rows[i].data());
  }
  std::vector<float> estimates(rows.size()), decoded(dimension);
  code.Estimate(prepared, pointers.data(), pointers.size(), estimates.data());
  for (const auto& row : rows) {
    (void)code.ErrorBound(prepared, row.data());
    code.Decode(row.data(), decoded.data());
  }
  code.Encode(query.data(), rows[0].data());
  code.Estimate(prepared, pointers.data(), 1, estimates.data());
}

}  // namespace

void FuzzCode(absl::string_view edits) {
  static const std::vector<std::string> seeds = MakeSeeds();
  if (edits.empty()) return;
  std::string bytes = seeds[static_cast<uint8_t>(edits[0]) % seeds.size()];
  edits.remove_prefix(1);
  for (Edit edit; TakeEdit(&edits, &edit);) {
    if (edit.kind % 16 == 15) bytes.resize(edit.place % (bytes.size() + 64));
    // The options stand in front: every other edit is one of them.
    const size_t end = edit.part % 2 == 0 ? std::min<size_t>(bytes.size(), 24) : bytes.size();
    Overwrite(edit, 0, end, kDimension, &bytes);
  }
  const auto code = ParseCode(bytes);
  if (!code.ok() || (*code)->options().dimension > 4096) return;
  if ((*code)->Serialize() != bytes) {
    std::fprintf(stderr, "code fuzz: written otherwise than read\n");
    std::abort();
  }
  Use(**code, bytes);
}

}  // namespace larder::index

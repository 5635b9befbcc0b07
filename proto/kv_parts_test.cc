#include "proto/kv_parts.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace larder {
namespace {

std::vector<v1::KvPart> Split(uint32_t layer, const std::string& k, const std::string& v) {
  std::vector<v1::KvPart> parts;
  EXPECT_TRUE(SplitLayer(layer, k, v, [&](v1::KvPart part) {
    parts.push_back(std::move(part));
    return true;
  }));
  return parts;
}

std::string Pattern(size_t bytes) {
  std::string text(bytes, '\0');
  for (size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>(i * 31 + i / 251);
  return text;
}

TEST(KvParts, RoundTripAtTheEdgesOfAPart) {
  for (const size_t bytes : {size_t{0}, size_t{1}, kKvPartBytes - 1, kKvPartBytes, kKvPartBytes + 1,
                             2 * kKvPartBytes, 3 * kKvPartBytes + 7}) {
    const std::string k = Pattern(bytes), v(bytes, 'v');
    const std::vector<v1::KvPart> parts = Split(5, k, v);
    const size_t a_tensor = bytes == 0 ? 1 : (bytes + kKvPartBytes - 1) / kKvPartBytes;
    EXPECT_EQ(parts.size(), 2 * a_tensor);
    LayerAssembler assembler(2 * bytes);
    for (const v1::KvPart& part : parts) {
      EXPECT_LE(part.data().size(), kKvPartBytes);
      EXPECT_FALSE(assembler.complete());
      ASSERT_TRUE(assembler.Add(part).ok());
      EXPECT_FALSE(assembler.empty());
    }
    ASSERT_TRUE(assembler.complete());
    const KvLayer layer = assembler.Take();
    EXPECT_EQ(layer.layer, 5u);
    EXPECT_EQ(layer.k, k);
    EXPECT_EQ(layer.v, v);
    EXPECT_TRUE(assembler.empty());
  }
}

TEST(KvParts, StopsWhenTheReceiverDoes) {
  int sent = 0;
  EXPECT_FALSE(SplitLayer(0, "k", "v", [&](v1::KvPart) { return ++sent < 1; }));
  EXPECT_EQ(sent, 1);
}

struct BadCase {
  const char* name;
  void (*spoil)(std::vector<v1::KvPart>*);
  const char* says;
};

TEST(KvParts, RefusesPartsOutOfPlace) {
  const BadCase cases[] = {
      {"V first", [](auto* p) { std::swap((*p)[0], (*p)[2]); }, "starts with K"},
      {"a gap", [](auto* p) { p->erase(p->begin() + 1); }, "K has 1048576 of its 1048577"},
      {"repeated", [](auto* p) { p->insert(p->begin(), (*p)[0]); }, "expected offset 1048576"},
      {"another layer", [](auto* p) { (*p)[1].set_layer(9); }, "expected layer 5"},
      {"another total", [](auto* p) { (*p)[1].set_total_bytes(99); }, "expected offset"},
      {"too long", [](auto* p) { (*p)[1].set_data("more"); }, "expected 1 to 1"},
      {"empty", [](auto* p) { (*p)[1].set_data(""); }, "expected 1 to 1"},
      {"K after V", [](auto* p) { (*p)[3].set_tensor(v1::KvPart::TENSOR_K); }, "expected V"},
      {"no tensor", [](auto* p) { (*p)[1].set_tensor(v1::KvPart::TENSOR_UNSPECIFIED); }, "expected K or V"},
  };
  for (const BadCase& bad : cases) {
    SCOPED_TRACE(bad.name);
    std::vector<v1::KvPart> parts = Split(5, Pattern(kKvPartBytes + 1), Pattern(kKvPartBytes + 1));
    ASSERT_EQ(parts.size(), 4u);
    bad.spoil(&parts);
    LayerAssembler assembler(uint64_t{1} << 30);
    absl::Status status;
    for (const v1::KvPart& part : parts) {
      if (status = assembler.Add(part); !status.ok()) break;
    }
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_NE(status.message().find(bad.says), absl::string_view::npos) << status;
  }
}

TEST(KvParts, BoundsALayer) {
  v1::KvPart part;
  part.set_tensor(v1::KvPart::TENSOR_K);
  part.set_total_bytes(~uint64_t{0});
  part.set_data("x");
  EXPECT_EQ(LayerAssembler(100).Add(part).code(), absl::StatusCode::kResourceExhausted);

  LayerAssembler assembler(100);
  const std::vector<v1::KvPart> parts = Split(0, std::string(60, 'k'), std::string(41, 'v'));
  ASSERT_TRUE(assembler.Add(parts[0]).ok());
  EXPECT_EQ(assembler.Add(parts[1]).code(), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace larder

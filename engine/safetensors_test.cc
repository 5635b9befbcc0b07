#include "engine/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"

namespace larder {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

class Safetensors : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "safetensors_XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    path_ = directory_ + "/x.safetensors";
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  void WriteRaw(uint64_t header_length, const std::string& rest) {
    std::ofstream out(path_, std::ios::binary);
    out.write(reinterpret_cast<const char*>(&header_length), 8);
    out << rest;
  }
  void WriteHeader(const std::string& header, size_t data_bytes) {
    WriteRaw(header.size(), header + std::string(data_bytes, 'd'));
  }
  std::string ReadRaw() {
    std::ifstream in(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  std::string directory_, path_;
};

TEST_F(Safetensors, RoundTrip) {
  const std::string a(24, 'a'), b(6, 'b'), c(8, 'c');
  const std::vector<TensorView> tensors = {{"half", "BF16", {3}, b},
                                           {"k/layer.0", "F32", {2, 3}, a},
                                           {"empty", "U8", {0, 7}, ""},
                                           {"scalar", "I64", {}, c}};
  ASSERT_TRUE(WriteSafetensors(path_, tensors, {{"model", "tiny \"x\" é"}}).ok());
  auto file = SafetensorsFile::Open(path_);
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_EQ(file->tensors().size(), 4);
  for (const TensorView& expected : tensors) {
    const TensorView* found = file->Find(expected.name);
    ASSERT_NE(found, nullptr) << expected.name;
    EXPECT_EQ(found->dtype, expected.dtype);
    EXPECT_EQ(found->shape, expected.shape);
    EXPECT_EQ(found->data, expected.data);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(found->data.data()) % SafetensorsDtypeBytes(found->dtype), 0);
  }
  EXPECT_EQ(file->Find("absent"), nullptr);
  EXPECT_THAT(file->metadata(), ElementsAre(Pair("model", "tiny \"x\" é")));
  EXPECT_EQ(file->contents(), ReadRaw());
}

TEST_F(Safetensors, WritesTheKnownBytes) {
  ASSERT_TRUE(WriteSafetensors(path_, {TensorView{"t", "I8", {2}, "\x01\x02"}}, {}).ok());
  const std::string header = R"({"t":{"dtype":"I8","shape":[2],"data_offsets":[0,2]}}   )";
  ASSERT_EQ(header.size(), 56);
  EXPECT_EQ(ReadRaw(), absl::StrCat(std::string("\x38\0\0\0\0\0\0\0", 8), header, "\x01\x02"));
}

TEST_F(Safetensors, EmptyFileOfNoTensors) {
  ASSERT_TRUE(WriteSafetensors(path_, {}, {}).ok());
  auto file = SafetensorsFile::Open(path_);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_THAT(file->tensors(), IsEmpty());
}

TEST_F(Safetensors, ReplacesAtOnceAndLeavesNothingBehind) {
  ASSERT_TRUE(WriteSafetensors(path_, {TensorView{"t", "I8", {2}, "12"}}, {}).ok());
  auto old = SafetensorsFile::Open(path_);
  ASSERT_TRUE(old.ok());
  ASSERT_TRUE(WriteSafetensors(path_, {TensorView{"t", "I8", {2}, "34"}}, {}).ok());
  EXPECT_EQ(old->Find("t")->data, "12");
  EXPECT_EQ(SafetensorsFile::Open(path_)->Find("t")->data, "34");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory_), {}), 1);
}

TEST_F(Safetensors, RefusesToWriteNonsense) {
  struct Case {
    std::vector<TensorView> tensors;
    std::string message;
  } cases[] = {
      {{{"t", "F32", {2}, "1234567"}}, "F32[2] does not take 7 bytes"},
      {{{"t", "F31", {1}, "1234"}}, "F31[1] does not take 4 bytes"},
      {{{"t", "F32", {1ull << 63, 2}, ""}}, "does not take 0 bytes"},
      {{{"t", "I8", {1}, "1"}, {"t", "I8", {1}, "1"}}, "is taken"},
      {{{"__metadata__", "I8", {1}, "1"}}, "is taken"},
      {{{"\xff", "I8", {1}, "1"}}, "UTF-8"},
  };
  for (const Case& c : cases) {
    const absl::Status status = WriteSafetensors(path_, c.tensors, {});
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.message;
    EXPECT_THAT(status.message(), HasSubstr(c.message));
    EXPECT_TRUE(std::filesystem::is_empty(directory_));
  }
  EXPECT_EQ(WriteSafetensors(path_, {}, {{"k", "\xc3\x28"}}).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(WriteSafetensors(directory_ + "/no/such/x", {}, {}).code(), absl::StatusCode::kNotFound);
}

TEST_F(Safetensors, RefusesHostileHeaders) {
  struct Case {
    std::string header;
    size_t data_bytes;
    std::string message;
  } cases[] = {
      {"", 0, "not a JSON object"},
      {"[]", 0, "not a JSON object"},
      {"{", 0, "not a JSON object"},
      {"{}x", 0, "not a JSON object"},
      {"{\"\xff\":1}", 0, "not a JSON object"},
      {"{}", 1, "tensors end at 0 of 1"},
      {R"({"t":1})", 0, "expected dtype, shape and data_offsets"},
      {R"({"t":{"dtype":"I8","shape":[1]}})", 1, "expected dtype"},
      {R"({"t":{"dtype":8,"shape":[1],"data_offsets":[0,1]}})", 1, "expected dtype"},
      {R"({"t":{"dtype":"I8","shape":[1],"data_offsets":[0,1],"x":1}})", 1, "expected dtype"},
      {R"({"t":{"dtype":"I7","shape":[1],"data_offsets":[0,1]}})", 1, "unknown dtype I7"},
      {R"({"t":{"dtype":"I8","shape":[-1],"data_offsets":[0,1]}})", 1, "shape is not"},
      {R"({"t":{"dtype":"I8","shape":[1.0],"data_offsets":[0,1]}})", 1, "shape is not"},
      {R"({"t":{"dtype":"I8","shape":"1","data_offsets":[0,1]}})", 1, "shape is not"},
      {R"({"t":{"dtype":"I8","shape":[1],"data_offsets":[0]}})", 1, "data_offsets is not"},
      {R"({"t":{"dtype":"I8","shape":[1],"data_offsets":[-1,0]}})", 1, "data_offsets is not"},
      {R"({"t":{"dtype":"I8","shape":[1],"data_offsets":[1,0]}})", 1, "outside of the 1"},
      {R"({"t":{"dtype":"I8","shape":[2],"data_offsets":[0,2]}})", 1, "outside of the 1"},
      {R"({"t":{"dtype":"I8","shape":[1],"data_offsets":[0,18446744073709551615]}})", 1, "outside"},
      {R"({"t":{"dtype":"I8","shape":[1],"data_offsets":[0,18446744073709551616]}})", 1, "not a pair"},
      {R"({"t":{"dtype":"I8","shape":[2],"data_offsets":[0,1]}})", 1, "I8[2] takes 2 bytes, found 1"},
      {R"({"t":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]}})", 0, "overflows"},
      {R"({"t":{"dtype":"I8","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0, "overflows"},
      {R"({"t":{"dtype":"I8","shape":[1],"data_offsets":[1,2]}})", 2, "begins at 1, expected 0"},
      {R"({"a":{"dtype":"I8","shape":[2],"data_offsets":[0,2]},
           "b":{"dtype":"I8","shape":[2],"data_offsets":[1,3]}})",
       3, "tensor b: begins at 1, expected 2"},
      {R"({"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]},
           "b":{"dtype":"I8","shape":[1],"data_offsets":[2,3]}})",
       3, "tensor b: begins at 2, expected 1"},
      {R"({"t":{"dtype":"I8","shape":[1],"data_offsets":[0,1]}})", 2, "tensors end at 1 of 2"},
      {R"({"t":{"dtype":"I8","shape":[1],"data_offsets":[0,1]},
           "t":{"dtype":"I8","shape":[1],"data_offsets":[0,1]}})",
       1, "key given twice: t"},
      {R"({"t":{"dtype":"I8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1, "key given twice: dtype"},
      {R"({"__metadata__":[]})", 0, "not an object"},
      {R"({"__metadata__":{"a":1}})", 0, "a is not a string"},
      {R"({"__metadata__":)" + std::string(100000, '['), 0, "nested too deeply"},
      {R"({"__metadata__":{"a":{"b":{"c":{}}}}})", 0, "nested too deeply"},
  };
  for (const Case& c : cases) {
    WriteHeader(c.header, c.data_bytes);
    const auto file = SafetensorsFile::Open(path_);
    EXPECT_EQ(file.status().code(), absl::StatusCode::kDataLoss) << c.header;
    EXPECT_THAT(file.status().message(), HasSubstr(c.message)) << c.header;
    EXPECT_THAT(file.status().message(), HasSubstr(path_));
  }
}

TEST_F(Safetensors, RefusesHeaderLengthBeyondTheFile) {
  for (uint64_t length :
       {uint64_t{3}, uint64_t{1} << 32, uint64_t{1} << 63, ~uint64_t{0}, ~uint64_t{0} - 7}) {
    WriteRaw(length, "{}");
    const auto file = SafetensorsFile::Open(path_);
    EXPECT_EQ(file.status().code(), absl::StatusCode::kDataLoss) << length;
    EXPECT_THAT(file.status().message(), HasSubstr(absl::StrCat("header of ", length, " bytes")));
  }
}

TEST_F(Safetensors, RefusesEveryTruncation) {
  ASSERT_TRUE(WriteSafetensors(path_, {TensorView{"t", "F16", {2}, "1234"}}, {{"a", "b"}}).ok());
  const std::string whole = ReadRaw();
  for (size_t n = 0; n < whole.size(); ++n) {
    std::ofstream(path_, std::ios::binary) << whole.substr(0, n);
    EXPECT_EQ(SafetensorsFile::Open(path_).status().code(), absl::StatusCode::kDataLoss) << n;
  }
}

TEST_F(Safetensors, SaysWhatIsNotAFile) {
  EXPECT_EQ(SafetensorsFile::Open(path_).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(SafetensorsFile::Open(directory_).status().code(), absl::StatusCode::kInvalidArgument);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_EQ(SafetensorsFile::Open(path_).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(Safetensors, TakesSpacesAfterTheHeaderAndAnyOrder) {
  WriteHeader(R"({"b":{"dtype":"I8","shape":[1],"data_offsets":[1,2]},
                  "a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]}}     )",
              2);
  auto file = SafetensorsFile::Open(path_);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->tensors()[0].name, "a");
  EXPECT_EQ(file->tensors()[1].name, "b");
}

}  // namespace
}  // namespace larder

#include "tools/cli/input.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "absl/strings/str_cat.h"

namespace larder::tools {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Npy(const std::string& type, const std::string& shape, const std::string& data) {
  std::string header =
      absl::StrCat("{'descr': '", type, "', 'fortran_order': False, 'shape': ", shape, ", }\n");
  const char size[2] = {static_cast<char>(header.size()), 0};
  return absl::StrCat(absl::string_view("\x93NUMPY\x01\x00", 8), absl::string_view(size, 2), header, data);
}

template <typename T>
std::string Bytes(std::initializer_list<T> values) {
  return std::string(reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(T));
}

TEST(ParseVector, ReadsNumbers) {
  EXPECT_THAT(*ParseVector("0.5, -2e-3,4"), ElementsAre(0.5f, -2e-3f, 4.0f));
}

TEST(ParseVector, NamesTheBadElement) {
  EXPECT_THAT(std::string(ParseVector("1,x,3").status().message()), HasSubstr("element 1"));
  EXPECT_THAT(std::string(ParseVector("1,,3").status().message()), HasSubstr("found \"\""));
}

std::string WriteNpy(const std::string& name, const std::string& contents) {
  const std::string path = absl::StrCat(::testing::TempDir(), "/input_test_", name, ".npy");
  std::ofstream(path, std::ios::binary) << contents;
  return path;
}

TEST(ReadVectorFile, ReadsOneVectorInEitherShape) {
  EXPECT_THAT(*ReadVectorFile(WriteNpy("flat", Npy("<f4", "(3,)", Bytes<float>({1, 2.5f, -3})))),
              ElementsAre(1, 2.5f, -3));
  EXPECT_THAT(*ReadVectorFile(WriteNpy("row", Npy("<f4", "(1, 2)", Bytes<float>({0.25f, 8})))),
              ElementsAre(0.25f, 8));
}

TEST(ReadVectorFile, ReadsEachTypeOfNumber) {
  EXPECT_THAT(*ReadVectorFile(WriteNpy("f8", Npy("<f8", "(2,)", Bytes<double>({0.25, 8})))), ElementsAre(0.25f, 8));
  EXPECT_THAT(*ReadVectorFile(WriteNpy("f2", Npy("<f2", "(2,)", Bytes<uint16_t>({0x3C00, 0xC000})))),
              ElementsAre(1, -2));
}

TEST(ReadVectorFile, RefusesAFileThatIsCutAnywhere) {
  const std::string good = Npy("<f4", "(3,)", Bytes<float>({1, 2, 3}));
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_EQ(ReadVectorFile(WriteNpy("cut", good.substr(0, size))).status().code(),
              absl::StatusCode::kInvalidArgument)
        << size;
  }
  EXPECT_EQ(ReadVectorFile(WriteNpy("none", Npy("<f4", "(0,)", ""))).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReadVectorFile("/nowhere/x.npy").status().code(), absl::StatusCode::kNotFound);
}

TEST(ReadVectorFile, RefusesSeveralVectors) {
  const std::string path = WriteNpy("rows", Npy("<f4", "(2, 2)", Bytes<float>({1, 2, 3, 4})));
  EXPECT_THAT(std::string(ReadVectorFile(path).status().message()), HasSubstr("found 2 rows of 2"));
}

TEST(ParseTokens, ReadsBareAndBracketedLists) {
  EXPECT_THAT(*ParseTokens("1, 2,3"), ElementsAre(1, 2, 3));
  EXPECT_THAT(*ParseTokens(" [7,-1]\n"), ElementsAre(7, -1));
  EXPECT_THAT(std::string(ParseTokens("1,2.5").status().message()), HasSubstr("token 1"));
  EXPECT_FALSE(ParseTokens("").ok());
  EXPECT_FALSE(ParseTokens("99999999999").ok());
}

TEST(ParseMetadataFlags, TypesValuesAsJson) {
  const Metadata metadata = *ParseMetadataFlags(
      {"year=1970", "pages=1.5", "draft=true", "tag=[\"a\",\"b\"]", "name=Joe's", "zip=\"01234\"", "empty="});
  EXPECT_EQ(metadata.at("year"), MetadataValue(1970));
  EXPECT_EQ(metadata.at("pages"), MetadataValue(Scalar(1.5)));
  EXPECT_EQ(metadata.at("draft"), MetadataValue(Scalar(true)));
  EXPECT_EQ(metadata.at("tag"), MetadataValue(std::vector<Scalar>{std::string("a"), std::string("b")}));
  EXPECT_EQ(metadata.at("name"), MetadataValue("Joe's"));
  EXPECT_EQ(metadata.at("zip"), MetadataValue("01234"));
  EXPECT_EQ(metadata.at("empty"), MetadataValue(""));
}

TEST(ParseMetadataFlags, RefusesWhatIsNoPair) {
  EXPECT_FALSE(ParseMetadataFlags({"year"}).ok());
  EXPECT_FALSE(ParseMetadataFlags({"=1"}).ok());
}

TEST(ReadInput, SaysWhichFileIsMissing) {
  const absl::Status status = ReadInput("/nowhere/x").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("/nowhere/x: No such file"));
}

}  // namespace
}  // namespace larder::tools

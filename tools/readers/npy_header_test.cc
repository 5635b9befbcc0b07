#include "tools/readers/npy_header.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tools/readers/test_files.h"

namespace larder::tools {
namespace {

using ::testing::HasSubstr;

TEST(ParseNpyHeader, ReadsWhatNumPyWrites) {
  struct Case {
    const char* dict;
    ElementType type;
    uint64_t rows, columns;
  } cases[] = {
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }", ElementType::kF32, 3, 4},
      {"{'descr': '<f2', 'fortran_order': False, 'shape': (5,), }", ElementType::kF16, 5, 1},
      {"{'shape': (0, 7), 'descr': \"<i8\", 'fortran_order': False}", ElementType::kI64, 0, 7},
      {"{'descr': '|u1', 'fortran_order': True, 'shape': (9L, 1L), }", ElementType::kU8, 9, 1},
      {"{'descr':'<i4','fortran_order':False,'shape':(18446744073709551615,2)}", ElementType::kI32,
       18446744073709551615u, 2},
  };
  for (const Case& c : cases) {
    for (int version : {1, 2, 3}) {
      std::string bytes = NpyHeaderBytes(c.dict, version);
      auto header = ParseNpyHeader(bytes + "data");
      ASSERT_TRUE(header.ok()) << c.dict << ": " << header.status();
      EXPECT_EQ(header->type, c.type);
      EXPECT_EQ(header->rows, c.rows);
      EXPECT_EQ(header->columns, c.columns);
      EXPECT_EQ(header->data_offset, bytes.size());
      EXPECT_EQ(bytes.size() % 64, 0u);
    }
  }
}

TEST(ParseNpyHeader, RefusesWhatItCannotTrust) {
  auto dict = [](const char* text) { return NpyHeaderBytes(text); };
  struct Case {
    std::string bytes;
    const char* message;
  } cases[] = {
      {"", "byte 0: expected \\x93NUMPY"},
      {"PK\x03\x04 a zip file", "byte 0: expected \\x93NUMPY"},
      {"\x93NUMPY", "byte 6"},
      {std::string("\x93NUMPY\x04\x00", 8), "byte 6: expected version 1.0, 2.0 or 3.0, found \"4.0\""},
      {std::string("\x93NUMPY\x01\x00\x10", 9), "byte 8: expected a header length"},
      {std::string("\x93NUMPY\x01\x00\xff\xff{", 11), "byte 8: expected a header of at most 1 bytes"},
      {std::string("\x93NUMPY\x02\x00\xff\xff\xff\xff{", 13), "byte 8: expected a header of at most 1 bytes"},
      {dict("[]"), "byte 10: expected \"{\""},
      {dict("{'descr': '<f4', 'fortran_order': False}"), "expected 'descr', 'fortran_order' and 'shape'"},
      {dict("{'descr': '<f4', 'descr': '<f4'}"), "expected each key once, found \"descr\""},
      {dict("{'other': 1}"), "byte 11: expected 'descr', 'fortran_order' or 'shape', found \"other\""},
      {dict("{'descr': '>f4', 'fortran_order': False, 'shape': (1, 1)}"), "byte 20: expected a type of"},
      {dict("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}"),
       "byte 20: expected a string"},
      {dict("{'descr': '<f4', 'fortran_order': 0, 'shape': (1, 1)}"), "expected True or False"},
      {dict("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2)}"), "expected C order"},
      {dict("{'descr': '<f4', 'fortran_order': False, 'shape': ()}"),
       "expected one or two dimensions, found \"0\""},
      {dict("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 3)}"), "found \"3\""},
      {dict("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 2)}"), "expected a size from 0"},
      {dict("{'descr': '<f4', 'fortran_order': False, 'shape': (18446744073709551616, 2)}"),
       "expected a size"},
      {dict("{'descr': '<f4', 'fortran_order': False, 'shape': (1 2)}"), "expected \",\" or \")\""},
      {dict("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2)} x"), "expected the end of the header"},
      {dict("{'descr': '<f4"), "expected a string that ends"},
      {dict("{"), "expected a string"},
  };
  for (const Case& c : cases) {
    auto header = ParseNpyHeader(c.bytes);
    EXPECT_EQ(header.status().code(), absl::StatusCode::kInvalidArgument) << c.message;
    EXPECT_THAT(std::string(header.status().message()), HasSubstr(c.message));
  }
}

TEST(ParseNpyHeader, SurvivesEveryTruncationAndFlip) {
  const std::string good = NpyHeaderBytes("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }");
  for (size_t length = 0; length < good.size(); ++length) {
    EXPECT_FALSE(ParseNpyHeader(good.substr(0, length)).ok()) << length;
  }
  for (size_t i = 0; i < good.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ 1 << bit);
      (void)ParseNpyHeader(bad).ok();  // right or refused; never out of bounds
    }
  }
}

}  // namespace
}  // namespace larder::tools

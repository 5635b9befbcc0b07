larder_library(larder_utf8 SOURCES utf8.cc PUBLIC absl::strings)
target_include_directories(larder_utf8 SYSTEM PRIVATE ${ICU_INCLUDE_DIRS})

# Text in: chunking and the filter language.
larder_library(larder_text
  SOURCES blocks.cc chunk_packer.cc chunker.cc filter.cc filter_lexer.cc filter_parser.cc headings.cc
          text_breaks.cc
  PUBLIC larder_utf8 absl::status absl::statusor absl::strings absl::time
  PRIVATE ICU::uc absl::str_format)

larder_test(text_test
  SOURCES blocks_test.cc chunker_test.cc chunker_property_test.cc filter_match_test.cc
          filter_parser_test.cc headings_test.cc text_breaks_test.cc utf8_test.cc
  DEPS larder_text)

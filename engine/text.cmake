# Text in: chunking and the filter language.
larder_library(larder_text
  SOURCES blocks.cc chunk_packer.cc chunker.cc headings.cc text_breaks.cc
  PUBLIC absl::status absl::statusor absl::strings absl::time
  PRIVATE ICU::uc)

larder_test(text_test
  SOURCES blocks_test.cc chunker_test.cc chunker_property_test.cc headings_test.cc text_breaks_test.cc
  DEPS larder_text)

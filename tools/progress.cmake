larder_library(larder_progress
  SOURCES progress.cc
  PUBLIC absl::synchronization absl::time
  PRIVATE absl::strings absl::str_format)

larder_test(progress_test
  SOURCES progress_test.cc
  DEPS larder_progress)

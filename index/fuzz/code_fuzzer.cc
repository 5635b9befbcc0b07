// libFuzzer's entry: code_fuzzer [-max_total_time=60] [CORPUS]
#include <cstddef>
#include <cstdint>

#include "index/fuzz/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  larder::index::FuzzCode({reinterpret_cast<const char*>(data), size});
  return 0;
}

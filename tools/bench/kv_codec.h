// larder-bench kv-codec: how small payloads are, how far off, and how fast they become pages, beside memcpy.
#ifndef LARDER_TOOLS_BENCH_KV_CODEC_H_
#define LARDER_TOOLS_BENCH_KV_CODEC_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace larder::tools {

struct KvCodecOptions {
  uint32_t tokens = 512, heads = 8, dim = 128;
  std::string dtype = "f16";      // of the tensor and of the pages
  std::string style = "neox";     // or interleaved
  std::string keys, values;       // files of f16 [layer][token][head][dim]; random numbers if absent
  uint32_t layers = 32;           // in memory at once, so that caches hold none
  uint32_t passes = 5;            // over all codecs in turn; the median counts
  bool json = false;
};

// One codec on one side (K or V).
struct KvCodecFigures {
  std::string codec;
  bool is_key = false;
  double ratio_f16 = 0;                   // f16 bytes / payload bytes
  double max_abs = 0, rms = 0;            // of the declared error
  double encode_gbs = 0, cache_gbs = 0, decode_gbs = 0;  // of the tensor; cache to cache, and all layers into memory
};
struct KvCodecResult {
  std::vector<KvCodecFigures> codecs;
  size_t layers = 0;
  double memcpy_gbs = 0, rope_table_us = 0;
};
absl::StatusOr<KvCodecResult> MeasureKvCodecs(const KvCodecOptions& options);

absl::Status RunKvCodec(const KvCodecOptions& options);

}  // namespace larder::tools

#endif  // LARDER_TOOLS_BENCH_KV_CODEC_H_

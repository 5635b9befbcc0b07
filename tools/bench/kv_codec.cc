#include "tools/bench/kv_codec.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <random>

#include "absl/strings/str_cat.h"
#include "larder/kv_codec.h"
#include "storage/status_macros.h"
#include "tools/bench/kv.h"

namespace larder::tools {
namespace {

constexpr uint32_t kBlockTokens = 16;  // of a page
constexpr int64_t kPosition = 1000;
constexpr uint32_t kRepeats = 10;  // of one layer

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

// Bell-shaped with channels of very different size, as keys are.
std::vector<float> RandomLayer(const kv::KvTensorShape& shape, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> scales(size_t{shape.heads} * shape.dim), values(shape.tokens * scales.size());
  for (float& scale : scales) scale = std::exp(normal(random));
  for (size_t i = 0; i < values.size(); ++i) values[i] = normal(random) * scales[i % scales.size()];
  return values;
}

absl::StatusOr<std::vector<std::string>> RandomLayers(const kv::KvTensorShape& shape, uint32_t layers) {
  const std::vector<float> values = RandomLayer(shape, 1);
  const auto* bytes = reinterpret_cast<const char*>(values.data());
  kv::KvTensorShape given = shape;
  given.dtype = KvDtype::kF32;
  std::string tensor(shape.Bytes(), '\0');
  RETURN_IF_ERROR(kv::DecodeKv("raw", kv::KvSide::kKey, given, {bytes, values.size() * sizeof(float)}, {}, nullptr,
                               kv::ContiguousTarget(absl::MakeSpan(reinterpret_cast<std::byte*>(tensor.data()), tensor.size()),
                                                    shape.dtype, shape.heads, shape.dim)));
  return std::vector<std::string>(layers, tensor);
}

absl::StatusOr<std::vector<std::string>> ReadLayers(const std::string& path, const kv::KvTensorShape& shape) {
  std::ifstream file(path, std::ios::binary);
  std::vector<std::string> layers;
  std::string layer(shape.Bytes(), '\0');
  while (file.read(layer.data(), static_cast<std::streamsize>(layer.size()))) layers.push_back(layer);
  if (!layers.empty() && file.gcount() == 0) return layers;
  return absl::InvalidArgumentError(absl::StrCat(path, ": expected layers of ", layer.size(), " bytes"));
}

// Payloads of all layers, and the pages that they are decoded into.
struct Subject {
  std::string codec;
  kv::KvSide side;
  kv::KvTensorShape shape;
  std::vector<std::string> payloads;
  kv::KvErrorBound error;  // the largest max_abs, the mean rms
  double encode_gbs = 0;
  std::vector<double> decode_gbs = {}, cached_gbs = {};

  double Bytes() const { return static_cast<double>(shape.Bytes() * payloads.size()); }
  double PayloadBytes() const {
    double bytes = 0;
    for (const std::string& payload : payloads) bytes += static_cast<double>(payload.size());
    return bytes;
  }
};

absl::StatusOr<Subject> MakeSubject(const std::string& codec, kv::KvSide side, const kv::KvTensorShape& shape,
                                    const std::vector<std::string>& layers) {
  Subject subject{codec, side, shape, {}, {}};
  const double start = Now();
  for (size_t i = 0; i < layers.size(); ++i) {
    if (i > 0 && layers[i] == layers[0]) {
      subject.payloads.push_back(subject.payloads[0]);
      continue;
    }
    ASSIGN_OR_RETURN(std::string payload, kv::EncodeKv(codec, side, shape, layers[i]));
    ASSIGN_OR_RETURN(const kv::KvErrorBound error, kv::KvPayloadError(codec, side, shape, payload));
    if (i == 0) subject.encode_gbs = static_cast<double>(shape.Bytes()) / (Now() - start) / 1e9;
    subject.error.max_abs = std::max(subject.error.max_abs, error.max_abs);
    subject.error.rms += error.rms / static_cast<float>(layers.size());
    subject.payloads.push_back(std::move(payload));
  }
  if (layers.size() > 1 && layers[1] == layers[0]) subject.error.rms *= static_cast<float>(layers.size());
  return subject;
}

// Pages of 16 tokens in a shuffled order.
struct Pages {
  Pages(const kv::KvTensorShape& shape, size_t layers) {
    const uint32_t blocks = (shape.tokens + kBlockTokens - 1) / kBlockTokens;
    block_bytes = shape.RowBytes() * kBlockTokens;
    data.resize(blocks * block_bytes * layers + 64);
    base = (64 - reinterpret_cast<uintptr_t>(data.data()) % 64) % 64;
    table.resize(blocks * layers);
    std::iota(table.begin(), table.end(), 0);
    std::shuffle(table.begin(), table.end(), std::mt19937(3));
  }
  kv::KvTarget Target(const kv::KvTensorShape& shape, size_t layer) {
    const uint32_t blocks = (shape.tokens + kBlockTokens - 1) / kBlockTokens;
    kv::KvTarget target = kv::ContiguousTarget(absl::MakeSpan(data).subspan(base), shape.dtype, shape.heads, shape.dim);
    target.block_table = absl::MakeConstSpan(table).subspan(layer * blocks, blocks);
    target.block_tokens = kBlockTokens, target.block_stride = block_bytes;
    return target;
  }
  uint64_t block_bytes = 0, base = 0;
  std::vector<std::byte> data;
  std::vector<uint32_t> table;
};

// Output of all layers into memory, and of one layer again and again from cache to cache.
absl::Status MeasureDecode(const kv::RopeTable& table, Pages* pages, Subject* subject) {
  const kv::RopeTable* rope = subject->side == kv::KvSide::kKey ? &table : nullptr;
  const auto decode = [&](size_t layer) {
    return kv::DecodeKv(subject->codec, subject->side, subject->shape, subject->payloads[layer], {}, rope,
                        pages->Target(subject->shape, layer));
  };
  double start = Now();
  for (size_t layer = 0; layer < subject->payloads.size(); ++layer) RETURN_IF_ERROR(decode(layer));
  subject->decode_gbs.push_back(subject->Bytes() / (Now() - start) / 1e9);
  RETURN_IF_ERROR(decode(0));
  start = Now();
  for (uint32_t i = 0; i < kRepeats; ++i) RETURN_IF_ERROR(decode(0));
  subject->cached_gbs.push_back(static_cast<double>(kRepeats * subject->shape.Bytes()) / (Now() - start) / 1e9);
  return absl::OkStatus();
}

double MeasureMemcpy(const std::vector<std::string>& layers, Pages* pages) {
  const double start = Now();
  size_t at = 0;
  for (const std::string& layer : layers) {
    std::memcpy(pages->data.data() + at, layer.data(), layer.size());
    at += layer.size();
  }
  return static_cast<double>(at) / (Now() - start) / 1e9;
}

KvCodecFigures FiguresOf(const Subject& s) {
  const double halves = s.Bytes() * 2 / static_cast<double>(s.shape.ElementBytes());
  return {s.codec,      s.side == kv::KvSide::kKey, halves / s.PayloadBytes(), s.error.max_abs, s.error.rms,
          s.encode_gbs, Median(s.cached_gbs),       Median(s.decode_gbs)};
}

void Print(const KvCodecFigures& f, double memcpy_gbs, bool json) {
  const char* side = f.is_key ? "K" : "V";
  if (!json) {
    std::printf("%-6s %s %8.2f %10.4f %10.4f %10.2f %10.2f %10.2f %9.2f\n", f.codec.c_str(), side, f.ratio_f16, f.max_abs,
                f.rms, f.encode_gbs, f.cache_gbs, f.decode_gbs, f.decode_gbs / memcpy_gbs);
    return;
  }
  const nlohmann::ordered_json line = {
      {"codec", f.codec}, {"side", side}, {"ratio_f16", f.ratio_f16}, {"max_abs", f.max_abs}, {"rms", f.rms},
      {"encode_gbs", f.encode_gbs}, {"cache_gbs", f.cache_gbs}, {"decode_gbs", f.decode_gbs},
      {"memcpy_gbs", memcpy_gbs}};
  std::printf("%s\n", line.dump().c_str());
}

struct Layers {
  std::vector<std::string> keys, values;
};

absl::StatusOr<Layers> LoadLayers(const KvCodecOptions& options, const kv::KvTensorShape& shape) {
  Layers layers;
  if (options.keys.empty() != options.values.empty()) {
    return absl::InvalidArgumentError("kv-codec: --keys and --values go together");
  }
  ASSIGN_OR_RETURN(layers.keys, options.keys.empty() ? RandomLayers(shape, options.layers)
                                                     : ReadLayers(options.keys, shape));
  ASSIGN_OR_RETURN(layers.values, options.values.empty() ? absl::StatusOr<std::vector<std::string>>(layers.keys)
                                                         : ReadLayers(options.values, shape));
  return layers;
}

absl::StatusOr<kv::KvRope> Rope(const KvCodecOptions& options) {
  KvProfile profile;
  profile.head_dim = options.dim;
  profile.rope_style = options.style == "neox" ? RopeStyle::kNeox : RopeStyle::kInterleaved;
  return kv::RopeOf(profile);
}

}  // namespace

absl::StatusOr<KvCodecResult> MeasureKvCodecs(const KvCodecOptions& options) {
  const KvDtype dtype = options.dtype == "f32" ? KvDtype::kF32 : options.dtype == "f16" ? KvDtype::kF16 : KvDtype::kBf16;
  const kv::KvTensorShape shape{options.tokens, options.heads, options.dim, dtype};
  ASSIGN_OR_RETURN(const Layers layers, LoadLayers(options, shape));
  ASSIGN_OR_RETURN(const kv::KvRope rope, Rope(options));
  std::vector<Subject> subjects;
  for (const char* codec : {"raw", "int8", "int4", "mixed"}) {
    for (kv::KvSide side : {kv::KvSide::kKey, kv::KvSide::kValue}) {
      ASSIGN_OR_RETURN(Subject subject,
                       MakeSubject(codec, side, shape, side == kv::KvSide::kKey ? layers.keys : layers.values));
      subjects.push_back(std::move(subject));
    }
  }
  Pages pages(shape, layers.keys.size());
  std::vector<double> copies, tables;
  for (uint32_t pass = 0; pass < options.passes; ++pass) {
    copies.push_back(MeasureMemcpy(layers.keys, &pages));
    const double start = Now();
    ASSIGN_OR_RETURN(const kv::RopeTable table, kv::RopeTable::At(rope, kPosition, 0, shape.tokens));
    tables.push_back(1e6 * (Now() - start));
    for (Subject& subject : subjects) RETURN_IF_ERROR(MeasureDecode(table, &pages, &subject));
  }
  KvCodecResult result{{}, layers.keys.size(), Median(copies), Median(tables)};
  for (const Subject& subject : subjects) result.codecs.push_back(FiguresOf(subject));
  return result;
}

absl::Status RunKvCodec(const KvCodecOptions& options) {
  ASSIGN_OR_RETURN(const KvCodecResult result, MeasureKvCodecs(options));
  if (!options.json) {
    std::printf("%u tokens x %u heads x %u, %s, %zu layers into pages of %u tokens, one thread; memcpy %.2f GB/s, "
                "a rope table %.0f us\n%-6s %s %8s %10s %10s %10s %10s %10s %9s\n",
                options.tokens, options.heads, options.dim, options.dtype.c_str(), result.layers, kBlockTokens,
                result.memcpy_gbs, result.rope_table_us, "codec", " ", "of f16", "max error", "rms", "enc. GB/s",
                "cache GB/s", "mem. GB/s", "of memcpy");
  }
  for (const KvCodecFigures& figures : result.codecs) Print(figures, result.memcpy_gbs, options.json);
  return absl::OkStatus();
}

// K and V together, as an entry has them.
absl::StatusOr<KvResult> MeasureCodecs(const KvOptions& options) {
  const KvCodecOptions codec{.tokens = options.tokens, .heads = options.heads, .dim = options.dim,
                             .keys = options.keys, .values = options.values, .layers = options.layers,
                             .passes = options.passes};
  ASSIGN_OR_RETURN(const KvCodecResult measured, MeasureKvCodecs(codec));
  const auto both = [&](absl::string_view name, double KvCodecFigures::*figure) {
    double inverse = 0;  // equal bytes of K and V: the harmonic mean
    for (const KvCodecFigures& f : measured.codecs) inverse += f.codec == name ? 1 / (f.*figure) : 0;
    return 2 / inverse;
  };
  const std::string of = options.keys.empty() ? " of random numbers" : " of the tensors given";
  KvResult result;
  result.figures = {
      {"int4_ratio", both("int4", &KvCodecFigures::ratio_f16), "f16 bytes / int4 bytes, K and V" + of},
      {"mixed_ratio", both("mixed", &KvCodecFigures::ratio_f16), "likewise, 4 and 2 bits"},
      {"decode_gb_s", both("int4", &KvCodecFigures::decode_gbs), "GB/s of f16 out of int4 into pages in memory, one core"},
      {"decode_cached_gb_s", both("int4", &KvCodecFigures::cache_gbs), "likewise, a layer from cache to cache"},
      {"decode_ratio_memcpy", both("int4", &KvCodecFigures::decode_gbs) / measured.memcpy_gbs, "decode_gb_s / memcpy's"},
  };
  return result;
}

}  // namespace larder::tools

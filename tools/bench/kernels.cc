#include "tools/bench/kernels.h"

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>
#include <string>

#include "index/codes/bit_code.h"
#include "index/codes/code.h"
#include "index/kernels/distance.h"
#include "storage/status_macros.h"

namespace larder::tools {
namespace {

using index::Code;
using index::CodeQuery;

constexpr size_t kSampleRows = 512;    // encoded once and copied over the buffer
constexpr size_t kCacheBytes = 256 << 10;
constexpr size_t kGather = 32;         // rows a call, as a walk gathers them
constexpr double kLeastSeconds = 0.05;  // of one measurement

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

// Codes of one kind over and over in a buffer, visited in random order.
struct Kernel {
  std::string name;
  uint32_t dimension = 0;
  size_t unit_bytes = 0;    // of what one pointer leads to
  size_t vectors_unit = 1;  // 32 in a block
  std::vector<uint8_t> sample = {};
  std::function<void(const uint8_t* const* units, size_t count, float* out)> estimate = nullptr;
  std::vector<double> in_cache = {}, in_memory = {};  // vectors a second, a value a pass
};

std::vector<float> RandomFloats(size_t count) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

absl::StatusOr<Kernel> MakeKernel(const std::string& name, uint32_t dimension, const std::vector<float>& rows) {
  ASSIGN_OR_RETURN(const index::CodeOptions options,
                   index::ParseCodeName(name, dimension, index::Metric::kCosine));
  ASSIGN_OR_RETURN(std::shared_ptr<const Code> code, index::TrainCode(options, rows));
  const auto query = std::make_shared<CodeQuery>();
  code->Prepare(rows.data(), query.get());
  Kernel kernel{name, dimension, code->bytes()};
  kernel.sample.resize(kSampleRows * kernel.unit_bytes);
  for (size_t i = 0; i < kSampleRows; ++i) {
    code->Encode(&rows[i * dimension], &kernel.sample[i * kernel.unit_bytes]);
  }
  kernel.estimate = [code, query](const uint8_t* const* units, size_t count, float* out) {
    code->Estimate(*query, units, count, out);
  };
  return kernel;
}

absl::StatusOr<Kernel> MakeBlockKernel(uint32_t dimension, const std::vector<float>& rows) {
  ASSIGN_OR_RETURN(Kernel rowwise, MakeKernel("rabitq1", dimension, rows));
  ASSIGN_OR_RETURN(std::shared_ptr<const Code> code,
                   index::TrainCode({index::CodeKind::kRabitq, dimension, index::Metric::kCosine, 1}, rows));
  const auto bits = std::static_pointer_cast<const index::BitCode>(code);
  const auto query = std::make_shared<CodeQuery>();
  bits->PrepareBlocks(rows.data(), query.get());
  Kernel kernel{"rabitq1 blocks", dimension, bits->block_bytes(), index::kBlockCodes};
  for (size_t i = 0; i + index::kBlockCodes <= kSampleRows; i += index::kBlockCodes) {
    const uint8_t* codes[index::kBlockCodes];
    for (size_t j = 0; j < index::kBlockCodes; ++j) codes[j] = &rowwise.sample[(i + j) * rowwise.unit_bytes];
    kernel.sample.resize(kernel.sample.size() + kernel.unit_bytes);
    bits->PackBlock(codes, index::kBlockCodes, kernel.sample.data() + kernel.sample.size() - kernel.unit_bytes);
  }
  kernel.estimate = [bits, query](const uint8_t* const* units, size_t count, float* out) {
    for (size_t i = 0; i < count; ++i) bits->EstimateBlock(*query, units[i], out + i * index::kBlockCodes);
  };
  return kernel;
}

// Memory in huge pages where the system has them, so that translations of addresses do not count.
class Buffer {
 public:
  explicit Buffer(size_t size) : size_(size), data_(static_cast<uint8_t*>(std::aligned_alloc(kHugePage, size))) {
    if (data_ == nullptr) return;
    madvise(data_, size_, MADV_HUGEPAGE);
    std::memset(data_, 1, size_);
  }
  ~Buffer() { std::free(data_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

  static constexpr size_t kHugePage = 2 << 20;

 private:
  const size_t size_;
  uint8_t* const data_;
};

// Vectors a second over `bytes` of codes. `ahead`: the rows of the next call are fetched before this one.
double Measure(const Kernel& kernel, const Buffer& buffer, size_t bytes, bool ahead) {
  const size_t units = std::max(kGather, bytes / kernel.unit_bytes / kGather * kGather);
  const size_t known = kernel.sample.size() / kernel.unit_bytes;
  for (size_t i = 0; i < units; i += known) {
    std::memcpy(buffer.data() + i * kernel.unit_bytes, kernel.sample.data(),
                std::min(known, units - i) * kernel.unit_bytes);
  }
  std::vector<const uint8_t*> order(units);
  for (size_t i = 0; i < units; ++i) order[i] = buffer.data() + i * kernel.unit_bytes;
  std::mt19937_64 random(2);
  std::shuffle(order.begin(), order.end(), random);
  float out[kGather * index::kBlockCodes];
  const auto pass = [&] {
    for (size_t i = 0; i < units; i += kGather) {
      const size_t next = i + kGather < units ? i + kGather : 0;
      for (size_t j = 0; ahead && j < kGather; ++j) {
        index::PrefetchRow(reinterpret_cast<const float*>(order[next + j]), kernel.unit_bytes / sizeof(float));
      }
      kernel.estimate(&order[i], kGather, out);
    }
  };
  pass();
  size_t passes = 0;
  const double start = Now();
  double end = start;
  for (; end - start < kLeastSeconds; end = Now(), ++passes) pass();
  return static_cast<double>(passes * units * kernel.vectors_unit) / (end - start);
}

// GB a second of reading `buffer` from beginning to end.
double ReadBandwidth(const Buffer& buffer) {
  const uint64_t* words = reinterpret_cast<const uint64_t*>(buffer.data());
  const size_t count = buffer.size() / 8 / 32 * 32;
  const double start = Now();
  uint64_t sums[32] = {};
  for (size_t i = 0; i < count; i += 32) {
    __builtin_prefetch(words + i + 256);
    for (size_t lane = 0; lane < 32; ++lane) sums[lane] += words[i + lane];
  }
  const double seconds = Now() - start;
  volatile uint64_t sink = std::accumulate(sums, sums + 32, uint64_t{0});
  (void)sink;
  return static_cast<double>(buffer.size()) / seconds / 1e9;
}

void Print(const Kernel& kernel, double bandwidth, bool json) {
  const double bytes = static_cast<double>(kernel.unit_bytes) / static_cast<double>(kernel.vectors_unit);
  const double cache = Median(kernel.in_cache), memory = Median(kernel.in_memory);
  if (!json) {
    std::printf("%-15s %5u %9.1f %10.1f %10.2f %10.1f %10.2f %9.2f\n", kernel.name.c_str(), kernel.dimension, bytes,
                cache * bytes / 1e9, 1e9 / cache, memory * bytes / 1e9, 1e9 / memory,
                memory * bytes / 1e9 / bandwidth);
    return;
  }
  const nlohmann::ordered_json line = {
      {"kernel", kernel.name},          {"target", index::KernelTargetName()}, {"dimension", kernel.dimension},
      {"bytes_per_vector", bytes},      {"cache_gbs", cache * bytes / 1e9},    {"cache_ns", 1e9 / cache},
      {"memory_gbs", memory * bytes / 1e9}, {"memory_ns", 1e9 / memory},       {"bandwidth_gbs", bandwidth}};
  std::printf("%s\n", line.dump().c_str());
}

}  // namespace

absl::Status RunKernels(const KernelsOptions& options) {
  const size_t in_memory = static_cast<size_t>(options.megabytes) << 20;
  const Buffer buffer(in_memory / Buffer::kHugePage * Buffer::kHugePage + 2 * Buffer::kHugePage);
  if (buffer.data() == nullptr) return absl::ResourceExhaustedError("kernels: no memory for the codes");
  std::vector<Kernel> kernels;
  for (uint32_t dimension : options.dimensions) {
    const std::vector<float> rows = RandomFloats(kSampleRows * dimension);
    for (const char* name : {"f32", "f16", "sq8", "sq4", "rabitq1"}) {
      ASSIGN_OR_RETURN(Kernel kernel, MakeKernel(name, dimension, rows));
      kernels.push_back(std::move(kernel));
    }
    ASSIGN_OR_RETURN(Kernel blocks, MakeBlockKernel(dimension, rows));
    kernels.push_back(std::move(blocks));
  }
  std::vector<double> bandwidths;
  for (uint32_t pass = 0; pass < options.passes; ++pass) {
    bandwidths.push_back(ReadBandwidth(buffer));
    for (Kernel& kernel : kernels) {
      kernel.in_cache.push_back(Measure(kernel, buffer, kCacheBytes, false));
      kernel.in_memory.push_back(Measure(kernel, buffer, in_memory, true));
    }
  }
  const double bandwidth = Median(bandwidths);
  if (!options.json) {
    std::printf("target %s, one thread; reading memory in order: %.1f GB/s\n%-15s %5s %9s %10s %10s %10s %10s %9s\n",
                index::KernelTargetName(), bandwidth, "kernel", "dim", "bytes", "cache GB/s", "ns", "mem. GB/s", "ns",
                "of read");
  }
  for (const Kernel& kernel : kernels) Print(kernel, bandwidth, options.json);
  return absl::OkStatus();
}

}  // namespace larder::tools

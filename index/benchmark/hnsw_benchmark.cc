// Our graph index beside plain hnswlib (-O3 -march=native) over the same rows, by cosine: build
// time, recall@10 and queries a second in alternating passes, snapshot times and memory.
//
//   hnsw_benchmark --base rows.npy --queries queries.npy [--rows N] [--threads T] [--passes P]
//   hnsw_benchmark --dimension D --rows N          (synthetic clusters)
//
// The .npy files hold float16 or float32 in C order. Times are CPU time of the searching thread, so
// that what else runs on the machine counts for little.
#include <time.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "index/benchmark/plain_hnswlib.h"
#include "index/kernels/distance.h"
#include "index/test_vectors.h"
#include "index/vector_index.h"
#include "index/vector_math.h"

namespace larder::index {
namespace {

struct Flags {
  std::string base, queries;
  size_t rows = 0, threads = 1, passes = 5;
  uint32_t dimension = 100;
};

struct Matrix {
  size_t rows = 0;
  uint32_t columns = 0;
  std::vector<float> values;
  absl::Span<const float> Row(size_t i) const { return {values.data() + i * columns, columns}; }
};

[[noreturn]] void Die(const std::string& message) {
  std::fprintf(stderr, "hnsw_benchmark: %s\n", message.c_str());
  std::exit(1);
}

float FromHalf(uint16_t half) {
  const int exponent = half >> 10 & 31, mantissa = half & 1023;
  const float magnitude = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -24)
                                        : std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25);
  return half & 0x8000 ? -magnitude : magnitude;
}

Matrix ReadNpy(const std::string& path, size_t limit) {
  std::ifstream in(path, std::ios::binary);
  char preamble[10];
  if (!in.read(preamble, sizeof(preamble)) || std::memcmp(preamble, "\x93NUMPY\x01", 7) != 0) {
    Die(path + ": not a version 1 .npy file");
  }
  uint16_t header_length = 0;
  std::memcpy(&header_length, preamble + 8, sizeof(header_length));
  std::string header(header_length, ' ');
  in.read(header.data(), header_length);
  Matrix matrix;
  const size_t shape = header.find("'shape': (");
  const bool half = header.find("<f2") != std::string::npos;
  if (shape == std::string::npos || (!half && header.find("<f4") == std::string::npos) ||
      std::sscanf(header.c_str() + shape, "'shape': (%zu, %u)", &matrix.rows, &matrix.columns) != 2) {
    Die(path + ": expected a matrix of float16 or float32");
  }
  if (limit > 0) matrix.rows = std::min(matrix.rows, limit);
  matrix.values.resize(matrix.rows * matrix.columns);
  std::vector<uint16_t> halves(half ? matrix.values.size() : 0);
  if (half) {
    in.read(reinterpret_cast<char*>(halves.data()), halves.size() * sizeof(uint16_t));
    std::transform(halves.begin(), halves.end(), matrix.values.begin(), FromHalf);
  } else {
    in.read(reinterpret_cast<char*>(matrix.values.data()), matrix.values.size() * sizeof(float));
  }
  if (!in) Die(path + ": shorter than its header says");
  return matrix;
}

Matrix Synthetic(size_t rows, uint32_t dimension, uint64_t seed) {
  return {rows, dimension, ClusteredVectors(rows, dimension, seed)};
}

double Seconds(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return now.tv_sec + now.tv_nsec * 1e-9;
}

struct Elapsed {
  double wall = 0, cpu = 0;
};
Elapsed Time(const std::function<void()>& work) {
  const double wall = Seconds(CLOCK_MONOTONIC), cpu = Seconds(CLOCK_PROCESS_CPUTIME_ID);
  work();
  return {Seconds(CLOCK_MONOTONIC) - wall, Seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu};
}

void Parallel(size_t threads, size_t count, const std::function<void(size_t)>& work) {
  std::atomic<size_t> next{0};
  std::vector<std::thread> workers;
  for (size_t t = 0; t < threads; ++t) {
    workers.emplace_back([&] {
      for (size_t i; (i = next.fetch_add(1)) < count;) work(i);
    });
  }
  for (std::thread& worker : workers) worker.join();
}

void Check(const absl::Status& status) {
  if (!status.ok()) Die(status.ToString());
}

constexpr size_t kK = 10;
using Truth = std::vector<std::set<uint64_t>>;
// Puts the k nearest to a query into `labels` and returns their number.
using Searcher = std::function<size_t(absl::Span<const float> query, size_t ef, uint64_t* labels)>;

Truth ExactNeighbours(const Matrix& base, const Matrix& queries, const std::vector<Vid>& vids) {
  auto exact = CreateIndex({.kind = Kind::kFlat, .dimension = base.columns});
  Check(exact.status());
  Check((*exact)->Add(vids, base.values));
  Truth truth(queries.rows);
  for (size_t q = 0; q < queries.rows; ++q) {
    const auto found = (*exact)->Search(queries.Row(q), {.k = kK});
    Check(found.status());
    for (const Neighbor& neighbor : *found) truth[q].insert(neighbor.vid);
  }
  return truth;
}

struct Pass {
  double recall = 0, seconds = 0;
};
Pass RunPass(const Searcher& search, const Matrix& queries, const Truth& truth, size_t ef) {
  uint64_t labels[kK];
  size_t hits = 0;
  std::vector<uint64_t> found;
  const Elapsed elapsed = Time([&] {
    for (size_t q = 0; q < queries.rows; ++q) {
      const size_t count = search(queries.Row(q), ef, labels);
      found.insert(found.end(), labels, labels + count);
      found.resize((q + 1) * kK, ~uint64_t{0});
    }
  });
  for (size_t i = 0; i < found.size(); ++i) hits += truth[i / kK].count(found[i]);
  return {static_cast<double>(hits) / (queries.rows * kK), elapsed.cpu};
}

struct Point {
  double recall, qps;
};
double QpsAt(const std::vector<Point>& curve, double recall) {
  for (size_t i = 1; i < curve.size(); ++i) {
    if (curve[i].recall < recall) continue;
    const Point &a = curve[i - 1], &b = curve[i];
    if (a.recall >= recall) return a.qps;
    return a.qps + (b.qps - a.qps) * (recall - a.recall) / (b.recall - a.recall);
  }
  return 0;
}

void CompareSearches(const Searcher& ours, const Searcher& plain, const Matrix& queries, const Truth& truth,
                     size_t passes) {
  std::vector<Point> our_curve, plain_curve;
  std::printf("%6s %10s %10s %10s %10s %8s\n", "ef", "recall", "qps", "h.recall", "h.qps", "ratio");
  for (size_t ef : {10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768}) {
    std::vector<double> our_seconds, plain_seconds;
    Pass our_pass, plain_pass;
    for (size_t pass = 0; pass < passes; ++pass) {
      our_pass = RunPass(ours, queries, truth, ef);
      plain_pass = RunPass(plain, queries, truth, ef);
      our_seconds.push_back(our_pass.seconds);
      plain_seconds.push_back(plain_pass.seconds);
    }
    std::nth_element(our_seconds.begin(), our_seconds.begin() + passes / 2, our_seconds.end());
    std::nth_element(plain_seconds.begin(), plain_seconds.begin() + passes / 2, plain_seconds.end());
    our_curve.push_back({our_pass.recall, queries.rows / our_seconds[passes / 2]});
    plain_curve.push_back({plain_pass.recall, queries.rows / plain_seconds[passes / 2]});
    std::printf("%6zu %10.4f %10.0f %10.4f %10.0f %8.3f\n", ef, our_pass.recall, our_curve.back().qps,
                plain_pass.recall, plain_curve.back().qps, our_curve.back().qps / plain_curve.back().qps);
    if (our_pass.recall > 0.995 && plain_pass.recall > 0.995) break;
  }
  for (double recall : {0.90, 0.95, 0.99}) {
    const double a = QpsAt(our_curve, recall), b = QpsAt(plain_curve, recall);
    if (a > 0 && b > 0)
      std::printf("recall %.2f: %.0f against %.0f queries a second, ratio %.3f\n", recall, a, b, a / b);
  }
}

void TimeSnapshot(const VectorIndex& index) {
  char path[] = "/tmp/hnsw_benchmark_XXXXXX";
  const int fd = mkstemp(path);
  if (fd < 0) Die("no temporary file");
  const Elapsed save = Time([&] { Check(index.Save(path, "benchmark")); });
  for (int i = 0; i < 3; ++i) {
    const Elapsed load = Time([&] { Check(LoadIndex(path, index.options()).status()); });
    std::printf("snapshot: save %.3f s, load %.3f s (%.3f s of CPU)\n", save.wall, load.wall, load.cpu);
  }
  std::remove(path);
}

void Run(const Flags& flags) {
  Matrix base =
      flags.base.empty() ? Synthetic(flags.rows, flags.dimension, 1) : ReadNpy(flags.base, flags.rows);
  Matrix queries = flags.queries.empty() ? Synthetic(500, base.columns, 2) : ReadNpy(flags.queries, 1000);
  for (Matrix* matrix : {&base, &queries}) {
    for (size_t i = 0; i < matrix->rows; ++i) {
      Canonicalize(matrix->Row(i), Metric::kCosine, matrix->values.data() + i * matrix->columns);
    }
  }
  std::vector<Vid> vids(base.rows);
  for (size_t i = 0; i < base.rows; ++i) vids[i] = i;
  std::printf("%zu rows of %u, %zu queries, %s kernels\n", base.rows, base.columns, queries.rows,
              KernelTargetName());
  const IndexOptions options{.dimension = base.columns};
  auto ours = *CreateIndex(options);
  std::unique_ptr<PlainHnswlib> plain(
      NewPlainHnswlib(base.columns, base.rows, options.m, options.ef_construction));
  // Alternating slices, so that both meet the same machine.
  Elapsed our_build, plain_build;
  constexpr size_t kSlices = 10;
  for (size_t slice = 0; slice < kSlices; ++slice) {
    const size_t begin = base.rows * slice / kSlices, end = base.rows * (slice + 1) / kSlices;
    const Elapsed a = Time([&] {
      Parallel(flags.threads, end - begin,
               [&](size_t i) { Check(ours->Add({vids[begin + i]}, base.Row(begin + i))); });
    });
    const Elapsed b = Time([&] {
      Parallel(flags.threads, end - begin,
               [&](size_t i) { plain->Add(base.Row(begin + i).data(), begin + i); });
    });
    our_build.wall += a.wall, our_build.cpu += a.cpu;
    plain_build.wall += b.wall, plain_build.cpu += b.cpu;
  }
  std::printf("build, %zu threads: %.1f s (%.1f of CPU) against %.1f s (%.1f): ratio %.3f (%.3f of CPU)\n",
              flags.threads, our_build.wall, our_build.cpu, plain_build.wall, plain_build.cpu,
              our_build.wall / plain_build.wall, our_build.cpu / plain_build.cpu);
  std::printf("memory: %.1f bytes a vector, %u of them the vector\n",
              static_cast<double>(ours->Stats().resident_bytes) / base.rows, 4 * base.columns);
  TimeSnapshot(*ours);
  const Searcher search_ours = [&](absl::Span<const float> query, size_t ef, uint64_t* labels) {
    const auto found = ours->Search(query, {.k = kK, .ef = static_cast<uint32_t>(ef)});
    Check(found.status());
    for (size_t i = 0; i < found->size(); ++i) labels[i] = (*found)[i].vid;
    return found->size();
  };
  const Searcher search_plain = [&](absl::Span<const float> query, size_t ef, uint64_t* labels) {
    return plain->Search(query.data(), kK, ef, labels);
  };
  CompareSearches(search_ours, search_plain, queries, ExactNeighbours(base, queries, vids), flags.passes);
}

Flags Parse(int argc, char** argv) {
  Flags flags;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i], value = argv[i + 1];
    if (name == "--base")
      flags.base = value;
    else if (name == "--queries")
      flags.queries = value;
    else if (name == "--rows")
      flags.rows = std::strtoull(value.c_str(), nullptr, 10);
    else if (name == "--threads")
      flags.threads = std::strtoull(value.c_str(), nullptr, 10);
    else if (name == "--passes")
      flags.passes = std::strtoull(value.c_str(), nullptr, 10);
    else if (name == "--dimension")
      flags.dimension = std::strtoul(value.c_str(), nullptr, 10);
    else
      Die("unknown flag " + name);
  }
  if (flags.base.empty() && flags.rows == 0) Die("--base or --rows is needed");
  if (flags.threads == 0 || flags.passes == 0) Die("--threads and --passes are at least 1");
  return flags;
}

}  // namespace
}  // namespace larder::index

int main(int argc, char** argv) {
  larder::index::Run(larder::index::Parse(argc, argv));
  return 0;
}

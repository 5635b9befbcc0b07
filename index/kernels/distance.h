// f32 distances, dispatched at run time to the best instructions of the CPU (Google Highway): a
// generic build is as fast as -march=native. Smaller is closer.
#ifndef LARDER_INDEX_KERNELS_DISTANCE_H_
#define LARDER_INDEX_KERNELS_DISTANCE_H_

#include <cstddef>

namespace larder::index {

// What a kernel computes of (a, b).
enum class DistanceForm {
  kOneMinusDot,  // cosine, over normalised vectors
  kMinusDot,
  kSquaredL2,
};

// No alignment is needed; nothing outside [0, n) of a row is read. Thread-safe.
struct DistanceKernels {
  // One pair. The signature is hnswlib's distance function: `n` points to a size_t.
  using One = float (*)(const void* a, const void* b, const void* n);
  // out[i] = distance(query, rows[i]). A row's result does not depend on its place in the batch, but
  // may differ from One's in the last bits: rank by one of the two, not by both.
  using Batch = void (*)(const float* query, const float* const* rows, size_t count, size_t n, float* out);

  One one = nullptr;
  Batch batch = nullptr;
};

// The kernels for the CPU this runs on (or for the target a test has chosen by
// hwy::SetSupportedTargetsForTest).
DistanceKernels SelectKernels(DistanceForm form);
// "AVX3", "AVX2", "NEON", ...: which SelectKernels takes.
const char* KernelTargetName();

// Fetches a row that a kernel will read soon. Of a long one only the beginning: the CPU's own
// prefetcher follows from there.
inline void PrefetchRow(const float* row, size_t n) {
  constexpr size_t kLine = 64, kMost = 32 * kLine;
  const char* bytes = reinterpret_cast<const char*>(row);
  const size_t end = n * sizeof(float) < kMost ? n * sizeof(float) : kMost;
  for (size_t offset = 0; offset < end; offset += kLine) __builtin_prefetch(bytes + offset);
}

}  // namespace larder::index

#endif  // LARDER_INDEX_KERNELS_DISTANCE_H_

#include <faiss/VectorTransform.h>
#include <faiss/impl/FaissException.h>
#include <faiss/impl/ProductQuantizer.h>
#include <omp.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "index/codes/code_format.h"
#include "index/codes/pq_code.h"

// Weak: another BLAS has none of these.
extern "C" {
__attribute__((weak)) int openblas_get_num_threads();
__attribute__((weak)) void openblas_set_num_threads(int count);
}

namespace larder::index {
namespace {

constexpr size_t kMostRows = 10000;  // as many as FAISS asks for; more changes little and costs much
constexpr int kRotationRounds = 8, kRotationKmeansRounds = 4;

// One thread while it lives: those of OpenMP and OpenBLAS spin while they wait, and stall each other where
// cores are busy (ten times as long, measured). OpenMP's setting is this thread's own, OpenBLAS's the process's.
class OneThread {
 public:
  OneThread() {
    omp_set_num_threads(1);
    if (openblas_set_num_threads != nullptr) openblas_set_num_threads(1);
  }
  ~OneThread() {
    omp_set_num_threads(openmp_);
    if (openblas_set_num_threads != nullptr) openblas_set_num_threads(openblas_);
  }

 private:
  const int openmp_ = omp_get_max_threads();
  const int openblas_ = openblas_get_num_threads != nullptr ? openblas_get_num_threads() : 1;
};

// At most kMostRows rows at even distances, each padded with zeros to `width`.
std::vector<float> Padded(absl::Span<const float> sample, size_t dimension, size_t width) {
  const size_t rows = sample.size() / dimension, taken = std::min(rows, kMostRows);
  std::vector<float> out(taken * width);
  for (size_t i = 0; i < taken; ++i) {
    const float* row = sample.data() + i * rows / taken * dimension;
    std::copy(row, row + dimension, out.begin() + static_cast<ptrdiff_t>(i * width));
  }
  return out;
}

std::vector<float> TrainRotation(const CodeOptions& options, const std::vector<float>& rows) {
  // FAISS wants parts that divide the dimension; the rotation of the next best number of parts serves.
  int parts = static_cast<int>(options.parts);
  while (options.dimension % static_cast<uint32_t>(parts) != 0) --parts;
  const int n = static_cast<int>(options.dimension);
  faiss::OPQMatrix opq(n, parts, n);
  opq.niter = kRotationRounds;
  opq.niter_pq = opq.niter_pq_0 = kRotationKmeansRounds;
  opq.max_train_points = kMostRows;
  opq.train(static_cast<faiss::Index::idx_t>(rows.size() / options.dimension), rows.data());
  return opq.A;
}

}  // namespace

absl::StatusOr<PqCodebook> TrainPqCodebook(const CodeOptions& options, absl::Span<const float> sample) {
  const size_t n = options.dimension, part = PqPartDimension(options), width = part * options.parts;
  const OneThread one;
  PqCodebook book;
  try {
    std::vector<float> rows = Padded(sample, n, n);
    if (options.kind == CodeKind::kOpq) {
      book.rotation = TrainRotation(options, rows);
      faiss::LinearTransform rotation(static_cast<int>(n), static_cast<int>(n), false);
      rotation.A = book.rotation;
      rotation.is_trained = true;
      std::vector<float> rotated(rows.size());
      rotation.apply_noalloc(static_cast<faiss::Index::idx_t>(rows.size() / n), rows.data(), rotated.data());
      rows = std::move(rotated);
    }
    rows = Padded(rows, n, width);
    faiss::ProductQuantizer pq(width, options.parts, 8);
    pq.cp.seed = static_cast<int>(options.seed & 0x7FFFFFFF);
    pq.cp.min_points_per_centroid = 1;  // CheckSample asks for as many rows as centroids
    pq.train(rows.size() / width, rows.data());
    book.centroids.resize(width * 256);
    for (size_t m = 0; m < options.parts; ++m) {
      for (size_t c = 0; c < 256; ++c) {
        const float* centroid = pq.get_centroids(m, c);
        for (size_t i = 0; i < part; ++i) book.centroids[(m * part + i) * 256 + c] = centroid[i];
      }
    }
  } catch (const faiss::FaissException& error) {
    return absl::InternalError(absl::StrCat("training ", CodeName(options), ": ", error.what()));
  }
  return book;
}

}  // namespace larder::index

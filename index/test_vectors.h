// Seeded vectors for the tests of this room.
#ifndef LARDER_INDEX_TEST_VECTORS_H_
#define LARDER_INDEX_TEST_VECTORS_H_

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace larder::index {

// `count` rows around 40 centres that depend on nothing but the dimension, so that rows and queries
// of different seeds fall in the same clusters. Norms differ by a few tens of per cent.
inline std::vector<float> ClusteredVectors(size_t count, uint32_t dimension, uint64_t seed) {
  constexpr size_t kCenters = 40;
  std::mt19937_64 center_random(99), random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> centers(kCenters * dimension);
  for (float& x : centers) x = normal(center_random);
  std::vector<float> rows(count * dimension);
  for (size_t i = 0; i < count; ++i) {
    const float* center = &centers[random() % kCenters * dimension];
    for (uint32_t j = 0; j < dimension; ++j) rows[i * dimension + j] = center[j] + 0.5f * normal(random);
  }
  return rows;
}

}  // namespace larder::index

#endif  // LARDER_INDEX_TEST_VECTORS_H_

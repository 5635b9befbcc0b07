#include "tools/bench/retrieval_scores.h"

#include <algorithm>
#include <cmath>

namespace larder::tools {
namespace {

double GainOf(const Gains& gains, const std::string& document) {
  const auto it = gains.find(document);
  return it == gains.end() ? 0 : std::max(0.0, it->second);
}

}  // namespace

double RecallAt(const std::vector<std::string>& ranked, const Gains& gains, size_t depth) {
  double relevant = 0, found = 0;
  for (const auto& [document, gain] : gains) relevant += gain > 0;
  for (size_t i = 0; i < std::min(depth, ranked.size()); ++i) found += GainOf(gains, ranked[i]) > 0;
  return relevant == 0 ? 0 : found / relevant;
}

double NdcgAt(const std::vector<std::string>& ranked, const Gains& gains, size_t depth) {
  double dcg = 0, ideal_dcg = 0;
  for (size_t i = 0; i < std::min(depth, ranked.size()); ++i) {
    dcg += GainOf(gains, ranked[i]) / std::log2(static_cast<double>(i) + 2);
  }
  std::vector<double> ideal;
  for (const auto& [document, gain] : gains) ideal.push_back(std::max(0.0, gain));
  std::sort(ideal.rbegin(), ideal.rend());
  for (size_t i = 0; i < std::min(depth, ideal.size()); ++i) {
    ideal_dcg += ideal[i] / std::log2(static_cast<double>(i) + 2);
  }
  return ideal_dcg == 0 ? 0 : dcg / ideal_dcg;
}

double ReciprocalRankAt(const std::vector<std::string>& ranked, const Gains& gains, size_t depth) {
  for (size_t i = 0; i < std::min(depth, ranked.size()); ++i) {
    if (GainOf(gains, ranked[i]) > 0) return 1 / (static_cast<double>(i) + 1);
  }
  return 0;
}

}  // namespace larder::tools

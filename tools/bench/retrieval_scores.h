// Recall, nDCG and MRR of ranked documents against graded judgements.
#ifndef LARDER_TOOLS_BENCH_RETRIEVAL_SCORES_H_
#define LARDER_TOOLS_BENCH_RETRIEVAL_SCORES_H_

#include <map>
#include <string>
#include <vector>

namespace larder::tools {

using Gains = std::map<std::string, double>;  // document -> gain; above 0 is relevant

// Of one query, over the first `depth` of `ranked`, whose ids are distinct.
double RecallAt(const std::vector<std::string>& ranked, const Gains& gains, size_t depth);
// Linear gains over log2(rank + 1), as trec_eval's ndcg_cut (Järvelin & Kekäläinen 2002).
double NdcgAt(const std::vector<std::string>& ranked, const Gains& gains, size_t depth);
double ReciprocalRankAt(const std::vector<std::string>& ranked, const Gains& gains, size_t depth);

}  // namespace larder::tools

#endif  // LARDER_TOOLS_BENCH_RETRIEVAL_SCORES_H_

// What the crash test's child tells its parent: every operation before it starts and after it was
// acknowledged. Written with one write(2) a line to a file, so that a kill -9 of the child loses
// nothing that it had said.
#ifndef LARDER_TESTS_SUPPORT_CRASH_LOG_H_
#define LARDER_TESTS_SUPPORT_CRASH_LOG_H_

#include <cstdint>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace larder::testing {

inline constexpr int64_t kDeleted = -1;

// The states that an id may be in after a crash: what was acknowledged last, or anything that was
// begun after it. A state is the value of the document's metadata field "value", or kDeleted.
struct PossibleStates {
  int64_t acknowledged = kDeleted;
  std::set<int64_t> maybe;
  bool Allows(int64_t state) const { return state == acknowledged || maybe.count(state) > 0; }
};

// Lines: "begin ID STATE", "ack ID STATE"; those of one id are in order. Returns how many acks.
inline uint64_t ApplyCrashLog(const std::string& path, std::map<std::string, PossibleStates>* states) {
  std::ifstream in(path);
  std::string line;
  uint64_t acks = 0;
  while (std::getline(in, line)) {
    std::istringstream words(line);
    std::string verb, id;
    int64_t state = 0;
    if (!(words >> verb >> id >> state)) continue;  // the last line may be torn
    PossibleStates& possible = (*states)[id];
    if (verb == "begin") {
      possible.maybe.insert(state);
    } else {
      possible = {state, {}};
      ++acks;
    }
  }
  return acks;
}

}  // namespace larder::testing

#endif  // LARDER_TESTS_SUPPORT_CRASH_LOG_H_

#include "tools/bench/process_memory.h"

#include <fstream>
#include <string>

namespace larder::tools {
namespace {

double StatusField(const std::string& name) {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    double kib = 0;
    if (word == name && status >> kib) return kib / 1024;
  }
  return 0;
}

}  // namespace

double ResidentMb() { return StatusField("VmRSS:"); }
double PeakResidentMb() { return StatusField("VmHWM:"); }
void ResetPeak() { std::ofstream("/proc/self/clear_refs") << "5"; }

}  // namespace larder::tools

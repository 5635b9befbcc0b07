// This process's resident memory, as Linux counts it.
#ifndef LARDER_TOOLS_BENCH_PROCESS_MEMORY_H_
#define LARDER_TOOLS_BENCH_PROCESS_MEMORY_H_

namespace larder::tools {

double ResidentMb();      // VmRSS
double PeakResidentMb();  // VmHWM: since the start, or since ResetPeak
void ResetPeak();         // where the kernel allows it

}  // namespace larder::tools

#endif  // LARDER_TOOLS_BENCH_PROCESS_MEMORY_H_

#include "index/kernels/distance.h"

#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "index/kernels/distance.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h, which includes this file once per target.
#include "index/kernels/distance-inl.h"

#if HWY_ONCE
namespace larder::index {

HWY_EXPORT(KernelsOfTarget);
HWY_EXPORT(NameOfTarget);

DistanceKernels SelectKernels(DistanceForm form) { return HWY_DYNAMIC_DISPATCH(KernelsOfTarget)(form); }

const char* KernelTargetName() { return HWY_DYNAMIC_DISPATCH(NameOfTarget)(); }

}  // namespace larder::index
#endif  // HWY_ONCE

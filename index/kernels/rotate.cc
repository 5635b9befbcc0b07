#include "index/kernels/rotate.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "index/kernels/rotate.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h, which includes this file once per target.
#include "index/kernels/rotate-inl.h"

#if HWY_ONCE
namespace larder::index {

HWY_EXPORT(RotateKernelsOfTarget);

RotateKernels SelectRotateKernels() { return HWY_DYNAMIC_DISPATCH(RotateKernelsOfTarget)(); }

}  // namespace larder::index
#endif  // HWY_ONCE

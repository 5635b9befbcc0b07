#include "index/kernels/bit_codes.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "index/kernels/bit_codes.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h, which includes this file once per target.
#include "index/kernels/bit_codes-inl.h"

#if HWY_ONCE
namespace larder::index {

HWY_EXPORT(BitKernelsOfTarget);

BitKernels SelectBitKernels() { return HWY_DYNAMIC_DISPATCH(BitKernelsOfTarget)(); }

}  // namespace larder::index
#endif  // HWY_ONCE

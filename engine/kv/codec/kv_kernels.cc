#include "engine/kv/codec/kv_kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kv/codec/kv_kernels.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h, which includes this file once per target.
#include "engine/kv/codec/angles-inl.h"
#include "engine/kv/codec/codes-inl.h"
#include "engine/kv/codec/place-inl.h"

HWY_BEFORE_NAMESPACE();
namespace larder::kv::HWY_NAMESPACE {

KvKernels KernelsOfTarget() {
  KvKernels kernels;
  kernels.widen[0] = &WidenRow<KvDtype::kF32>;
  kernels.widen[1] = &WidenRow<KvDtype::kF16>;
  kernels.widen[2] = &WidenRow<KvDtype::kBf16>;
  SetPlaces<KvDtype::kF32>(kernels.place[0]);
  SetPlaces<KvDtype::kF16>(kernels.place[1]);
  SetPlaces<KvDtype::kBf16>(kernels.place[2]);
  kernels.angles = &Angles;
  kernels.codes8 = CodesOf<8>();
  kernels.codes4 = CodesOf<4>();
  kernels.codes2 = CodesOf<2>();
  return kernels;
}

}  // namespace larder::kv::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace larder::kv {

HWY_EXPORT(KernelsOfTarget);

KvKernels SelectKvKernels() { return HWY_DYNAMIC_DISPATCH(KernelsOfTarget)(); }

}  // namespace larder::kv
#endif  // HWY_ONCE

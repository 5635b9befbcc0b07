// Rows of a payload as f32, one token at a time: the part of decoding that differs from codec to codec.
#ifndef LARDER_ENGINE_KV_CODEC_ROW_READER_H_
#define LARDER_ENGINE_KV_CODEC_ROW_READER_H_

#include <cstdint>
#include <memory>

#include "engine/kv/codec/codec_kind.h"
#include "engine/kv/codec/kv_kernels.h"
#include "engine/kv/codec/payload.h"
#include "larder/kv_codec.h"

namespace larder::kv {

// Not thread-safe: holds two rows, so that the next can be read before the last is used. What was just written
// number by number (outliers) is slow to load as a vector.
class RowReader {
 public:
  virtual ~RowReader() = default;
  // The row's heads from first_head on, kRowSlack readable floats behind them; until the next call but one.
  virtual const float* Read(uint32_t token) = 0;
};

// Of a payload that was checked. May throw std::bad_alloc.
std::unique_ptr<RowReader> MakeRawReader(const KvTensorShape& shape, const char* payload, uint32_t first_head,
                                         uint32_t heads, const KvKernels& kernels);

std::unique_ptr<RowReader> MakeCodeReader(const PayloadHeader& header, const char* payload, uint32_t first_head,
                                          uint32_t heads, const KvKernels& kernels);

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_CODEC_ROW_READER_H_

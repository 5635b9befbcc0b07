/* The codec of KV tensors for other languages: liblarder_kv.so, which needs neither a server nor the engine. The
 * structures are those of <larder/kv_codec.h>, where they are explained. Thread-safe; nothing is kept between calls.
 *
 * Every function returns 0, or a status code of Abseil's numbering (3 = invalid argument, 8 = out of memory,
 * 11 = the caller's buffer is too small, 15 = a damaged payload) and writes the reason, cut to error_bytes and
 * ended by NUL, to `error` (may be null if error_bytes is 0). */
#ifndef LARDER_KV_CODEC_C_H_
#define LARDER_KV_CODEC_C_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct larder_kv_shape {
  uint32_t tokens, heads, dim;
  uint32_t dtype; /* 0 = f32, 1 = f16, 2 = bf16 */
} larder_kv_shape;

typedef struct larder_kv_rope {
  uint32_t style; /* 1 = neox (halves), 2 = interleaved */
  uint32_t rotary_dim;
  const double* frequencies; /* rotary_dim / 2 effective inverse frequencies */
  int64_t position;          /* of token 0; with `move`, what every token moves by */
  uint32_t move;             /* 0 or 1 */
} larder_kv_rope;

/* Zeros: everything. token_list: null, or `listed` token numbers instead of the range. */
typedef struct larder_kv_selection {
  uint32_t first_token, tokens, first_head, heads;
  const uint32_t* token_list;
  uint64_t listed;
} larder_kv_selection;

/* Strides of 0: one tensor of the selected rows. block_table: null, or `blocks` block numbers. */
typedef struct larder_kv_target {
  void* data;
  uint64_t bytes;
  uint32_t dtype, first_slot;
  uint64_t token_stride, head_stride;
  const uint32_t* block_table;
  uint64_t blocks, block_stride;
  uint32_t block_tokens;
} larder_kv_target;

/* side: 0 = keys, 1 = values. unrotate: null, or how the keys are rotated (without `move`), to be undone.
 * saliency: null, or a number a token. payload: null to learn the size; *payload_bytes: room, then the size. */
int larder_kv_encode(const char* codec, uint32_t side, const larder_kv_shape* shape, const void* tensor,
                     uint64_t tensor_bytes, const larder_kv_rope* unrotate, const float* saliency, void* payload,
                     uint64_t* payload_bytes, char* error, uint64_t error_bytes);

/* selection, rope: may be null. codec "raw" rotates a plain tensor. */
int larder_kv_decode(const char* codec, uint32_t side, const larder_kv_shape* shape, const void* payload,
                     uint64_t payload_bytes, const larder_kv_selection* selection, const larder_kv_rope* rope,
                     const larder_kv_target* target, char* error, uint64_t error_bytes);

/* What the payload declares to have lost. */
int larder_kv_payload_error(const char* codec, uint32_t side, const larder_kv_shape* shape, const void* payload,
                            uint64_t payload_bytes, float* max_abs, float* rms, char* error, uint64_t error_bytes);

#ifdef __cplusplus
}
#endif

#endif  /* LARDER_KV_CODEC_C_H_ */

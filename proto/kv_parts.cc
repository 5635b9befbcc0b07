#include "proto/kv_parts.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

bool SplitTensor(uint32_t layer, v1::KvPart::Tensor tensor, absl::string_view bytes,
                 const std::function<bool(v1::KvPart)>& send) {
  size_t offset = 0;
  do {  // a tensor without bytes is one part as well
    const absl::string_view piece = bytes.substr(offset, kKvPartBytes);
    v1::KvPart part;
    part.set_layer(layer);
    part.set_tensor(tensor);
    part.set_offset(offset);
    part.set_total_bytes(bytes.size());
    part.set_data(piece.data(), piece.size());
    if (!send(std::move(part))) return false;
    offset += piece.size();
  } while (offset < bytes.size());
  return true;
}

std::string Where(const v1::KvPart& part) {
  const char* tensor = part.tensor() == v1::KvPart::TENSOR_K   ? " K"
                       : part.tensor() == v1::KvPart::TENSOR_V ? " V"
                                                               : " ?";
  return absl::StrCat("KV part of layer ", part.layer(), tensor, " at offset ", part.offset());
}

}  // namespace

bool SplitLayer(uint32_t layer, absl::string_view k, absl::string_view v,
                const std::function<bool(v1::KvPart)>& send) {
  return SplitTensor(layer, v1::KvPart::TENSOR_K, k, send) &&
         SplitTensor(layer, v1::KvPart::TENSOR_V, v, send);
}

absl::Status LayerAssembler::Add(const v1::KvPart& part) {
  if (!started_) {
    RETURN_IF_ERROR(Start(part));
  } else if (part.layer() != layer_.layer) {
    return absl::InvalidArgumentError(
        absl::StrCat(Where(part), ": expected layer ", layer_.layer, ", which is not complete"));
  } else if (part.tensor() == v1::KvPart::TENSOR_V && !v_started_) {
    RETURN_IF_ERROR(StartV(part));
  }
  return Append(part);
}

absl::Status LayerAssembler::Start(const v1::KvPart& part) {
  if (part.tensor() != v1::KvPart::TENSOR_K) {
    return absl::InvalidArgumentError(absl::StrCat(Where(part), ": a layer starts with K"));
  }
  if (part.total_bytes() > max_bytes_) {
    return absl::ResourceExhaustedError(absl::StrCat(Where(part), ": a tensor of ", part.total_bytes(),
                                                     " bytes, at most ", max_bytes_, " are taken"));
  }
  started_ = true;
  layer_.layer = part.layer();
  k_total_ = part.total_bytes();
  return absl::OkStatus();
}

absl::Status LayerAssembler::StartV(const v1::KvPart& part) {
  if (layer_.k.size() != k_total_) {
    return absl::InvalidArgumentError(
        absl::StrCat(Where(part), ": K has ", layer_.k.size(), " of its ", k_total_, " bytes"));
  }
  if (part.total_bytes() > max_bytes_ - k_total_) {
    return absl::ResourceExhaustedError(absl::StrCat(Where(part), ": a layer of ", k_total_, " and ",
                                                     part.total_bytes(), " bytes, at most ", max_bytes_,
                                                     " are taken"));
  }
  v_started_ = true;
  v_total_ = part.total_bytes();
  return absl::OkStatus();
}

absl::Status LayerAssembler::Append(const v1::KvPart& part) {
  const v1::KvPart::Tensor expected = v_started_ ? v1::KvPart::TENSOR_V : v1::KvPart::TENSOR_K;
  std::string& bytes = v_started_ ? layer_.v : layer_.k;
  const uint64_t total = v_started_ ? v_total_ : k_total_;
  if (part.tensor() != expected) {
    return absl::InvalidArgumentError(absl::StrCat(Where(part), ": expected ", v_started_ ? "V" : "K or V"));
  }
  if (part.offset() != bytes.size() || part.total_bytes() != total) {
    return absl::InvalidArgumentError(absl::StrCat(Where(part), " of ", part.total_bytes(),
                                                   " bytes: expected offset ", bytes.size(), " of ", total));
  }
  const uint64_t room = total - bytes.size();
  if (part.data().size() > room || (part.data().empty() && room > 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat(Where(part), ": ", part.data().size(), " bytes, expected 1 to ", room));
  }
  // A double-sized string now and then would copy a tensor of megabytes several times.
  if (bytes.empty()) bytes.reserve(std::min<uint64_t>(total, 16 * kKvPartBytes));
  bytes += part.data();
  return absl::OkStatus();
}

KvLayer LayerAssembler::Take() {
  started_ = v_started_ = false;
  k_total_ = v_total_ = 0;
  return std::exchange(layer_, KvLayer());
}

}  // namespace larder

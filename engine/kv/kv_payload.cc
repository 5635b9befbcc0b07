#include "engine/kv/kv_payload.h"

#include <algorithm>
#include <cstddef>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/status_macros.h"

namespace larder::kv {
namespace {

absl::string_view DtypeName(KvDtype dtype) {
  constexpr absl::string_view kNames[] = {"f32", "f16", "bf16"};
  const auto index = static_cast<size_t>(dtype);
  return index < std::size(kNames) ? kNames[index] : "unknown";
}

absl::Status WrongForm(absl::string_view field, const std::string& found, const std::string& expected) {
  return absl::InvalidArgumentError(
      absl::StrCat("kv put: ", field, " of the tensors is ", found, ", expected ", expected));
}

// Makes `count` explicit; `what` names it.
absl::Status CheckRange(absl::string_view what, uint32_t first, uint32_t* count, uint32_t all) {
  const uint64_t end = *count == 0 ? all : uint64_t{first} + *count;
  if (first >= all || end > all) {
    return absl::InvalidArgumentError(absl::StrCat("kv read: ", what, " ", first, " to ",
                                                   std::max<uint64_t>(end, first + uint64_t{1}) - 1,
                                                   ", expected within 0 to ", all - 1));
  }
  *count = static_cast<uint32_t>(end - first);
  return absl::OkStatus();
}

absl::Status Resize(uint64_t bytes, std::string* buffer) {
  try {
    buffer->resize(bytes);
    return absl::OkStatus();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(absl::StrCat("kv read: no memory for ", bytes, " bytes"));
  }
}

}  // namespace

KvTensorShape ShapeOf(const KvProfile& profile, uint32_t tokens) {
  return {.tokens = tokens, .heads = profile.kv_heads, .dim = profile.head_dim, .dtype = profile.dtype};
}

absl::Status CheckForm(const KvForm& form, const KvProfile& profile, size_t tokens) {
  if (form.dtype != profile.dtype) {
    return WrongForm("dtype", std::string(DtypeName(form.dtype)), std::string(DtypeName(profile.dtype)));
  }
  const std::pair<absl::string_view, std::pair<uint64_t, uint64_t>> fields[] = {
      {"tokens", {form.tokens, tokens}},
      {"kv_heads", {form.kv_heads, profile.kv_heads}},
      {"head_dim", {form.head_dim, profile.head_dim}}};
  for (const auto& [name, values] : fields) {
    if (values.first != values.second) {
      return WrongForm(name, absl::StrCat(values.first), absl::StrCat(values.second));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<LayerEncoder> LayerEncoder::Make(const KvProfile& profile, uint32_t tokens,
                                                std::optional<uint32_t> rotated_from) {
  LayerEncoder encoder;
  encoder.codec_ = profile.codec;
  encoder.shape_ = ShapeOf(profile, tokens);
  if (profile.rope_style == RopeStyle::kNone) {
    if (!rotated_from.has_value()) return encoder;
    return absl::InvalidArgumentError(
        absl::StrCat("kv put: rotated_from is ", *rotated_from, ", expected none: the profile has no RoPE"));
  }
  if (!profile.k_before_rope && !rotated_from.has_value()) {
    return absl::InvalidArgumentError(
        "kv put: rotated_from is missing: the profile keeps K rotated, as it is given (k_before_rope false)");
  }
  if (!profile.k_before_rope) {
    encoder.kept_rotated_ = rotated_from;
    return encoder;
  }
  encoder.unrotate_from_ = rotated_from;
  if (rotated_from.has_value()) {
    ASSIGN_OR_RETURN(encoder.rope_, RopeOf(profile));
  }
  return encoder;
}

absl::StatusOr<absl::string_view> LayerEncoder::Encode(KvSide side, absl::string_view tensor,
                                                       absl::Span<const float> saliency,
                                                       std::string* buffer) const {
  const bool unrotate = side == KvSide::kKey && unrotate_from_.has_value();
  if (codec_ == "raw" && !unrotate) return tensor;
  KvEncoding encoding;
  encoding.saliency = saliency;
  if (unrotate) {
    encoding.rope = &rope_;
    encoding.unrotate_from = *unrotate_from_;
  }
  ASSIGN_OR_RETURN(*buffer, EncodeKv(codec_, side, shape_, tensor, encoding));
  return *buffer;
}

absl::StatusOr<LayerDecoder> LayerDecoder::Make(const KvProfile& profile, const EntryHeader& header,
                                                const KvReadRequest& request) {
  LayerDecoder decoder;
  decoder.codec_ = header.codec;
  decoder.shape_ = ShapeOf(profile, header.token_count);
  decoder.encoded_ = request.encoded;
  const bool whole = request.first_token == 0 && request.tokens == 0 && request.token_list.empty() &&
                     request.first_head == 0 && request.heads == 0;
  if (request.encoded) {
    if (whole && !request.rotate_to.has_value()) return decoder;
    return absl::InvalidArgumentError(
        "kv read: encoded payloads are whole: found a range of tokens or heads, or a rotation");
  }
  RETURN_IF_ERROR(decoder.Select(request));
  if (request.rotate_to.has_value() && profile.rope_style != RopeStyle::kNone) {
    RETURN_IF_ERROR(decoder.Rotate(profile, header, *request.rotate_to));
  }
  return decoder;
}

absl::Status LayerDecoder::Select(const KvReadRequest& request) {
  selection_.first_token = request.first_token;
  selection_.tokens = request.tokens;
  selection_.first_head = request.first_head;
  selection_.heads = request.heads;
  RETURN_IF_ERROR(CheckRange("heads", request.first_head, &selection_.heads, shape_.heads));
  RETURN_IF_ERROR(CheckRange("tokens", request.first_token, &selection_.tokens, shape_.tokens));
  if (request.token_list.empty()) return absl::OkStatus();
  if (request.first_token != 0 || request.tokens != 0) {
    return absl::InvalidArgumentError("kv read: found a range of tokens and a list of them, expected one");
  }
  const std::vector<uint32_t>& list = request.token_list;
  for (size_t i = 0; i < list.size(); ++i) {
    if (list[i] >= shape_.tokens || (i > 0 && list[i] <= list[i - 1])) {
      return absl::InvalidArgumentError(absl::StrCat("kv read: token_list[", i, "] is ", list[i],
                                                     ", expected ascending numbers below ", shape_.tokens));
    }
  }
  token_list_ = list;
  return absl::OkStatus();
}

absl::Status LayerDecoder::Rotate(const KvProfile& profile, const EntryHeader& header, uint32_t rotate_to) {
  ASSIGN_OR_RETURN(const KvRope rope, RopeOf(profile));
  if (header.rotated_from.has_value()) {
    if (rotate_to == *header.rotated_from) return absl::OkStatus();  // bit for bit as it was given
    ASSIGN_OR_RETURN(rotation_, RopeTable::By(rope, int64_t{rotate_to} - *header.rotated_from));
    return absl::OkStatus();
  }
  const uint32_t first = token_list_.empty() ? selection_.first_token : token_list_.front();
  const uint32_t end =
      token_list_.empty() ? selection_.first_token + selection_.tokens : token_list_.back() + 1;
  ASSIGN_OR_RETURN(rotation_, RopeTable::At(rope, rotate_to, first, end - first));
  return absl::OkStatus();
}

bool LayerDecoder::AsKept(KvSide side) const {
  if (encoded_) return true;
  return codec_ == "raw" && token_list_.empty() && selection_.tokens == shape_.tokens &&
         selection_.heads == shape_.heads && (side == KvSide::kValue || !rotation_.has_value());
}

absl::Status LayerDecoder::Decode(KvSide side, std::string* payload) {
  if (AsKept(side)) return CheckKvPayload(codec_, side, shape_, *payload);
  const uint64_t tokens = token_list_.empty() ? selection_.tokens : token_list_.size();
  RETURN_IF_ERROR(Resize(tokens * selection_.heads * shape_.dim * shape_.ElementBytes(), &scratch_));
  const KvTarget target = ContiguousTarget({reinterpret_cast<std::byte*>(scratch_.data()), scratch_.size()},
                                           shape_.dtype, selection_.heads, shape_.dim);
  KvSelection selection = selection_;
  if (!token_list_.empty()) {
    selection.first_token = selection.tokens = 0;
    selection.token_list = token_list_;
  }
  const RopeTable* rotation = side == KvSide::kKey && rotation_.has_value() ? &*rotation_ : nullptr;
  RETURN_IF_ERROR(DecodeKv(codec_, side, shape_, *payload, selection, rotation, target));
  payload->swap(scratch_);
  return absl::OkStatus();
}

}  // namespace larder::kv

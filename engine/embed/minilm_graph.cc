#include "engine/embed/minilm_graph.h"

#include <openvino/core/model.hpp>
#include <openvino/op/add.hpp>
#include <openvino/op/constant.hpp>
#include <openvino/op/gather.hpp>
#include <openvino/op/gelu.hpp>
#include <openvino/op/matmul.hpp>
#include <openvino/op/multiply.hpp>
#include <openvino/op/mvn.hpp>
#include <openvino/op/parameter.hpp>
#include <openvino/op/reshape.hpp>
#include <openvino/op/result.hpp>
#include <openvino/op/scaled_dot_product_attention.hpp>
#include <openvino/op/shape_of.hpp>
#include <openvino/op/slice.hpp>
#include <openvino/op/transpose.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace larder {
namespace {

namespace op = ov::op;
using Output = ov::Output<ov::Node>;

constexpr int64_t kHidden = kMiniLmDimension;
constexpr int64_t kHeads = 12;
constexpr int64_t kFeedForward = 1536;
constexpr int kLayers = 6;
constexpr int64_t kPositions = 512;
constexpr float kEpsilon = 1e-12f;

Output Integers(std::vector<int64_t> values) {
  return op::v0::Constant::create(ov::element::i64, ov::Shape{values.size()}, values);
}

class GraphBuilder {
 public:
  explicit GraphBuilder(const SafetensorsFile& weights) : weights_(weights) {}

  absl::StatusOr<std::shared_ptr<ov::Model>> Build() {
    const auto ids = std::make_shared<op::v0::Parameter>(ov::element::i32, ov::PartialShape{-1, -1});
    const auto mask = std::make_shared<op::v0::Parameter>(ov::element::f32, ov::PartialShape{-1, 1, 1, -1});
    mask_ = mask;
    Output x = Embeddings(ids);
    for (int layer = 0; layer < kLayers && status_.ok(); ++layer) {
      x = Layer(x, absl::StrCat("encoder.layer.", layer, "."));
    }
    if (!status_.ok()) return status_;
    return std::make_shared<ov::Model>(ov::ResultVector{std::make_shared<op::v0::Result>(x)},
                                       ov::ParameterVector{ids, mask}, "minilm");
  }

 private:
  // A view of the mapped file. After a fault an empty constant, and status_ says which.
  std::shared_ptr<op::v0::Constant> Weight(const std::string& name, const std::vector<uint64_t>& shape) {
    const TensorView* tensor = weights_.Find(name);
    if (tensor == nullptr || tensor->dtype != "F32" || tensor->shape != shape) {
      status_.Update(absl::DataLossError(absl::StrCat(
          "weights: expected ", name, " F32[", absl::StrJoin(shape, ","), "], found ",
          tensor == nullptr ? "none"
                            : absl::StrCat(tensor->dtype, "[", absl::StrJoin(tensor->shape, ","), "]"))));
      return op::v0::Constant::create(ov::element::f32, ov::Shape{shape.begin(), shape.end()}, {0.0f});
    }
    const ov::Tensor view(ov::element::f32, ov::Shape{shape.begin(), shape.end()},
                          const_cast<char*>(tensor->data.data()));
    return std::make_shared<op::v0::Constant>(view);
  }

  Output Dense(const Output& x, const std::string& name, uint64_t in, uint64_t out) {
    const auto product =
        std::make_shared<op::v0::MatMul>(x, Weight(name + ".weight", {out, in}), false, true);
    return std::make_shared<op::v1::Add>(product, Weight(name + ".bias", {out}));
  }

  Output LayerNorm(const Output& x, const std::string& name) {
    const auto normal =
        std::make_shared<op::v6::MVN>(x, Integers({-1}), true, kEpsilon, op::MVNEpsMode::INSIDE_SQRT);
    const auto scaled = std::make_shared<op::v1::Multiply>(normal, Weight(name + ".weight", {kHidden}));
    return std::make_shared<op::v1::Add>(scaled, Weight(name + ".bias", {kHidden}));
  }

  Output Embeddings(const Output& ids) {
    const Output axis = op::v0::Constant::create(ov::element::i64, ov::Shape{}, {0});
    const auto words = std::make_shared<op::v8::Gather>(
        Weight("embeddings.word_embeddings.weight", {kMiniLmVocabulary, kHidden}), ids, axis);
    const auto length =
        std::make_shared<op::v8::Gather>(std::make_shared<op::v3::ShapeOf>(ids), Integers({1}), axis);
    const auto positions =
        std::make_shared<op::v8::Slice>(PositionTable(), Integers({0}), length, Integers({1}), Integers({0}));
    return LayerNorm(std::make_shared<op::v1::Add>(words, positions), "embeddings.LayerNorm");
  }

  // Every token is of type 0, whose row is added to the positions' here and now.
  Output PositionTable() {
    const auto types = Weight("embeddings.token_type_embeddings.weight", {2, kHidden})->cast_vector<float>();
    auto table = Weight("embeddings.position_embeddings.weight", {kPositions, kHidden})->cast_vector<float>();
    for (size_t i = 0; i < table.size(); ++i) table[i] += types[i % kHidden];
    return op::v0::Constant::create(ov::element::f32, ov::Shape{kPositions, kHidden}, table);
  }

  // [batch, length, hidden] to [batch, heads, length, hidden / heads].
  Output SplitHeads(const Output& x) {
    const auto split = std::make_shared<op::v1::Reshape>(x, Integers({0, 0, kHeads, kHidden / kHeads}), true);
    return std::make_shared<op::v1::Transpose>(split, Integers({0, 2, 1, 3}));
  }

  Output Attention(const Output& x, const std::string& name) {
    const Output query = SplitHeads(Dense(x, name + "self.query", kHidden, kHidden));
    const Output key = SplitHeads(Dense(x, name + "self.key", kHidden, kHidden));
    const Output value = SplitHeads(Dense(x, name + "self.value", kHidden, kHidden));
    const auto attended =
        std::make_shared<op::v13::ScaledDotProductAttention>(query, key, value, mask_, /*causal=*/false);
    const auto rows = std::make_shared<op::v1::Transpose>(attended, Integers({0, 2, 1, 3}));
    const auto joined = std::make_shared<op::v1::Reshape>(rows, Integers({0, 0, kHidden}), true);
    return Dense(joined, name + "output.dense", kHidden, kHidden);
  }

  Output Layer(const Output& x, const std::string& name) {
    const Output attended = LayerNorm(std::make_shared<op::v1::Add>(Attention(x, name + "attention."), x),
                                      name + "attention.output.LayerNorm");
    const auto wide = std::make_shared<op::v7::Gelu>(
        Dense(attended, name + "intermediate.dense", kHidden, kFeedForward), op::GeluApproximationMode::ERF);
    const Output narrow = Dense(wide, name + "output.dense", kFeedForward, kHidden);
    return LayerNorm(std::make_shared<op::v1::Add>(narrow, attended), name + "output.LayerNorm");
  }

  const SafetensorsFile& weights_;
  Output mask_;
  absl::Status status_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<ov::Model>> BuildMiniLmGraph(const SafetensorsFile& weights) {
  try {
    return GraphBuilder(weights).Build();
  } catch (const std::exception& e) {
    return absl::InternalError(absl::StrCat("building MiniLM's graph: ", e.what()));
  }
}

}  // namespace larder

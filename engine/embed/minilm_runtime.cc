#include "engine/embed/minilm_runtime.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <openvino/runtime/core.hpp>
#include <openvino/runtime/infer_request.hpp>
#include <openvino/runtime/properties.hpp>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "engine/embed/minilm_graph.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

struct Workforce {
  int threads = 1;  // OpenVINO's
  int workers = 1;  // ours, each with a stream of OpenVINO's
};

Workforce CountProcessors() {
  const int threads = std::max(1u, std::thread::hardware_concurrency());
  return {threads, std::max(1, threads / 2)};
}

absl::StatusOr<ov::CompiledModel> Compile(ov::Core& core, const std::shared_ptr<ov::Model>& graph,
                                          Precision precision, const Workforce& workforce) {
  try {
    return core.compile_model(
        graph, "CPU",
        {ov::hint::inference_precision(precision == Precision::kBf16 ? ov::element::bf16 : ov::element::f32),
         ov::num_streams(workforce.workers), ov::inference_num_threads(workforce.threads),
         ov::hint::enable_cpu_pinning(false)});  // the processors are shared with the database
  } catch (const std::exception& e) {
    return absl::InternalError(absl::StrCat("OpenVINO, compiling MiniLM: ", e.what()));
  }
}

// The mean of `tokens` rows, scaled to length 1: the division by their number drops out. False if
// that is not a direction.
bool WriteUnitVector(const float* row, size_t tokens, float* to) {
  std::fill_n(to, kMiniLmDimension, 0.0f);
  for (; tokens > 0; --tokens, row += kMiniLmDimension) {
    for (size_t i = 0; i < kMiniLmDimension; ++i) to[i] += row[i];
  }
  double sum = 0;
  for (size_t i = 0; i < kMiniLmDimension; ++i) sum += double{to[i]} * to[i];
  if (!std::isfinite(sum) || sum <= 0) return false;
  const double scale = 1 / std::sqrt(sum);
  for (size_t i = 0; i < kMiniLmDimension; ++i) to[i] = static_cast<float>(to[i] * scale);
  return true;
}

class Runtime : public MiniLmRuntime {
 public:
  Runtime(SafetensorsFile weights, ov::CompiledModel model)
      : weights_(std::move(weights)), model_(std::move(model)) {}

  ~Runtime() override {
    {
      absl::MutexLock lock(&mutex_);
      stopping_ = true;
    }
    for (std::thread& worker : workers_) worker.join();
  }

  absl::Status Start(int workers) {
    try {
      for (int i = 0; i < workers; ++i) {
        workers_.emplace_back([this, request = model_.create_infer_request()]() mutable { Work(request); });
      }
    } catch (const std::exception& e) {
      return absl::InternalError(absl::StrCat("OpenVINO, starting MiniLM: ", e.what()));
    }
    return absl::OkStatus();
  }

  // A short and a long text: the first query need not wait while the weights are rearranged, and the
  // file's copy of them, which is not needed again, leaves memory.
  absl::Status WarmUp() {
    const std::vector<std::vector<int32_t>> texts = {std::vector<int32_t>(2 * kLengthStep, 1),
                                                     std::vector<int32_t>(kMiniLmWindow, 1)};
    const std::vector<size_t> lengths = {texts[0].size(), texts[1].size()};
    std::vector<float> vectors(texts.size() * kMiniLmDimension);
    RETURN_IF_ERROR(Run(texts, PlanBatches(lengths, 1), vectors.data()));
    weights_.DropPages();
    return absl::OkStatus();
  }

  absl::Status Run(absl::Span<const std::vector<int32_t>> texts, absl::Span<const Batch> batches,
                   float* vectors) override ABSL_LOCKS_EXCLUDED(mutex_) {
    if (batches.empty()) return absl::OkStatus();
    Call call{texts, batches, vectors, 0, batches.size(), absl::OkStatus()};
    absl::MutexLock lock(&mutex_);
    calls_.push_back(&call);
    mutex_.Await(absl::Condition(
        +[](Call* waiting) { return waiting->unfinished == 0; }, &call));
    return call.status;
  }

 private:
  // Lives on its caller's stack. Guarded by mutex_ but for the inputs and vectors.
  struct Call {
    absl::Span<const std::vector<int32_t>> texts;
    absl::Span<const Batch> batches;
    float* vectors;
    size_t next;        // the first batch that nobody took
    size_t unfinished;  // the caller returns at 0
    absl::Status status;
  };

  bool HasWork() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return stopping_ || !calls_.empty(); }

  void Work(ov::InferRequest& request) {
    for (;;) {
      Call* call = nullptr;
      size_t batch = 0;
      {
        absl::MutexLock lock(&mutex_);
        mutex_.Await(absl::Condition(this, &Runtime::HasWork));
        if (stopping_) return;
        call = calls_.front();
        calls_.pop_front();
        batch = call->next++;
        if (call->next < call->batches.size()) calls_.push_back(call);
      }
      const absl::Status status = Infer(request, *call, call->batches[batch]);
      absl::MutexLock lock(&mutex_);
      call->status.Update(status);
      --call->unfinished;
    }
  }

  static absl::Status Infer(ov::InferRequest& request, const Call& call, const Batch& batch) {
    try {
      SetInputs(request, call, batch);
      request.infer();
      const ov::Tensor output = request.get_output_tensor();
      const float* rows = output.data<float>();
      for (size_t text : batch.rows) {
        if (!WriteUnitVector(rows, call.texts[text].size(), call.vectors + text * kMiniLmDimension)) {
          return absl::InternalError("MiniLM answered a vector that is zero or not finite");
        }
        rows += batch.length * kMiniLmDimension;
      }
      return absl::OkStatus();
    } catch (const std::exception& e) {
      return absl::InternalError(absl::StrCat("OpenVINO, running MiniLM: ", e.what()));
    }
  }

  static void SetInputs(ov::InferRequest& request, const Call& call, const Batch& batch) {
    constexpr float kMasked = -1e9f;  // its softmax is exactly 0
    const size_t texts = batch.rows.size();
    ov::Tensor ids(ov::element::i32, ov::Shape{texts, batch.length});
    ov::Tensor mask(ov::element::f32, ov::Shape{texts, 1, 1, batch.length});
    std::fill_n(ids.data<int32_t>(), ids.get_size(), 0);
    std::fill_n(mask.data<float>(), mask.get_size(), kMasked);
    for (size_t i = 0; i < texts; ++i) {
      const std::vector<int32_t>& text = call.texts[batch.rows[i]];
      std::copy(text.begin(), text.end(), ids.data<int32_t>() + i * batch.length);
      std::fill_n(mask.data<float>() + i * batch.length, text.size(), 0.0f);
    }
    request.set_input_tensor(0, ids);
    request.set_input_tensor(1, mask);
  }

  const SafetensorsFile weights_;  // the model points into it
  ov::CompiledModel model_;
  absl::Mutex mutex_;
  std::deque<Call*> calls_ ABSL_GUARDED_BY(mutex_);  // with batches that nobody took
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> workers_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<MiniLmRuntime>> MiniLmRuntime::Create(SafetensorsFile weights,
                                                                     Precision precision) {
  ASSIGN_OR_RETURN(const std::shared_ptr<ov::Model> graph, BuildMiniLmGraph(weights));
  const Workforce workforce = CountProcessors();
  try {
    ov::Core core;
    core.set_property(ov::log::level(ov::log::Level::NO));
    ASSIGN_OR_RETURN(ov::CompiledModel model, Compile(core, graph, precision, workforce));
    auto runtime = std::make_unique<Runtime>(std::move(weights), std::move(model));
    RETURN_IF_ERROR(runtime->Start(workforce.workers));
    RETURN_IF_ERROR(runtime->WarmUp());
    return runtime;
  } catch (const std::exception& e) {
    return absl::InternalError(absl::StrCat("OpenVINO: ", e.what()));
  }
}

}  // namespace larder

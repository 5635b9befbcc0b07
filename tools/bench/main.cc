// larder-bench: how fast, how exact, how large; beside rivals in the same run.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "tools/bench/ann.h"
#include "tools/bench/codes.h"
#include "tools/bench/kernels.h"
#include "tools/bench/kv_codec.h"
#include "tools/bench/kv_trace.h"
#include "tools/bench/retrieval.h"

namespace {

// A directory for databases: the given one, or one that is removed at the end.
class WorkDirectory {
 public:
  explicit WorkDirectory(std::string* path) {
    if (!path->empty()) return;
    std::string pattern = (std::filesystem::temp_directory_path() / "larder-bench-XXXXXX").string();
    if (mkdtemp(pattern.data()) != nullptr) made_ = *path = pattern;
  }
  ~WorkDirectory() {
    std::error_code error;
    if (!made_.empty()) std::filesystem::remove_all(made_, error);
  }

 private:
  std::string made_;
};

void AddAnn(CLI::App* app, larder::tools::AnnOptions* o) {
  app->add_option("--base", o->base, "Rows to index: .npy (f2, f4), .fvecs or .fbin")->required();
  app->add_option("--query", o->query, "Queries, likewise")->required();
  app->add_option("--gt", o->ground_truth, "Row numbers of the true nearest: .npy, .ivecs or .ibin; computed if absent");
  app->add_option("--metric", o->metric)->check(CLI::IsMember({"cosine", "dot", "l2"}))->capture_default_str();
  app->add_option("--index", o->indexes, "flat, hnsw (Larder), hnswlib (the library alone, in memory); several are compared")
      ->delimiter(',')->check(CLI::IsMember({"flat", "hnsw", "hnswlib"}))->capture_default_str();
  app->add_option("--ef", o->ef, "Candidate list sizes, one setting each")->delimiter(',')->check(CLI::Range(1, 10'000));
  app->add_option("--target-recall", o->target_recall, "Recall to ask Larder's hnsw for, one more setting each")
      ->delimiter(',')->check(CLI::Range(0.01, 0.9999));
  app->add_option("--k", o->k)->check(CLI::Range(1, 10'000))->capture_default_str();
  app->add_option("--threads", o->threads, "Of build and of search")->check(CLI::Range(1, 1'024))->capture_default_str();
  app->add_option("--m", o->m)->check(CLI::Range(2, 128))->capture_default_str();
  app->add_option("--efc", o->ef_construction)->check(CLI::Range(2, 10'000))->capture_default_str();
  app->add_option("--batch", o->batch, "Rows an upsert")->check(CLI::Range(1, 10'000))->capture_default_str();
  app->add_option("--passes", o->passes, "Search passes; the median counts")->check(CLI::Range(1, 100))->capture_default_str();
  app->add_option("--limit", o->limit, "Only the first rows; 0 = all")->capture_default_str();
  app->add_option("--db", o->directory, "Where databases are built; a temporary directory if absent");
  app->add_flag("--rpc", o->rpc, "Also search through a server and a client on loopback");
  app->add_flag("--json", o->json, "One JSON line a setting");
}

void AddRetrieval(CLI::App* app, larder::tools::RetrievalOptions* o) {
  app->add_option("--data", o->data, "Folder with corpus.jsonl, queries.jsonl and qrels.tsv")
      ->required()->check(CLI::ExistingDirectory);
  app->add_option("--db", o->directory, "Where the database is built; a temporary directory if absent");
  app->add_option("--max-tokens", o->max_tokens, "Of a chunk")->capture_default_str();
  app->add_option("--overlap-tokens", o->overlap_tokens)->capture_default_str();
  app->add_flag("--json", o->json, "One JSON object");
}

void AddCodes(CLI::App* app, larder::tools::CodesOptions* o) {
  app->add_option("--base", o->base, "Rows to encode: .npy (f2, f4), .fvecs or .fbin")->required();
  app->add_option("--query", o->query, "Queries, likewise")->required();
  app->add_option("--gt", o->ground_truth, "Row numbers of the true nearest: .npy, .ivecs or .ibin; computed if absent");
  app->add_option("--metric", o->metric)->check(CLI::IsMember({"cosine", "dot", "l2"}))->capture_default_str();
  app->add_option("--codes", o->codes, "f32, f16, sq8, sq4, sq4x8, pqN, opqN, binaryN, rabitqN; all if absent")->delimiter(',');
  app->add_option("--limit", o->limit, "Only the first rows; 0 = all")->capture_default_str();
  app->add_option("--queries", o->queries, "Only the first")->check(CLI::Range(1, 1'000'000))->capture_default_str();
  app->add_flag("--json", o->json, "One JSON line a code");
  app->add_option("--plot", o->plot, "Draw a PNG (needs python3 with matplotlib)");
}

void AddKernels(CLI::App* app, larder::tools::KernelsOptions* o) {
  app->add_option("--dim", o->dimensions)->delimiter(',')->check(CLI::Range(1, 65'536))->capture_default_str();
  app->add_option("--passes", o->passes, "Over all kernels in turn; the median counts")->check(CLI::Range(1, 100))->capture_default_str();
  app->add_option("--megabytes", o->megabytes, "Of codes in memory")->check(CLI::Range(1, 65'536))->capture_default_str();
  app->add_flag("--json", o->json, "One JSON line a kernel");
}

void AddKvCodec(CLI::App* app, larder::tools::KvCodecOptions* o) {
  app->add_option("--tokens", o->tokens)->check(CLI::Range(1, 65'536))->capture_default_str();
  app->add_option("--heads", o->heads, "Of keys and values")->check(CLI::Range(1, 1'024))->capture_default_str();
  app->add_option("--dim", o->dim, "Of a head")->check(CLI::Range(2, 4'096))->capture_default_str();
  app->add_option("--dtype", o->dtype)->check(CLI::IsMember({"f32", "f16", "bf16"}))->capture_default_str();
  app->add_option("--style", o->style, "Of the rotation")->check(CLI::IsMember({"neox", "interleaved"}))->capture_default_str();
  app->add_option("--keys", o->keys, "File of [layer][token][head][dim] in --dtype; random numbers if absent");
  app->add_option("--values", o->values, "Likewise");
  app->add_option("--layers", o->layers, "Of random numbers")->check(CLI::Range(1, 1'024))->capture_default_str();
  app->add_option("--passes", o->passes, "Over all codecs in turn; the median counts")->check(CLI::Range(1, 100))->capture_default_str();
  app->add_flag("--json", o->json, "One JSON line a codec and side");
}

void AddKvTrace(CLI::App* app, larder::tools::KvTraceOptions* o) {
  app->add_option("--trace", o->trace, "Requests to replay")->required()->check(CLI::ExistingFile);
  app->add_option("--format", o->format, "mooncake (JSON lines with hash_ids), queries (text lines), int32 (big endian, or xz)")
      ->check(CLI::IsMember({"auto", "mooncake", "queries", "int32"}))->capture_default_str();
  app->add_option("--cache", o->shares, "Cache sizes, as shares of the distinct bytes")->delimiter(',')->check(CLI::Range(1e-6, 1.0));
  app->add_option("--bytes-per-token", o->bytes_per_token)->check(CLI::Range(1, 1 << 30))->capture_default_str();
  app->add_option("--seed", o->seed, "Of sizes that the trace does not tell")->capture_default_str();
  app->add_flag("--json", o->json, "One JSON line a policy and size, and a summary");
  app->add_option("--plot", o->plot, "Draw a PNG (needs python3 with matplotlib)");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Measures Larder: how fast, how exact, how large.", "larder-bench");
  app.require_subcommand(1);
  larder::tools::AnnOptions ann;
  larder::tools::RetrievalOptions retrieval;
  CLI::App* ann_app = app.add_subcommand("ann", "Nearest neighbours: recall against queries a second");
  CLI::App* retrieval_app = app.add_subcommand("retrieval", "Text in, questions asked: recall, nDCG, MRR");
  larder::tools::CodesOptions codes;
  larder::tools::KernelsOptions kernels;
  CLI::App* codes_app = app.add_subcommand("codes", "What each code keeps of a data set: bytes, recall, speed");
  CLI::App* kernels_app = app.add_subcommand("kernels", "Distances from codes: GB/s, beside memory's own");
  larder::tools::KvTraceOptions kv_trace;
  CLI::App* kv_trace_app = app.add_subcommand("kv-trace", "KV eviction policies on a request trace: tokens computed again");
  AddKvTrace(kv_trace_app, &kv_trace);
  AddAnn(ann_app, &ann);
  AddRetrieval(retrieval_app, &retrieval);
  AddCodes(codes_app, &codes);
  AddKernels(kernels_app, &kernels);
  larder::tools::KvCodecOptions kv_codec;
  CLI::App* kv_codec_app = app.add_subcommand("kv-codec", "KV payloads: size, error, GB/s into pages beside memcpy");
  AddKvCodec(kv_codec_app, &kv_codec);
  CLI11_PARSE(app, argc, argv);
  absl::Status status;
  if (codes_app->parsed()) {
    status = larder::tools::RunCodes(codes);
  } else if (kv_trace_app->parsed()) {
    status = larder::tools::RunKvTrace(kv_trace);
  } else if (kernels_app->parsed()) {
    status = larder::tools::RunKernels(kernels);
  } else if (kv_codec_app->parsed()) {
    status = larder::tools::RunKvCodec(kv_codec);
  } else {
    const WorkDirectory directory(ann_app->parsed() ? &ann.directory : &retrieval.directory);
    status = ann_app->parsed() ? larder::tools::RunAnn(ann) : larder::tools::RunRetrieval(retrieval);
  }
  if (status.ok()) return 0;
  std::fprintf(stderr, "larder-bench: %s\n", status.ToString().c_str());
  return 1;
}

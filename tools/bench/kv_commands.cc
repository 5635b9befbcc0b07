#include "tools/bench/commands.h"
#include "tools/bench/kv.h"
#include "tools/bench/kv_codec.h"
#include "tools/bench/kv_local.h"
#include "tools/bench/kv_trace.h"
#include "tools/bench/work_directory.h"

namespace larder::tools {
namespace {

void KvOptionsOf(CLI::App* app, KvOptions* o) {
  app->add_option("--sections", o->sections, "reorder, disk, local, codec; all if absent")->delimiter(',');
  app->add_option("--codec", o->codec)->check(CLI::IsMember({"raw", "int8", "int4", "mixed"}))->capture_default_str();
  app->add_option("--tokens", o->tokens, "Of a chunk")->check(CLI::Range(1, 65'536))->capture_default_str();
  app->add_option("--layers", o->layers)->check(CLI::Range(1, 1'024))->capture_default_str();
  app->add_option("--heads", o->heads, "Of keys and values")->check(CLI::Range(1, 1'024))->capture_default_str();
  app->add_option("--dim", o->dim, "Of a head")->check(CLI::Range(2, 4'096))->capture_default_str();
  app->add_option("--chunks", o->chunks, "Of a query, in a new order each time")->check(CLI::Range(1, 4'096))->capture_default_str();
  app->add_option("--batches", o->batches)->check(CLI::Range(1, 100'000))->capture_default_str();
  app->add_option("--queries", o->queries, "A batch; their median counts")->check(CLI::Range(1, 10'000))->capture_default_str();
  app->add_option("--prefill-us", o->prefill_us_per_token, "What computing a token costs")->capture_default_str();
  app->add_option("--passes", o->passes, "Over the disk; the median counts")->check(CLI::Range(1, 1'000))->capture_default_str();
  app->add_option("--keys", o->keys, "For codec: file of f16 [layer][token][head][dim]; random numbers if absent");
  app->add_option("--values", o->values, "Likewise");
  app->add_option("--db", o->directory, "Where databases are made; a temporary directory if absent");
  app->add_flag("--json", o->json, "JSON lines, the last a summary");
  app->add_option("--plot", o->plot, "Draw a PNG (needs python3 with matplotlib)");
}

void KvCodecOptionsOf(CLI::App* app, KvCodecOptions* o) {
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

void KvLocalOptionsOf(CLI::App* app, KvLocalOptions* o) {
  KvOptionsOf(app, &o->store);
  app->remove_option(app->get_option("--sections"));
  app->add_option("--reader", o->socket, "Be the other process: the server's socket")->group("");
  app->add_option("--profile", o->profile_id)->group("");
  app->add_option("--phase", o->phase)->check(CLI::IsMember({"copy", "lookup"}))->group("");
  app->add_option("--entries", o->entries)->group("");
}

void KvTraceOptionsOf(CLI::App* app, KvTraceOptions* o) {
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

void AddKvCommands(BenchCommands* commands) {
  commands->Add("kv", "The store of KV caches: new orders, disk and shared memory beside the bare ones, codecs", KvOptionsOf,
                InDirectory<KvOptions, RunKv>);
  commands->Add("kv-codec", "KV payloads: size, error, GB/s into pages beside memcpy", KvCodecOptionsOf, RunKvCodec);
  commands->Add("kv-local", "KV in shared memory: another process's reads beside memcpy, lookups over the socket",
                KvLocalOptionsOf, RunKvLocal);
  commands->Add("kv-trace", "KV eviction policies on a request trace: tokens computed again", KvTraceOptionsOf,
                RunKvTrace);
}

}  // namespace larder::tools

#include "tools/bench/ann.h"
#include "tools/bench/arrivals.h"
#include "tools/bench/churn.h"
#include "tools/bench/codes.h"
#include "tools/bench/commands.h"
#include "tools/bench/disk.h"
#include "tools/bench/filters.h"
#include "tools/bench/kernels.h"
#include "tools/bench/retrieval.h"
#include "tools/bench/work_directory.h"

namespace larder::tools {
namespace {

void AnnOptionsOf(CLI::App* app, AnnOptions* o) {
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
  app->add_option("--threads", o->threads, "Of search, and of build unless --build-threads says otherwise")->check(CLI::Range(1, 1'024))->capture_default_str();
  app->add_option("--build-threads", o->build_threads, "Of build; 0 = --threads")->check(CLI::Range(0, 1'024));
  app->add_option("--streams", o->streams, "Of upserts, to Larder; 0 = as many as threads build")->check(CLI::Range(0, 1'024));
  app->add_option("--m", o->m)->check(CLI::Range(2, 128))->capture_default_str();
  app->add_option("--efc", o->ef_construction)->check(CLI::Range(2, 10'000))->capture_default_str();
  app->add_option("--prefix", o->prefix, "Dimensions that Larder's searches look at first (Matryoshka); 0 = all")
      ->check(CLI::Range(0, 65'535))->capture_default_str();
  app->add_option("--batch", o->batch, "Rows an upsert")->check(CLI::Range(1, 10'000))->capture_default_str();
  app->add_option("--passes", o->passes, "Search passes; the median counts")->check(CLI::Range(1, 100))->capture_default_str();
  app->add_option("--limit", o->limit, "Only the first rows; 0 = all")->capture_default_str();
  app->add_option("--db", o->directory, "Where databases are built; a temporary directory if absent");
  app->add_flag("--rpc", o->rpc, "Also search through a server and a client on loopback");
  app->add_flag("--json", o->json, "One JSON line a setting");
  app->add_option("--plot", o->plot, "Draw a PNG of the curves (needs python3 with matplotlib)");
}

void ArrivalsOptionsOf(CLI::App* app, ArrivalsOptions* o) {
  app->add_option("--base", o->base, "Rows: .npy (f2, f4), .fvecs or .fbin; the last of them arrive")->required();
  app->add_option("--query", o->query, "Queries, likewise")->required();
  app->add_option("--metric", o->metric)->check(CLI::IsMember({"cosine", "dot", "l2"}))->capture_default_str();
  app->add_option("--limit", o->limit, "Only the first rows; 0 = all")->capture_default_str();
  app->add_option("--rate", o->rate, "Vectors a second")->check(CLI::Range(1, 1'000'000))->capture_default_str();
  app->add_option("--batch", o->batch, "Vectors an upsert")->check(CLI::Range(1, 1'000))->capture_default_str();
  app->add_option("--seconds", o->seconds, "Of searching, idle and then amid arrivals")
      ->check(CLI::Range(1, 3'600))->capture_default_str();
  app->add_option("--k", o->k)->check(CLI::Range(1, 10'000))->capture_default_str();
  app->add_option("--ef", o->ef)->check(CLI::Range(1, 10'000))->capture_default_str();
  app->add_option("--db", o->directory, "Where the database is built; a temporary directory if absent");
  app->add_flag("--json", o->json, "One JSON object");
}

void RetrievalOptionsOf(CLI::App* app, RetrievalOptions* o) {
  app->add_option("--data", o->data, "Folder with corpus.jsonl, queries.jsonl and qrels.tsv")
      ->required()->check(CLI::ExistingDirectory);
  app->add_option("--db", o->directory, "Where the database is built; a temporary directory if absent");
  app->add_option("--max-tokens", o->max_tokens, "Of a chunk")->capture_default_str();
  app->add_option("--overlap-tokens", o->overlap_tokens)->capture_default_str();
  app->add_flag("--json", o->json, "One JSON object");
}

void CodesOptionsOf(CLI::App* app, CodesOptions* o) {
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

void KernelsOptionsOf(CLI::App* app, KernelsOptions* o) {
  app->add_option("--dim", o->dimensions)->delimiter(',')->check(CLI::Range(1, 65'536))->capture_default_str();
  app->add_option("--passes", o->passes, "Over all kernels in turn; the median counts")->check(CLI::Range(1, 100))->capture_default_str();
  app->add_option("--megabytes", o->megabytes, "Of codes in memory")->check(CLI::Range(1, 65'536))->capture_default_str();
  app->add_flag("--json", o->json, "One JSON line a kernel");
}

void DiskOptionsOf(CLI::App* app, DiskOptions* o) {
  app->add_option("--base", o->base, "Rows to index: .npy (f2, f4), .fvecs or .fbin")->required();
  app->add_option("--query", o->query, "Queries, likewise")->required();
  app->add_option("--gt", o->ground_truth, "Row numbers of the true nearest: .npy, .ivecs or .ibin; computed if absent");
  app->add_option("--metric", o->metric)->check(CLI::IsMember({"cosine", "dot", "l2"}))->capture_default_str();
  app->add_option("--memory-mb", o->memory_mb, "Of the build")->check(CLI::Range(16, 1'000'000))->capture_default_str();
  app->add_option("--target-recall", o->target_recall, "Settings")->delimiter(',')->check(CLI::Range(0.01, 0.9999));
  app->add_option("--postings", o->postings, "To read, with every --candidates, instead of --target-recall")->delimiter(',');
  app->add_option("--candidates", o->candidates, "To rank exactly")->delimiter(',');
  app->add_option("--bits", o->bits, "Of the codes; 0 = measured")->check(CLI::Range(0, 8))->capture_default_str();
  app->add_option("--leaf-entries", o->leaf_entries, "0 = by the dimension")->check(CLI::Range(0, 32'768))->capture_default_str();
  app->add_option("--copies", o->copies)->check(CLI::Range(1, 2))->capture_default_str();
  app->add_option("--k", o->k)->check(CLI::Range(1, 10'000))->capture_default_str();
  app->add_option("--threads", o->threads, "Of build and of search")->check(CLI::Range(1, 1'024))->capture_default_str();
  app->add_option("--passes", o->passes, "Search passes; the median counts")->check(CLI::Range(1, 100))->capture_default_str();
  app->add_option("--limit", o->limit, "Only the first rows; 0 = all")->capture_default_str();
  app->add_option("--db", o->directory, "Where the index is built; a temporary directory if absent");
  app->add_flag("--keep", o->keep, "Search the index that --db holds, if there is one");
  app->add_flag("--json", o->json, "One JSON line a setting; the last line is a summary either way");
  app->add_option("--plot", o->plot, "Draw a PNG (needs python3 with matplotlib)");
}

void FiltersOptionsOf(CLI::App* app, FiltersOptions* o) {
  app->add_option("--base", o->base, "Rows to index: .npy (f2, f4), .fvecs or .fbin; generated if absent");
  app->add_option("--query", o->query, "Queries, likewise");
  app->add_option("--metric", o->metric)->check(CLI::IsMember({"cosine", "dot", "l2"}))->capture_default_str();
  app->add_option("--rows", o->rows, "Generated")->check(CLI::Range(100, 100'000'000))->capture_default_str();
  app->add_option("--dim", o->dimension, "Generated")->check(CLI::Range(1, 65'536))->capture_default_str();
  app->add_option("--limit", o->limit, "Only the first rows of the file; 0 = all")->capture_default_str();
  app->add_option("--queries", o->queries, "Only the first")->check(CLI::Range(1, 1'000'000))->capture_default_str();
  app->add_option("--k", o->k)->check(CLI::Range(1, 10'000))->capture_default_str();
  app->add_option("--passes", o->passes, "Unfiltered and filtered in turn; the median counts")
      ->check(CLI::Range(1, 100))->capture_default_str();
  app->add_option("--threads", o->threads, "Of the build; searches take one")->check(CLI::Range(1, 1'024))->capture_default_str();
  app->add_option("--seed", o->seed, "Of the attributes and the filters")->capture_default_str();
  app->add_option("--only", o->only, "The filters whose name holds this");
  app->add_option("--db", o->directory, "Where the database is built; a temporary directory if absent");
  app->add_flag("--keep", o->keep, "Search the database that --db holds, if there is one");
  app->add_flag("--json", o->json, "One JSON line a filter; the last line is a summary either way");
  app->add_option("--plot", o->plot, "Draw a PNG (needs python3 with matplotlib)");
}

void ChurnOptionsOf(CLI::App* app, ChurnOptions* o) {
  app->add_option("--base", o->base, "Rows to index: .npy (f2, f4), .fvecs or .fbin")->required();
  app->add_option("--query", o->query, "Queries, likewise")->required();
  app->add_option("--gt", o->ground_truth, "Row numbers of the true nearest: .npy, .ivecs or .ibin; computed if absent");
  app->add_option("--metric", o->metric)->check(CLI::IsMember({"cosine", "dot", "l2"}))->capture_default_str();
  app->add_option("--rounds", o->rounds)->check(CLI::Range(1, 100'000))->capture_default_str();
  app->add_option("--share", o->share, "Of the rows that a round replaces")->check(CLI::Range(0.0001, 0.5))->capture_default_str();
  app->add_option("--rate", o->rate, "Rows inserted a second; 0 = as fast as it goes")->capture_default_str();
  app->add_option("--batch", o->batch, "Rows to an insert")->check(CLI::Range(1, 100'000))->capture_default_str();
  app->add_option("--seconds", o->seconds, "Of searching before")->check(CLI::Range(1, 3'600))->capture_default_str();
  app->add_option("--memory-mb", o->memory_mb, "Of the builds")->check(CLI::Range(16, 1'000'000))->capture_default_str();
  app->add_option("--file-mb", o->file_mb, "Of a file of extents")->check(CLI::Range(1, 4'096))->capture_default_str();
  app->add_option("--target-recall", o->target_recall)->check(CLI::Range(0.01, 0.9999))->capture_default_str();
  app->add_option("--k", o->k)->check(CLI::Range(1, 10'000))->capture_default_str();
  app->add_option("--threads", o->threads, "Of the builds")->check(CLI::Range(1, 1'024))->capture_default_str();
  app->add_option("--limit", o->limit, "Only the first rows; 0 = all")->capture_default_str();
  app->add_option("--db", o->directory, "Where the indexes are built; a temporary directory if absent");
  app->add_flag("--json", o->json, "One JSON line a round; the last line is a summary either way");
  app->add_option("--plot", o->plot, "Draw a PNG (needs python3 with matplotlib)");
}

}  // namespace

void AddIndexCommands(BenchCommands* commands) {
  commands->Add("ann", "Nearest neighbours: recall against queries a second", AnnOptionsOf,
                InDirectory<AnnOptions, RunAnn>);
  commands->Add("arrivals", "Searches while vectors arrive: p99, and how soon these are found", ArrivalsOptionsOf,
                InDirectory<ArrivalsOptions, RunArrivals>);
  commands->Add("retrieval", "Text in, questions asked: recall, nDCG, MRR", RetrievalOptionsOf,
                InDirectory<RetrievalOptions, RunRetrieval>);
  commands->Add("churn", "An index on disk whose rows come and go, beside a fresh one", ChurnOptionsOf,
                InDirectory<ChurnOptions, RunChurn>);
  commands->Add("codes", "What each code keeps of a data set: bytes, recall, speed", CodesOptionsOf, RunCodes);
  commands->Add("disk", "An index on disk: recall against reads and queries a second", DiskOptionsOf,
                InDirectory<DiskOptions, RunDisk>);
  commands->Add("filters", "Searches under filters: recall and latency beside the unfiltered, post-filtering, a scan",
                FiltersOptionsOf, InDirectory<FiltersOptions, RunFilters>);
  commands->Add("kernels", "Distances from codes: GB/s, beside memory's own", KernelsOptionsOf, RunKernels);
}

}  // namespace larder::tools

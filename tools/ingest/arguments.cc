#include "tools/ingest/arguments.h"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <map>

#include "tools/readers/matrix_reader.h"

namespace larder::tools {
namespace {

constexpr int kExitUsage = 2;

constexpr char kFooter[] =
    "Example:\n"
    "  larder-ingest --db pantry --collection docs --create notes/ corpus.jsonl\n"
    "  larder-ingest --db pantry --collection words --create --metric cosine --ids words.txt glove.npy\n\n"
    "Text: .txt, .md, .html (a document a file, its id is the path) and .jsonl (a document a line: _id, "
    "title,\n"
    "text, metadata, and id, uri, tenant, media_type, vector, expires_at_ms); directories recursively.\n"
    "Vectors: .npy, .fvecs, .bvecs, .fbin, .u8bin, .i8bin.\n"
    "The same command again goes on where a killed or interrupted one stopped; sources that are done and\n"
    "unchanged are left alone. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.";

void AddPlace(CLI::App& app, IngestArguments& a) {
  CLI::Option* db = app.add_option("--db", a.address.db, "database directory")->envname("LARDER_DB");
  app.add_option("--server", a.address.server, "server, HOST:PORT")->envname("LARDER_SERVER")->excludes(db);
  app.add_option("--collection,-c", a.collection, "collection to fill")->required();
  app.add_option("PATH", a.paths, "files and directories")->required();
}

void AddCreation(CLI::App& app, IngestArguments& a) {
  static const std::map<std::string, Metric> kMetrics = {
      {"cosine", Metric::kCosine}, {"dot", Metric::kDot}, {"l2", Metric::kL2}};
  static const std::map<std::string, IndexKind> kIndexes = {
      {"auto", IndexKind::kAuto}, {"flat", IndexKind::kFlat}, {"hnsw", IndexKind::kHnsw}, {"tree", IndexKind::kTree}};
  static const std::map<std::string, RowCode> kRowCodes = {
      {"auto", RowCode::kAuto}, {"f32", RowCode::kF32}, {"sq4x8", RowCode::kSq4x8}};
  const std::string group = "Creating the collection";
  VectorSpaceOptions& space = a.options.spaces[0];
  CLI::Option* create =
      app.add_flag("--create", a.create, "create database and collection if absent")->group(group);
  app.add_option("--embedder", a.embedder, "minilm (default), none, http")
      ->check(CLI::IsMember({"minilm", "none", "http"}))
      ->needs(create)
      ->group(group);
  app.add_option("--http-url", a.options.http.url, "embeddings endpoint, for http")
      ->needs(create)
      ->group(group);
  app.add_option("--http-model", a.options.http.model, "its model")->needs(create)->group(group);
  app.add_option("--http-key-env", a.options.http.api_key_env, "variable that holds its key")
      ->needs(create)
      ->group(group);
  app.add_option("--dim", a.dimension, "dimension, where no embedder and no matrix tells it")
      ->needs(create)
      ->group(group);
  app.add_option("--metric", space.metric, "cosine (default), dot, l2")
      ->transform(CLI::CheckedTransformer(kMetrics).description(""))
      ->needs(create)
      ->group(group);
  app.add_option("--index", space.index, "auto (default), flat, hnsw, tree")
      ->transform(CLI::CheckedTransformer(kIndexes).description(""))
      ->needs(create)
      ->group(group);
  app.add_option("--prefix", space.prefix, "Matryoshka: dimensions that searches look at first; 0 = all")
      ->needs(create)
      ->group(group)
      ->capture_default_str();
  app.add_option("--m", space.hnsw.m, "hnsw: links per node")
      ->needs(create)
      ->group(group)
      ->capture_default_str();
  app.add_option("--ef-construction", space.hnsw.ef_construction, "hnsw: candidates at insertion")
      ->needs(create)
      ->group(group)
      ->capture_default_str();
  app.add_option("--row-code", space.hnsw.row_code, "hnsw: vectors in memory, auto (default), f32, sq4x8")
      ->transform(CLI::CheckedTransformer(kRowCodes).description(""))
      ->needs(create)
      ->group(group);
  app.add_option("--max-tokens", a.options.chunking.max_tokens, "tokens per chunk")
      ->needs(create)
      ->group(group)
      ->capture_default_str();
  app.add_option("--overlap-tokens", a.options.chunking.overlap_tokens,
                 "tokens repeated from the chunk before")
      ->needs(create)
      ->group(group)
      ->capture_default_str();
}

void AddReading(CLI::App& app, IngestArguments& a) {
  const std::string group = "Reading";
  app.add_option("--format", a.format, "what the files are, whatever their names say")
      ->check(CLI::IsMember({"text", "markdown", "html", "jsonl", "npy", "fvecs", "ivecs", "bvecs", "fbin",
                             "ibin", "u8bin", "i8bin"}))
      ->group(group);
  app.add_option("--ids", a.ids, "ids of a matrix's rows, one a line (default: row numbers)")->group(group);
  app.add_option("--space", a.space, "vector space that given vectors belong to")
      ->group(group)
      ->capture_default_str();
  app.add_option("--tenant", a.tenant, "tenant of documents that name none")->group(group);
  app.add_option_function<std::string>(
         "--extra-fields",
         [&a](const std::string& value) { a.extra_fields_to_metadata = value == "metadata"; },
         "unknown fields of a .jsonl: refuse (default), metadata")
      ->check(CLI::IsMember({"refuse", "metadata"}))
      ->group(group);
  app.add_option_function<std::string>(
         "--on-error", [&a](const std::string& value) { a.skip_bad = value == "skip"; },
         "documents that are ill-formed or refused: stop (default), skip")
      ->check(CLI::IsMember({"stop", "skip"}))
      ->group(group);
}

void AddRunning(CLI::App& app, IngestArguments& a) {
  const std::string group = "Running";
  app.add_option("--batch", a.batch, "documents a batch (default: 64, vectors 1000)")
      ->check(CLI::Range(1, 10'000))
      ->group(group);
  app.add_option("--in-flight", a.in_flight, "batches stored at once")
      ->check(CLI::Range(1, 64))
      ->group(group)
      ->capture_default_str();
  app.add_flag_callback(
         "--no-sync", [&a] { a.sync = false; },
         "do not wait for the disk: a power failure may lose the last documents")
      ->group(group);
  app.add_option("--state", a.state,
                 "journal to go on from (default: in the database, or under the user's state)")
      ->group(group);
  app.add_flag("--restart", a.restart,
               "forget the journal; documents that are stored unchanged stay as they are")
      ->group(group);
  app.add_flag("--json", a.json, "summary as JSON")->group(group);
  app.add_flag("--quiet,-q", a.quiet, "no progress")->group(group);
}

}  // namespace

std::optional<int> ParseIngestArguments(int argc, char** argv, IngestArguments* arguments) {
  CLI::App app("larder-ingest: fills a collection of a Larder database from files.", "larder-ingest");
  app.set_version_flag("--version", "larder-ingest " LARDER_VERSION);
  app.get_formatter()->column_width(34);
  app.footer(kFooter);
  AddPlace(app, *arguments);
  AddCreation(app, *arguments);
  AddReading(app, *arguments);
  AddRunning(app, *arguments);
  try {
    app.parse(argc, argv);
    if (arguments->address.db.empty() == arguments->address.server.empty()) {
      throw CLI::RequiredError("--db or --server");
    }
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  return {};
}

}  // namespace larder::tools

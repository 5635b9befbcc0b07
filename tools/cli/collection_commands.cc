// create, describe, list, drop.

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "storage/status_macros.h"
#include "tools/cli/recall_text.h"
#include "tools/cli/session.h"
#include "tools/cli/text_layout.h"

namespace larder::tools {
namespace {

const std::map<std::string, Metric> kMetrics = {
    {"cosine", Metric::kCosine}, {"dot", Metric::kDot}, {"l2", Metric::kL2}};
const std::map<std::string, IndexKind> kIndexes = {
    {"auto", IndexKind::kAuto}, {"flat", IndexKind::kFlat}, {"hnsw", IndexKind::kHnsw}, {"tree", IndexKind::kTree}};
const std::map<std::string, RowCode> kRowCodes = {
    {"auto", RowCode::kAuto}, {"f32", RowCode::kF32}, {"sq4x8", RowCode::kSq4x8}};
const std::map<std::string, EmbedderKind> kEmbedders = {
    {"none", EmbedderKind::kNone}, {"minilm", EmbedderKind::kMiniLm}, {"http", EmbedderKind::kHttp}};

struct CreateArgs {
  std::string name;
  std::vector<std::string> spaces;  // NAME:DIMENSION[:METRIC[:INDEX]]
  VectorSpaceOptions first;
  CollectionOptions options;
  double http_timeout_s = 30;
};

// A name of `names`, or InvalidArgument listing them.
template <typename Enum>
absl::StatusOr<Enum> Named(const std::map<std::string, Enum>& names, const std::string& name,
                           absl::string_view what) {
  if (auto found = names.find(name); found != names.end()) return found->second;
  std::string known;
  for (const auto& [each, value] : names) absl::StrAppend(&known, known.empty() ? "" : ", ", each);
  return absl::InvalidArgumentError(absl::StrCat(what, " \"", name, "\": expected one of ", known));
}

absl::StatusOr<VectorSpaceOptions> ParseSpace(const std::string& text, const VectorSpaceOptions& defaults) {
  const std::vector<std::string> parts = absl::StrSplit(text, ':');
  VectorSpaceOptions space = defaults;
  space.name = parts[0];
  if (parts.size() < 2 || parts.size() > 4 || !absl::SimpleAtoi(parts[1], &space.dimension)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--space ", text, ": expected NAME:DIMENSION[:METRIC[:INDEX]]"));
  }
  if (parts.size() > 2) {
    ASSIGN_OR_RETURN(space.metric, Named(kMetrics, parts[2], absl::StrCat("--space ", text, ": metric")));
  }
  if (parts.size() > 3) {
    ASSIGN_OR_RETURN(space.index, Named(kIndexes, parts[3], absl::StrCat("--space ", text, ": index")));
  }
  return space;
}

std::string Described(const CollectionDescription& description) {
  const CollectionInfo& info = description.info;
  const ChunkingOptions& chunking = description.options.chunking;
  std::string text = absl::StrCat(
      "collection  ", info.name, "\n", "documents   ", Thousands(info.documents), "\n", "chunks      ",
      Thousands(info.chunks), " (at most ", chunking.max_tokens, " tokens, ", chunking.overlap_tokens,
      " of overlap)\n", "embedder    ", info.embedder.empty() ? "none" : Printable(info.embedder), "\n\n");
  Table spaces({"space", "dimension", "metric", "index", "code", "vectors", "deleted", "in memory", "recall"});
  for (size_t i = 0; i < info.spaces.size(); ++i) {
    const VectorSpaceInfo& space = info.spaces[i];
    const uint32_t prefix = i < description.options.spaces.size() ? description.options.spaces[i].prefix : 0;
    std::string index = NameOf(space.serving);
    if (space.requested != space.serving) index = absl::StrCat(NameOf(space.requested), " (", index, ")");
    spaces.Add({space.name, absl::StrCat(prefix > 0 ? absl::StrCat(prefix, " of ") : "", space.dimension), NameOf(space.metric), index, space.code,
                Thousands(space.vectors), Thousands(space.tombstones), HumanBytes(space.resident_bytes),
                RecallText(space)});
  }
  text += spaces.ToString();
  for (const VectorSpaceInfo& space : info.spaces) {
    if (!space.problem.empty()) absl::StrAppend(&text, "\nspace ", space.name, ": ", Printable(space.problem), "\n");
  }
  return text;
}

absl::Status PrintDescription(Session& session, Backend& backend, const std::string& name) {
  ASSIGN_OR_RETURN(const CollectionDescription description, backend.DescribeCollection(name));
  if (session.json()) {
    Json json = ToJson(description.info);
    json["options"] = ToJson(description.options);
    session.PrintJson(json);
  } else {
    session.Print(Described(description));
  }
  return absl::OkStatus();
}

absl::Status RunCreate(Session& session, CreateArgs args) {
  args.options.http.timeout = absl::Seconds(args.http_timeout_s);
  args.options.spaces.clear();
  for (const std::string& text : args.spaces) {
    ASSIGN_OR_RETURN(VectorSpaceOptions space, ParseSpace(text, args.first));
    args.options.spaces.push_back(std::move(space));
  }
  if (args.options.spaces.empty()) args.options.spaces.push_back(args.first);
  RETURN_IF_ERROR(args.options.Validate());  // before a directory is made for it
  ASSIGN_OR_RETURN(Backend * backend, session.Open(/*create_if_missing=*/true));
  RETURN_IF_ERROR(backend->CreateCollection(args.name, args.options));
  return PrintDescription(session, *backend, args.name);
}

void AddCreateOptions(CLI::App* command, CreateArgs& args) {
  command->add_option("collection", args.name, "The collection's name")->required();
  command
      ->add_option("--embedder", args.options.embedder,
                   "What turns text into vectors: minilm (default), http, none")
      ->transform(CLI::CheckedTransformer(kEmbedders).description("NAME"));
  command->add_option("--metric", args.first.metric, "cosine (default), dot or l2")
      ->transform(CLI::CheckedTransformer(kMetrics).description("NAME"));
  command->add_option("--index", args.first.index, "auto (default), flat, hnsw, or tree, which keeps vectors on disk")
      ->transform(CLI::CheckedTransformer(kIndexes).description("NAME"));
  command->add_option("--dimension", args.first.dimension, "Of the vectors; needed without an embedder");
  command->add_option("--prefix", args.first.prefix,
                      "Matryoshka embeddings: dimensions that searches look at first; 0 = all")
      ->capture_default_str();
  command
      ->add_option(
          "--space", args.spaces,
          "A vector space, NAME:DIMENSION[:METRIC[:INDEX]], dimension 0 = the embedder's; once for each")
      ->allow_extra_args(false)
      ->type_name("SPEC");
  command->add_option("--m", args.first.hnsw.m, "HNSW: links per node")->capture_default_str();
  command->add_option("--ef-construction", args.first.hnsw.ef_construction, "HNSW: candidates at insertion")
      ->capture_default_str();
  command->add_option("--ef-search", args.first.hnsw.ef_search, "HNSW: candidates at search")
      ->capture_default_str();
  command->add_option("--row-code", args.first.hnsw.row_code,
                      "HNSW: vectors in memory as f32 or as 12 bits a dimension (sq4x8); auto (default) = "
                      "sq4x8 from 64 dimensions on")
      ->transform(CLI::CheckedTransformer(kRowCodes).description("NAME"));
  command->add_option("--chunk-tokens", args.options.chunking.max_tokens, "At most so many tokens a chunk")
      ->capture_default_str();
  command
      ->add_option("--chunk-overlap", args.options.chunking.overlap_tokens, "Tokens repeated between chunks")
      ->capture_default_str();
  command->add_flag("--embed-title,!--no-embed-title", args.options.chunking.prepend_title,
                    "Embed title and section with each chunk (default)");
  HttpEmbedderOptions& http = args.options.http;
  command->add_option("--http-url", http.url, "http: an OpenAI-compatible /v1/embeddings")->type_name("URL");
  command->add_option("--http-model", http.model, "http: the model to ask for")->type_name("NAME");
  command->add_option("--http-key-env", http.api_key_env, "http: environment variable with its key")
      ->type_name("NAME");
  command->add_option("--http-batch", http.batch, "http: texts a request")->capture_default_str();
  command->add_option("--http-timeout", args.http_timeout_s, "http: seconds a request")
      ->capture_default_str();
}

absl::Status RunList(Session& session) {
  ASSIGN_OR_RETURN(Backend * backend, session.Open());
  ASSIGN_OR_RETURN(const std::vector<std::string> names, backend->ListCollections());
  Table table({"collection", "documents", "chunks"});
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(const CollectionDescription description, backend->DescribeCollection(name));
    if (session.json()) session.PrintJson(ToJson(description.info));
    table.Add({name, Thousands(description.info.documents), Thousands(description.info.chunks)});
  }
  if (!session.json()) session.Print(names.empty() ? "no collections\n" : table.ToString());
  return absl::OkStatus();
}

absl::Status RunDrop(Session& session, const std::string& name) {
  ASSIGN_OR_RETURN(Backend * backend, session.Open());
  RETURN_IF_ERROR(backend->DropCollection(name));
  session.Show(Json{{"dropped", name}}, absl::StrCat("dropped ", name, "\n"));
  return absl::OkStatus();
}

}  // namespace

void AddCollectionCommands(CLI::App& app, Session& session) {
  CLI::App* create =
      session.AddCommand(app, "create", "Creates a collection, and the database if there is none",
                         "larder create docs --db pantry\n"
                         "  larder create images --embedder none --dimension 512 --metric dot");
  auto args = std::make_shared<CreateArgs>();
  AddCreateOptions(create, *args);
  session.OnCall(create, [&session, args] { return RunCreate(session, *args); });

  auto name = std::make_shared<std::string>();
  CLI::App* describe = session.AddCommand(app, "describe", "Shows a collection's contents and options",
                                          "larder describe docs --db pantry");
  describe->add_option("collection", *name, "The collection\'s name")->required();
  session.OnCall(describe, [&session, name]() -> absl::Status {
    ASSIGN_OR_RETURN(Backend * backend, session.Open());
    return PrintDescription(session, *backend, *name);
  });

  CLI::App* list = session.AddCommand(app, "list", "Lists the collections", "larder list --db pantry");
  session.OnCall(list, [&session] { return RunList(session); });

  CLI::App* drop = session.AddCommand(app, "drop", "Removes a collection with all it holds",
                                      "larder drop docs --db pantry");
  drop->add_option("collection", *name, "The collection\'s name")->required();
  session.OnCall(drop, [&session, name] { return RunDrop(session, *name); });
}

}  // namespace larder::tools

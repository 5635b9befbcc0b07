// put: stores one document.
#include <unistd.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "storage/status_macros.h"
#include "tools/cli/input.h"
#include "tools/cli/session.h"
#include "tools/cli/text_layout.h"

namespace larder::tools {
namespace {

struct PutArgs {
  std::string collection;
  Document document;
  std::string text, file, json;  // at most one
  std::vector<std::string> metadata;
  std::string vector, vector_file, space, section;
  std::string expires_in;
};

absl::string_view MediaTypeOf(const std::string& path) {
  return absl::EndsWithIgnoreCase(path, ".md") || absl::EndsWithIgnoreCase(path, ".markdown")
             ? "text/markdown"
             : "text/plain";
}

// The document's text, from --text, --file or what is piped in.
absl::Status ReadText(Session& session, PutArgs& args) {
  Document& document = args.document;
  if (!args.file.empty()) {
    ASSIGN_OR_RETURN(document.text, ReadInput(args.file));
    if (document.id.empty() && args.file != "-") document.id = args.file;
    if (document.uri.empty() && args.file != "-") document.uri = args.file;
    if (document.media_type.empty()) document.media_type = std::string(MediaTypeOf(args.file));
  } else if (!args.text.empty()) {
    document.text = args.text;
  } else if (args.vector.empty() && args.vector_file.empty()) {
    if (isatty(STDIN_FILENO) != 0) return session.Usage("no text: --text, --file, --document or a pipe");
    ASSIGN_OR_RETURN(document.text, ReadInput("-"));
  }
  if (document.media_type.empty()) document.media_type = "text/plain";
  return absl::OkStatus();
}

// A given vector makes the text one chunk.
absl::Status AddVector(Backend& backend, PutArgs& args) {
  GivenChunk chunk;
  ASSIGN_OR_RETURN(std::vector<float> vector, VectorFromFlags(args.vector, args.vector_file));
  if (vector.empty()) return absl::OkStatus();
  if (args.space.empty()) {
    ASSIGN_OR_RETURN(const CollectionDescription description, backend.DescribeCollection(args.collection));
    args.space = description.info.spaces.at(0).name;
  }
  chunk.text = args.document.text;
  chunk.section = args.section;
  chunk.vectors[args.space] = std::move(vector);
  if (!chunk.text.empty()) chunk.span = ByteSpan{0, chunk.text.size()};
  args.document.chunks.push_back(std::move(chunk));
  return absl::OkStatus();
}

absl::Status ReadDocument(Session& session, Backend& backend, PutArgs& args) {
  if (!args.json.empty()) {
    ASSIGN_OR_RETURN(const std::string text, ReadInput(args.json));
    ASSIGN_OR_RETURN(const Json json, ParseJson(text, args.json == "-" ? "standard input" : args.json));
    const std::string tenant = args.document.tenant;
    ASSIGN_OR_RETURN(args.document, DocumentFromJson(json));
    if (!tenant.empty()) args.document.tenant = tenant;
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(ReadText(session, args));
  if (args.document.id.empty()) return session.Usage("a document needs --id");
  ASSIGN_OR_RETURN(args.document.metadata, ParseMetadataFlags(args.metadata));
  if (!args.expires_in.empty()) {
    absl::Duration life;
    if (!absl::ParseDuration(args.expires_in, &life) || life <= absl::ZeroDuration()) {
      return session.Usage(absl::StrCat("--expires-in ", args.expires_in, ": expected such as 90s, 12h"));
    }
    args.document.expires_at_ms = absl::ToUnixMillis(absl::Now() + life);
  }
  return AddVector(backend, args);
}

absl::Status RunPut(Session& session, PutArgs args) {
  ASSIGN_OR_RETURN(Backend * backend, session.Open());
  RETURN_IF_ERROR(ReadDocument(session, *backend, args));
  ASSIGN_OR_RETURN(const std::vector<UpsertResult> results,
                   backend->Upsert(args.collection, {args.document}));
  const UpsertResult& result = results.at(0);
  if (result.error_code != 0) {
    return absl::Status(static_cast<absl::StatusCode>(result.error_code), result.error);
  }
  session.Show(ToJson(result),
               absl::StrCat("stored ", Printable(result.id), ", version ", result.version, ", ",
                            result.chunks, result.chunks == 1 ? " chunk\n" : " chunks\n"));
  return absl::OkStatus();
}

}  // namespace

void AddPutCommand(CLI::App& app, Session& session) {
  CLI::App* put = session.AddCommand(
      app, "put", "Stores one document, replacing the one of that id",
      "larder put docs --db pantry --id carrots --text 'Carrots keep for months in damp sand.'\n"
      "  larder put docs --db pantry --file notes.md --title Notes --meta year=1970 --meta "
      "'tag=[\"a\",\"b\"]'\n"
      "  larder get docs carrots --db pantry --json | larder put docs --db other --document -");
  auto args = std::make_shared<PutArgs>();
  args->document.media_type.clear();
  Document& document = args->document;
  put->add_option("collection", args->collection, "The collection\'s name")->required();
  put->add_option("--id", document.id, "Its id; the file's path if --file is given");
  CLI::Option* text = put->add_option("--text", args->text, "Its text; else --file, else standard input");
  CLI::Option* file =
      put->add_option("--file", args->file, "A file with its text; - = standard input")->type_name("FILE");
  file->excludes(text);
  put->add_option("--document", args->json, "A file with the document as JSON, as `get --json` prints it")
      ->type_name("FILE")
      ->excludes(text)
      ->excludes(file);
  put->add_option("--title", document.title, "Its title");
  put->add_option("--uri", document.uri, "Where it came from; the file's path if --file is given");
  put->add_option("--media-type", document.media_type,
                  "text/plain or text/markdown; else by the file's name");
  put->add_option("--meta", args->metadata,
                  "Metadata: a number, true, \"...\", [...] or plain text; repeatable")
      ->allow_extra_args(false)
      ->type_name("FIELD=VALUE");
  CLI::Option* vector =
      put->add_option("--vector", args->vector, "Its vector, 0.1,0.2,...: the text becomes one chunk");
  put->add_option("--vector-file", args->vector_file, "The same from a file: .npy, .fvecs, .fbin")
      ->type_name("FILE")
      ->excludes(vector);
  put->add_option("--space", args->space, "The vector's space; else the collection's first");
  put->add_option("--section", args->section, "With a vector: the chunk's section");
  put->add_option("--expires-in", args->expires_in, "Delete it after this time, such as 90s or 12h")
      ->type_name("TIME");
  put->add_option("--tenant", document.tenant, "Whose document it is");
  session.OnCall(put, [&session, args] { return RunPut(session, *args); });
}

}  // namespace larder::tools

// get, chunks, delete, scroll, count.

#include "absl/strings/str_cat.h"
#include "storage/status_macros.h"
#include "tools/cli/session.h"
#include "tools/cli/text_layout.h"

namespace larder::tools {
namespace {

struct DocumentArgs {
  std::string collection, id, tenant, filter;
  std::vector<std::string> ids;
  bool with_chunks = false;
  bool all = false;
  ScrollRequest scroll;
};

std::string MetadataLine(const Metadata& metadata) {
  std::string line;
  for (const auto& [field, value] : metadata) {
    std::string shown = ToLine(ToJson(Metadata{{field, value}}));  // {"field":value}\n
    shown = shown.substr(shown.find(':') + 1);
    shown.resize(shown.size() - 2);
    absl::StrAppend(&line, line.empty() ? "" : "  ", Printable(field), "=", shown);
  }
  return line;
}

std::string Headline(const Document& document) {
  std::string line = Printable(document.id);
  if (!document.title.empty()) absl::StrAppend(&line, "  ", Printable(document.title));
  absl::StrAppend(&line, "\n");
  if (!document.tenant.empty()) absl::StrAppend(&line, "  tenant    ", Printable(document.tenant), "\n");
  if (!document.uri.empty()) absl::StrAppend(&line, "  uri       ", Printable(document.uri), "\n");
  if (!document.metadata.empty())
    absl::StrAppend(&line, "  metadata  ", MetadataLine(document.metadata), "\n");
  absl::StrAppend(&line, "  version   ", document.version, "\n");
  if (document.expires_at_ms != 0) {
    absl::StrAppend(&line, "  expires   ", UtcTime(document.expires_at_ms), "\n");
  }
  return line;
}

absl::Status RunGet(Session& session, const DocumentArgs& args) {
  ASSIGN_OR_RETURN(Backend * backend, session.Open());
  ASSIGN_OR_RETURN(const Document document,
                   backend->Get(args.collection, args.id, args.tenant, args.with_chunks));
  if (session.json()) {
    session.PrintJson(ToJson(document, /*with_text=*/true));
    return absl::OkStatus();
  }
  session.Print(Headline(document));
  if (!document.text.empty()) session.Print(absl::StrCat("\n", document.text, "\n"));
  for (size_t i = 0; i < document.chunks.size(); ++i) {
    const GivenChunk& chunk = document.chunks[i];
    session.Print(absl::StrCat("\nchunk ", i, "  ", Printable(chunk.section), "\n",
                               Wrap(chunk.text, TerminalWidth(), 2)));
  }
  return absl::OkStatus();
}

absl::Status RunChunks(Session& session, const DocumentArgs& args) {
  ASSIGN_OR_RETURN(Backend * backend, session.Open());
  ASSIGN_OR_RETURN(const std::vector<Chunk> chunks, backend->Chunks(args.collection, args.id, args.tenant));
  for (const Chunk& chunk : chunks) {
    if (session.json()) {
      session.PrintJson(ToJson(chunk));
      continue;
    }
    session.Print(absl::StrCat("chunk ", chunk.ordinal, "  bytes ", chunk.span.begin, "-", chunk.span.end,
                               "  ", chunk.token_count, " tokens", chunk.section.empty() ? "" : "  ",
                               Printable(chunk.section), "\n", Wrap(chunk.text, TerminalWidth(), 2), "\n"));
  }
  return absl::OkStatus();
}

void PrintDeleted(Session& session, uint64_t deleted) {
  session.Show(Json{{"deleted", deleted}},
               absl::StrCat("deleted ", Thousands(deleted), deleted == 1 ? " document\n" : " documents\n"));
}

absl::Status RunDelete(Session& session, const DocumentArgs& args) {
  if (args.ids.empty() == args.filter.empty()) return session.Usage("delete what? ids, or --where FILTER");
  ASSIGN_OR_RETURN(Backend * backend, session.Open());
  if (!args.filter.empty()) {
    ASSIGN_OR_RETURN(const uint64_t deleted, backend->DeleteWhere(args.collection, args.filter, args.tenant));
    PrintDeleted(session, deleted);
    return absl::OkStatus();
  }
  std::string missing;
  uint64_t deleted = 0;
  for (const std::string& id : args.ids) {
    ASSIGN_OR_RETURN(const bool existed, backend->Delete(args.collection, id, args.tenant));
    deleted += existed ? 1 : 0;
    if (!existed) absl::StrAppend(&missing, missing.empty() ? "\"" : ", \"", Printable(id), "\"");
  }
  PrintDeleted(session, deleted);
  if (missing.empty()) return absl::OkStatus();
  return absl::NotFoundError(absl::StrCat("collection \"", args.collection, "\" has no document ", missing));
}

absl::Status RunScroll(Session& session, DocumentArgs args) {
  ASSIGN_OR_RETURN(Backend * backend, session.Open());
  args.scroll.tenant = args.tenant;
  args.scroll.filter = args.filter;
  do {
    ASSIGN_OR_RETURN(const ScrollReply reply, backend->Scroll(args.collection, args.scroll));
    for (const Document& document : reply.documents) {
      if (session.json()) {
        session.PrintJson(ToJson(document, args.scroll.include_text));
      } else {
        session.Print(Headline(document));
        if (args.scroll.include_text) session.Print(Wrap(document.text, TerminalWidth(), 2));
      }
    }
    args.scroll.cursor = reply.cursor;
  } while (args.all && !args.scroll.cursor.empty());
  if (args.scroll.cursor.empty()) return absl::OkStatus();
  session.Show(Json{{"cursor", args.scroll.cursor}},
               absl::StrCat("\nmore: --cursor '", Printable(args.scroll.cursor), "', or --all\n"));
  return absl::OkStatus();
}

absl::Status RunCount(Session& session, const DocumentArgs& args) {
  ASSIGN_OR_RETURN(Backend * backend, session.Open());
  ASSIGN_OR_RETURN(const uint64_t count, backend->Count(args.collection, args.filter, args.tenant));
  session.Show(Json{{"count", count}}, absl::StrCat(count, "\n"));
  return absl::OkStatus();
}

void AddGetAndChunks(CLI::App& app, Session& session) {
  auto args = std::make_shared<DocumentArgs>();
  CLI::App* get = session.AddCommand(app, "get", "Shows a document", "larder get docs carrots --db pantry");
  get->add_flag("--chunks", args->with_chunks, "With its chunks and their vectors");
  CLI::App* chunks = session.AddCommand(app, "chunks", "Lists a document's chunks, in order",
                                        "larder chunks docs carrots --db pantry --json");
  for (CLI::App* command : {get, chunks}) {
    command->add_option("collection", args->collection, "The collection\'s name")->required();
    command->add_option("id", args->id, "The document's id")->required();
    command->add_option("--tenant", args->tenant, "Whose document it is");
  }
  session.OnCall(get, [&session, args] { return RunGet(session, *args); });
  session.OnCall(chunks, [&session, args] { return RunChunks(session, *args); });
}

constexpr const char* kWhereHelp = "Only documents that match, such as 'year >= 1970 and lang = \"en\"'";

}  // namespace

void AddDocumentCommands(CLI::App& app, Session& session) {
  AddGetAndChunks(app, session);
  auto args = std::make_shared<DocumentArgs>();
  CLI::App* remove =
      session.AddCommand(app, "delete", "Deletes documents with their chunks, vectors and KV entries",
                         "larder delete docs carrots turnips --db pantry\n"
                         "  larder delete docs --where 'year < 1970' --db pantry");
  CLI::App* scroll = session.AddCommand(app, "scroll", "Lists documents in order of id",
                                        "larder scroll docs --db pantry --where 'year >= 1970' --all --json");
  CLI::App* count = session.AddCommand(app, "count", "Counts documents",
                                       "larder count docs --db pantry --where 'year >= 1970'");
  for (CLI::App* command : {remove, scroll, count}) {
    command->add_option("collection", args->collection, "The collection\'s name")->required();
    command->add_option("--where", args->filter, kWhereHelp)->type_name("FILTER");
    command->add_option("--tenant", args->tenant, "Whose documents");
  }
  remove->add_option("ids", args->ids, "Their ids");
  scroll->add_option("--limit", args->scroll.limit, "At most so many a page")->capture_default_str();
  scroll->add_option("--cursor", args->scroll.cursor, "Where the last page ended");
  scroll->add_flag("--all", args->all, "Every page");
  scroll->add_flag("--with-text", args->scroll.include_text, "With their texts");
  session.OnCall(remove, [&session, args] { return RunDelete(session, *args); });
  session.OnCall(scroll, [&session, args] { return RunScroll(session, *args); });
  session.OnCall(count, [&session, args] { return RunCount(session, *args); });
}

}  // namespace larder::tools

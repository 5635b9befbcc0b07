// search: the nearest chunks to a text or a vector.
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "storage/status_macros.h"
#include "tools/cli/input.h"
#include "tools/cli/session.h"
#include "tools/cli/text_layout.h"

namespace larder::tools {
namespace {

constexpr size_t kSnippetLines = 3;

struct SearchArgs {
  std::string collection;
  std::vector<std::string> words;
  std::string vector, vector_file;
  SearchRequest request;
  bool no_text = false, full = false;
};

std::string HitText(const Hit& hit, size_t rank, const SearchArgs& args) {
  const size_t width = TerminalWidth();
  std::string text = absl::StrFormat("%3u. %.4f  %s", rank, hit.score, Printable(hit.document_id));
  if (!hit.title.empty() && hit.title != hit.document_id) {
    absl::StrAppend(&text, "  ", Printable(hit.title));
  }
  absl::StrAppend(&text, "  (chunk ", hit.ordinal, ")\n");
  if (!hit.section.empty()) absl::StrAppend(&text, "     § ", Printable(hit.section), "\n");
  if (args.request.include_text) {
    absl::StrAppend(&text,
                    args.full ? Wrap(hit.text, width, 5) : WrapLines(hit.text, width, 5, kSnippetLines));
  }
  if (args.request.include_metadata && !hit.metadata.empty()) {
    absl::StrAppend(&text, "     ", ToLine(ToJson(hit.metadata)));
  }
  return text;
}

void PrintReply(Session& session, const SearchReply& reply, const SearchArgs& args, absl::Duration took) {
  std::string text;
  for (size_t i = 0; i < reply.hits.size(); ++i) {
    absl::StrAppend(&text, HitText(reply.hits[i], i + 1, args), "\n");
  }
  absl::StrAppend(&text, reply.hits.size(), " of ", Thousands(reply.matches), " chunks in ",
                  HumanMicros(absl::ToDoubleMicroseconds(took)), " (", reply.plan);
  if (reply.ef > 0) absl::StrAppend(&text, ", ef ", reply.ef);
  if (reply.io.rounds > 0) {
    absl::StrAppend(&text, ", ", reply.io.reads, " reads of ", HumanBytes(reply.io.bytes), " in ", reply.io.rounds, " rounds");
  }
  if ((reply.ef > 0 || reply.io.rounds > 0) && reply.recall_estimate) {
    absl::StrAppendFormat(&text, ", recall about %.3f", *reply.recall_estimate);
  }
  for (const StageTiming& timing : reply.timings) {
    absl::StrAppend(&text, ", ", timing.stage, " ", HumanMicros(timing.micros));
  }
  session.Print(absl::StrCat(text, ")\n"));
}

absl::Status RunSearch(Session& session, SearchArgs args) {
  args.request.text = absl::StrJoin(args.words, " ");
  args.request.include_text = !args.no_text;
  ASSIGN_OR_RETURN(args.request.vector, VectorFromFlags(args.vector, args.vector_file));
  if (args.request.text.empty() == args.request.vector.empty()) {
    return session.Usage("search for what? either words, or --vector or --vector-file");
  }
  ASSIGN_OR_RETURN(Backend * backend, session.Open());
  const absl::Time start = absl::Now();
  ASSIGN_OR_RETURN(const SearchReply reply, backend->Search(args.collection, args.request));
  if (session.json()) {
    session.PrintJson(ToJson(reply, args.request));
  } else {
    PrintReply(session, reply, args, absl::Now() - start);
  }
  return absl::OkStatus();
}

}  // namespace

void AddSearchCommand(CLI::App& app, Session& session) {
  CLI::App* search =
      session.AddCommand(app, "search", "Finds the chunks nearest to a question, or to a vector",
                         "larder search docs 'how do I store root vegetables?' --db pantry\n"
                         "  larder search docs 'root vegetables' --db pantry -k 3 --where 'year >= 1970'\n"
                         "  larder search images --vector-file query.npy --db pantry --json");
  auto args = std::make_shared<SearchArgs>();
  SearchRequest& request = args->request;
  search->add_option("collection", args->collection, "The collection\'s name")->required();
  search->add_option("text", args->words, "The question, in words");
  CLI::Option* vector = search->add_option("--vector", args->vector, "A vector instead: 0.1,0.2,...");
  search->add_option("--vector-file", args->vector_file, "The same from a file: .npy, .fvecs, .fbin")
      ->type_name("FILE")
      ->excludes(vector);
  search->add_option("--space", request.space, "Vector space; else the collection's first");
  search->add_option("-k", request.k, "How many chunks")->capture_default_str();
  search->add_option("--where", request.filter, "Only chunks that match, such as 'year >= 1970'")
      ->type_name("FILTER");
  search->add_option("--tenant", request.tenant, "Whose chunks");
  CLI::Option* ef =
      search->add_option("--ef", request.ef, "HNSW candidates: more is surer and slower; 0 = the collection's");
  search->add_option("--target-recall", request.target_recall,
                     "Instead: the share of the true nearest to find, such as 0.95")
      ->excludes(ef);
  search->add_flag("--exact", request.exact, "Compare with every match");
  search->add_flag("--full", args->full, "Whole chunks, not snippets");
  search->add_flag("--no-text", args->no_text, "No text, title, section");
  search->add_flag("--with-metadata", request.include_metadata, "With metadata");
  search->add_flag("--with-vector", request.include_vector, "With vectors (--json)");
  search->add_flag("--timings", request.timings, "With the time of each stage");
  session.OnCall(search, [&session, args] { return RunSearch(session, *args); });
}

}  // namespace larder::tools

// kv profile, put, get, lookup, plan, delete, pin, ttl.

#include <algorithm>
#include <iterator>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "storage/status_macros.h"
#include "tools/cli/input.h"
#include "tools/cli/kv_tensors.h"
#include "tools/cli/session.h"
#include "tools/cli/text_layout.h"

namespace larder::tools {
namespace {

struct KvArgs {
  std::string profile, tenant;
  std::vector<std::string> tokens;  // one list of ids each
  std::string tokens_file;          // JSON: [1, 2] or [[1, 2], [3]]
  std::string tensors;
  std::vector<std::string> owners;  // COLLECTION/DOCUMENT#ORDINAL
  std::string register_file;
  uint32_t first = 0, count = 0, position = 0;
  std::string layers, tokens_range, heads;  // A:B
  std::optional<uint32_t> rotate_to, rotated_from;
  bool unpin = false;
  double ttl_seconds = 0;
};

// "2:5" is 2, 3 and 4; either end may be left out.
absl::Status ParseRange(absl::string_view option, absl::string_view text, uint32_t* first, uint32_t* count) {
  if (text.empty()) return absl::OkStatus();
  const size_t colon = text.find(':');
  uint32_t begin = 0, end = 0;
  const absl::string_view from = text.substr(0, colon);
  const absl::string_view to = colon == absl::string_view::npos ? "" : text.substr(colon + 1);
  if (colon == absl::string_view::npos || (!from.empty() && !absl::SimpleAtoi(from, &begin)) ||
      (!to.empty() && (!absl::SimpleAtoi(to, &end) || end <= begin))) {
    return absl::InvalidArgumentError(absl::StrCat(option, " ", text, ": expected BEGIN:END, as 2:5 or 2:"));
  }
  *first = begin;
  *count = to.empty() ? 0 : end - begin;
  return absl::OkStatus();
}

// The token lists of --tokens, or of --tokens-file.
absl::StatusOr<std::vector<std::vector<int32_t>>> TokenLists(const KvArgs& args) {
  std::vector<std::string> texts = args.tokens;
  if (!args.tokens_file.empty()) {
    ASSIGN_OR_RETURN(const std::string text, ReadInput(args.tokens_file));
    ASSIGN_OR_RETURN(const Json json, ParseJson(text, args.tokens_file));
    if (json.is_array() && !json.empty() && json[0].is_array()) {
      for (const Json& list : json) texts.push_back(list.dump());
    } else {
      texts.push_back(json.dump());
    }
  }
  std::vector<std::vector<int32_t>> lists;
  for (const std::string& text : texts) {
    ASSIGN_OR_RETURN(std::vector<int32_t> tokens, ParseTokens(text));
    lists.push_back(std::move(tokens));
  }
  return lists;
}

absl::StatusOr<std::vector<KvKey>> Keys(Session& session, const KvArgs& args) {
  ASSIGN_OR_RETURN(std::vector<std::vector<int32_t>> lists, TokenLists(args));
  if (lists.empty()) return session.Usage("which tokens? --tokens 1,2,3 or --tokens-file FILE.json");
  if (args.profile.empty())
    return session.Usage("which profile? --profile ID; `larder kv profile` lists them");
  std::vector<KvKey> keys;
  for (std::vector<int32_t>& tokens : lists) keys.push_back({args.tenant, args.profile, std::move(tokens)});
  return keys;
}

absl::StatusOr<KvKey> OneKey(Session& session, const KvArgs& args) {
  ASSIGN_OR_RETURN(std::vector<KvKey> keys, Keys(session, args));
  if (keys.size() != 1)
    return session.Usage(absl::StrCat("expected one list of tokens, found ", keys.size()));
  return std::move(keys[0]);
}

// "docs/carrots#2"; an id may hold '/' and '#'.
absl::StatusOr<KvOwner> ParseOwner(const std::string& text) {
  KvOwner owner;
  const size_t slash = text.find('/'), hash = text.rfind('#');
  if (slash == std::string::npos || hash == std::string::npos || hash < slash ||
      !absl::SimpleAtoi(text.substr(hash + 1), &owner.ordinal)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--owner ", text, ": expected COLLECTION/DOCUMENT#ORDINAL"));
  }
  owner.collection = text.substr(0, slash);
  owner.document_id = text.substr(slash + 1, hash - slash - 1);
  return owner;
}

absl::Status RunProfile(Session& session, const KvArgs& args) {
  if (!args.register_file.empty() && !args.profile.empty())
    return session.Usage("either an id or --register");
  KvProfile profile;
  if (!args.register_file.empty()) {  // read before anything is opened
    ASSIGN_OR_RETURN(const std::string text, ReadInput(args.register_file));
    ASSIGN_OR_RETURN(const Json json, ParseJson(text, args.register_file));
    ASSIGN_OR_RETURN(profile, KvProfileFromJson(json));
  }
  ASSIGN_OR_RETURN(Backend * backend, session.Open());
  std::vector<std::string> ids;
  if (!args.register_file.empty()) {
    ASSIGN_OR_RETURN(const std::string id, backend->RegisterProfile(profile));
    ids = {id};
  } else if (!args.profile.empty()) {
    ids = {args.profile};
  } else {
    ASSIGN_OR_RETURN(ids, backend->ListProfiles());
  }
  for (const std::string& id : ids) {
    ASSIGN_OR_RETURN(profile, backend->GetProfile(id));
    Json json{{"profile_id", id}, {"profile", ToJson(profile)}};
    session.Print(session.json() ? ToLine(json)
                                 : absl::StrCat(id, "  ", Printable(profile.model), ", ", profile.layers,
                                                " layers, ", profile.kv_heads, " KV heads of ",
                                                profile.head_dim, ", ", NameOf(profile.dtype), "\n"));
  }
  if (ids.empty() && !session.json()) session.Print("no profiles\n");
  return absl::OkStatus();
}

// What flags leave open, the file's header says; both must agree where both speak.
absl::StatusOr<KvKey> KeyOfFile(Session& session, const KvArgs& args) {
  ASSIGN_OR_RETURN(const KvFile header, ReadKvFileHeader(args.tensors));
  KvArgs merged = args;
  if (merged.profile.empty()) merged.profile = header.profile_id;
  if (merged.tokens.empty() && merged.tokens_file.empty() && !header.tokens.empty()) {
    merged.tokens = {absl::StrJoin(header.tokens, ",")};
  }
  ASSIGN_OR_RETURN(KvKey key, OneKey(session, merged));
  if ((!header.profile_id.empty() && header.profile_id != key.profile_id) ||
      (!header.tokens.empty() && header.tokens != key.tokens)) {
    return absl::InvalidArgumentError(
        absl::StrCat(args.tensors, ": its header names another profile or other tokens than the options"));
  }
  return key;
}

absl::Status RunPut(Session& session, const KvArgs& args) {
  KvPutRequest request;
  ASSIGN_OR_RETURN(request.key, KeyOfFile(session, args));
  request.rotated_from = args.rotated_from;
  if (!request.rotated_from.has_value()) {
    ASSIGN_OR_RETURN(const KvFile header, ReadKvFileHeader(args.tensors));
    request.rotated_from = header.rotated_from;
  }
  for (const std::string& text : args.owners) {
    ASSIGN_OR_RETURN(KvOwner owner, ParseOwner(text));
    request.owners.push_back(std::move(owner));
  }
  ASSIGN_OR_RETURN(Backend * backend, session.Open());
  ASSIGN_OR_RETURN(const KvProfile profile, backend->GetProfile(request.key.profile_id));
  ASSIGN_OR_RETURN(const std::vector<KvLayer> layers,
                   ReadKvLayers(args.tensors, profile, request.key.tokens.size()));
  RETURN_IF_ERROR(backend->PutKv(request, layers));
  const uint64_t bytes = 2 * profile.layers * profile.LayerBytes(request.key.tokens.size());
  session.Show(Json{{"tokens", request.key.tokens.size()}, {"layers", profile.layers}, {"bytes", bytes}},
               absl::StrCat("stored ", request.key.tokens.size(), " tokens, ", profile.layers, " layers, ",
                            HumanBytes(bytes), "\n"));
  return absl::OkStatus();
}

// The tokens that a read gives.
std::vector<int32_t> Selected(const KvReadRequest& request) {
  const auto& tokens = request.key.tokens;
  const auto begin = tokens.begin() + std::min<ptrdiff_t>(request.first_token, std::ssize(tokens));
  return {begin, request.tokens == 0 ? tokens.end()
                                     : begin + std::min<ptrdiff_t>(request.tokens, tokens.end() - begin)};
}

absl::Status RunGet(Session& session, const KvArgs& args) {
  KvReadRequest request{
      .key = {}, .first_layer = args.first, .layers = args.count, .rotate_to = args.rotate_to};
  ASSIGN_OR_RETURN(request.key, OneKey(session, args));
  RETURN_IF_ERROR(ParseRange("--layers", args.layers, &request.first_layer, &request.layers));
  RETURN_IF_ERROR(ParseRange("--tokens-range", args.tokens_range, &request.first_token, &request.tokens));
  RETURN_IF_ERROR(ParseRange("--heads", args.heads, &request.first_head, &request.heads));
  ASSIGN_OR_RETURN(Backend * backend, session.Open());
  ASSIGN_OR_RETURN(const KvProfile profile, backend->GetProfile(request.key.profile_id));
  ASSIGN_OR_RETURN(const std::vector<KvLayer> layers, backend->ReadKv(request));
  KvFile header{request.key.profile_id, Selected(request), {}};
  ASSIGN_OR_RETURN(const std::vector<KvLookup> found, backend->LookupKv({&request.key, 1}));
  const bool turned = args.rotate_to.has_value() && profile.rope_style != RopeStyle::kNone;
  header.rotated_from = turned ? args.rotate_to : found[0].rotated_from;
  if (header.rotated_from.has_value()) *header.rotated_from += request.first_token;
  const uint32_t heads = request.heads == 0 ? profile.kv_heads - request.first_head : request.heads;
  RETURN_IF_ERROR(WriteKvFile(args.tensors, profile, header, heads, layers));
  uint64_t bytes = 0;
  for (const KvLayer& layer : layers) bytes += layer.k.size() + layer.v.size();
  session.Show(Json{{"file", args.tensors}, {"layers", layers.size()}, {"bytes", bytes}},
               absl::StrCat(args.tensors, ": ", layers.size(), " layers, ", HumanBytes(bytes), "\n"));
  return absl::OkStatus();
}

absl::Status RunLookup(Session& session, const KvArgs& args) {
  ASSIGN_OR_RETURN(const std::vector<KvKey> keys, Keys(session, args));
  ASSIGN_OR_RETURN(Backend * backend, session.Open());
  ASSIGN_OR_RETURN(const std::vector<KvLookup> answers, backend->LookupKv(keys));
  for (const KvLookup& answer : answers) {
    session.Show(Json{{"hit", answer.hit}, {"tokens", answer.tokens}, {"bytes", answer.bytes}},
                 answer.hit
                     ? absl::StrCat("hit   ", answer.tokens, " tokens, ", HumanBytes(answer.bytes), "\n")
                     : std::string("miss\n"));
  }
  return absl::OkStatus();
}

void PrintPlan(Session& session, const KvPlan& plan) {
  Json json{{"hit_tokens", plan.hit_tokens},
            {"miss_tokens", plan.miss_tokens},
            {"bytes", plan.bytes},
            {"items", Json::array()}};
  Table table({"chunk", "answer", "position", "tokens", "to load"});
  for (const KvPlanItem& item : plan.items) {
    table.Add({absl::StrCat(json["items"].size()), item.hit ? "hit" : "miss", absl::StrCat(item.position),
               absl::StrCat(item.tokens), HumanBytes(item.bytes)});
    json["items"].push_back(
        {{"hit", item.hit}, {"position", item.position}, {"tokens", item.tokens}, {"bytes", item.bytes}});
  }
  session.Show(json,
               absl::StrCat(table.ToString(), "\n", Thousands(plan.hit_tokens), " tokens to load (",
                            HumanBytes(plan.bytes), "), ", Thousands(plan.miss_tokens), " to compute\n"));
}

absl::Status RunPlan(Session& session, const KvArgs& args) {
  ASSIGN_OR_RETURN(const std::vector<KvKey> keys, Keys(session, args));
  KvPlanRequest request{args.tenant, args.profile, {}, args.position};
  for (const KvKey& key : keys) request.chunks.push_back(key.tokens);
  ASSIGN_OR_RETURN(Backend * backend, session.Open());
  ASSIGN_OR_RETURN(const KvPlan plan, backend->PlanKv(request));
  PrintPlan(session, plan);
  return absl::OkStatus();
}

absl::Status RunDelete(Session& session, const KvArgs& args) {
  ASSIGN_OR_RETURN(const KvKey key, OneKey(session, args));
  ASSIGN_OR_RETURN(Backend * backend, session.Open());
  ASSIGN_OR_RETURN(const bool existed, backend->DeleteKv(key));
  if (session.json()) session.PrintJson(Json{{"deleted", existed ? 1 : 0}});
  if (!existed) return absl::NotFoundError("no KV entry for these tokens under this profile and tenant");
  if (!session.json()) session.Print("deleted\n");
  return absl::OkStatus();
}

absl::Status RunPin(Session& session, const KvArgs& args) {
  ASSIGN_OR_RETURN(const KvKey key, OneKey(session, args));
  ASSIGN_OR_RETURN(Backend * backend, session.Open());
  RETURN_IF_ERROR(backend->PinKv(key, !args.unpin));
  session.Show(Json{{"pinned", !args.unpin}}, args.unpin ? "not pinned\n" : "pinned\n");
  return absl::OkStatus();
}

absl::Status RunTtl(Session& session, const KvArgs& args) {
  ASSIGN_OR_RETURN(const KvKey key, OneKey(session, args));
  const bool never = args.ttl_seconds == 0;
  const absl::Duration ttl = never ? absl::InfiniteDuration() : absl::Seconds(args.ttl_seconds);
  ASSIGN_OR_RETURN(Backend * backend, session.Open());
  RETURN_IF_ERROR(backend->SetKvTtl(key, ttl));
  session.Show(Json{{"ttl_seconds", args.ttl_seconds}},
               never ? std::string("does not expire\n") : absl::StrCat("expires in ", absl::FormatDuration(ttl), "\n"));
  return absl::OkStatus();
}

void AddKeyOptions(CLI::App* command, KvArgs& args) {
  command->add_option("--profile", args.profile, "Id of the KV profile")->type_name("ID");
  CLI::Option* tokens = command->add_option("--tokens", args.tokens, "A chunk's token ids, 1,2,3; repeatable")
                            ->allow_extra_args(false);
  command->add_option("--tokens-file", args.tokens_file, "JSON with them: [1, 2, 3], or a list of such lists")
      ->type_name("FILE")
      ->excludes(tokens);
  command->add_option("--tenant", args.tenant, "Whose entry");
}

void AddPutAndGet(CLI::App& kv, Session& session, const std::shared_ptr<KvArgs>& args) {
  CLI::App* put =
      session.AddCommand(kv, "put", "Stores a chunk's tensors from a safetensors file",
                         "larder kv put chunk.safetensors --profile 3f2a... --tokens 1,2,3 --db pantry\n"
                         "  larder kv put chunk.safetensors --owner docs/carrots#0 --db pantry");
  put->add_option("tensors", args->tensors, "Tensors layers.N.k and layers.N.v, [tokens, kv_heads, head_dim]")
      ->type_name("FILE")
      ->required();
  AddKeyOptions(put, *args);
  put->add_option("--owner", args->owners, "The chunk that it belongs to and goes with; repeatable")
      ->allow_extra_args(false)
      ->type_name("COLLECTION/DOCUMENT#ORDINAL");
  put->add_option(
      "--rotated-from", args->rotated_from,
      "K is rotated, its first token to this position; else it comes before RoPE, unless the file says");
  session.OnCall(put, [&session, args] { return RunPut(session, *args); });

  CLI::App* get = session.AddCommand(
      kv, "get", "Writes a chunk's tensors to a safetensors file",
      "larder kv get chunk.safetensors --profile 3f2a... --tokens 1,2,3 --db pantry\n"
      "  larder kv get half.safetensors --profile 3f2a... --tokens-file chunk.json --layers 0:8 "
      "--heads 0:4 --rotate-to 512 --db pantry");
  get->add_option("tensors", args->tensors, "The file to write")->type_name("FILE")->required();
  AddKeyOptions(get, *args);
  CLI::Option* first = get->add_option("--first", args->first, "The first layer")->capture_default_str();
  CLI::Option* count =
      get->add_option("--count", args->count, "How many layers; 0 = all that follow")->capture_default_str();
  get->add_option("--layers", args->layers, "Layers BEGIN to END - 1")
      ->type_name("BEGIN:END")
      ->excludes(first)
      ->excludes(count);
  get->add_option("--tokens-range", args->tokens_range, "Tokens of the chunk, by number")
      ->type_name("BEGIN:END");
  get->add_option("--heads", args->heads, "KV heads, as for one rank of a tensor-parallel split")
      ->type_name("BEGIN:END");
  get->add_option("--rotate-to", args->rotate_to, "Rotates K: the chunk's first token gets this position")
      ->type_name("POSITION");
  session.OnCall(get, [&session, args] { return RunGet(session, *args); });
}

void AddPinAndTtl(CLI::App& kv, Session& session, const std::shared_ptr<KvArgs>& args) {
  CLI::App* pin = session.AddCommand(kv, "pin", "Keeps a chunk's tensors from being evicted",
                                     "larder kv pin --profile 3f2a... --tokens 1,2,3 --db pantry");
  AddKeyOptions(pin, *args);
  pin->add_flag("--undo", args->unpin, "Let it go again");
  session.OnCall(pin, [&session, args] { return RunPin(session, *args); });

  CLI::App* ttl = session.AddCommand(kv, "ttl", "Says when a chunk's tensors expire",
                                     "larder kv ttl --profile 3f2a... --tokens 1,2,3 --seconds 3600 --db pantry");
  AddKeyOptions(ttl, *args);
  ttl->add_option("--seconds", args->ttl_seconds, "From now on; 0 = never")->required()->check(CLI::NonNegativeNumber);
  session.OnCall(ttl, [&session, args] { return RunTtl(session, *args); });
}

}  // namespace

void AddKvCommands(CLI::App& app, Session& session) {
  CLI::App* kv = app.add_subcommand("kv", "KV caches of chunks: profile, put, get, lookup, plan, delete, pin, ttl, quota, stats");
  kv->require_subcommand(1);
  kv->footer("Example:\n  larder kv lookup --profile 3f2a... --tokens 1,2,3 --db pantry");
  auto args = std::make_shared<KvArgs>();
  CLI::App* profile = session.AddCommand(*kv, "profile", "Registers, shows or lists KV profiles",
                                         "larder kv profile --register model.json --db pantry\n"
                                         "  larder kv profile --db pantry --json");
  profile->add_option("id", args->profile, "Show this one; else all");
  profile->add_option("--register", args->register_file, "JSON with the profile's fields; - = standard input")
      ->type_name("FILE");
  session.OnCall(profile, [&session, args] { return RunProfile(session, *args); });

  AddPutAndGet(*kv, session, args);

  CLI::App* lookup =
      session.AddCommand(*kv, "lookup", "Tells which chunks are here",
                         "larder kv lookup --profile 3f2a... --tokens 1,2,3 --tokens 4,5 --db pantry");
  AddKeyOptions(lookup, *args);
  session.OnCall(lookup, [&session, args] { return RunLookup(session, *args); });

  CLI::App* plan =
      session.AddCommand(*kv, "plan", "Tells what of a prompt is here, where it goes, what it weighs",
                         "larder kv plan --profile 3f2a... --tokens-file prompt.json --db pantry");
  AddKeyOptions(plan, *args);
  plan->add_option("--position", args->position, "Of the first chunk's first token")->capture_default_str();
  session.OnCall(plan, [&session, args] { return RunPlan(session, *args); });

  CLI::App* remove = session.AddCommand(*kv, "delete", "Deletes a chunk's tensors",
                                        "larder kv delete --profile 3f2a... --tokens 1,2,3 --db pantry");
  AddKeyOptions(remove, *args);
  session.OnCall(remove, [&session, args] { return RunDelete(session, *args); });

  AddPinAndTtl(*kv, session, args);
  AddKvTierCommands(*kv, session);
}

}  // namespace larder::tools

// larderd: one database directory behind gRPC, until SIGTERM or SIGINT.
#include <pthread.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "larder/database.h"
#include "rpc/fd_limit.h"
#include "rpc/kv_socket.h"
#include "rpc/server.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

struct Arguments {
  std::string database, port_file;
  KvSocketOptions kv_socket;
  uint64_t memory_mib = 0;
  uint64_t kv_pool_mib = 0;
  OpenOptions open;
  ServerOptions server;
  int64_t max_message_mib = 64;
};

void Declare(CLI::App* app, Arguments* arguments) {
  app->add_option("--db", arguments->database, "database directory")->required();
  app->add_flag("--create", arguments->open.create_if_missing, "create it if it is not there");
  app->add_option("--listen", arguments->server.listen, "loopback address; port 0 takes any free one")
      ->capture_default_str();
  app->add_option("--port-file", arguments->port_file, "write the address to this file once it serves");
  app->add_option("--max-message-mb", arguments->max_message_mib, "largest request, MiB (1 to 1024)")
      ->check(CLI::Range(int64_t{1}, int64_t{1024}))
      ->capture_default_str();
  app->add_option("--max-calls", arguments->server.max_concurrent_calls,
                  "calls at once; more are refused with RESOURCE_EXHAUSTED")
      ->capture_default_str();
  app->add_option(
      "--max-layer-mb",
      [arguments](const CLI::results_t& values) {
        int64_t mib = 0;
        if (!CLI::detail::lexical_cast(values[0], mib) || mib < 1 || mib > (int64_t{1} << 20)) return false;
        arguments->server.max_layer_bytes = mib << 20;
        return true;
      },
      "largest KV layer, K and V, MiB");
  app->add_option("--backup-root", arguments->server.backup_root,
                  "directory for backups; without it none are made");
  app->add_flag("--allow-http-embedder", arguments->server.allow_http_embedder,
                "let clients name embedding endpoints, and the environment variable sent there as the key");
  app->add_option("--memory-mb", arguments->memory_mib,
                  "what the database may take of memory, MiB, an eighth of it for each cache; 0 = no limit")
      ->check(CLI::Range(uint64_t{0}, uint64_t{1} << 24))
      ->capture_default_str();
  app->add_option("--kv-pool-mb", arguments->kv_pool_mib, "shared memory for KV entries, MiB; 0 = none")
      ->check(CLI::Range(uint64_t{0}, uint64_t{1} << 20))
      ->capture_default_str();
  app->add_option("--kv-socket", arguments->kv_socket.path,
                  "Unix socket for processes of this user that read KV from shared memory (needs --kv-pool-mb)");
  app->add_option("--kv-disk-bytes", arguments->open.kv.disk_bytes,
                  "KV payloads on disk, at most; the least worth are evicted; 0 = no limit")
      ->capture_default_str();
  app->add_option("--kv-tenant-bytes", arguments->open.kv.tenant_bytes,
                  "likewise, of each tenant without a quota of its own")
      ->capture_default_str();
  app->add_option("--kv-demote-to", arguments->open.kv.demote_to,
                  "what would be evicted is re-encoded first, to int8 or int4 at most; empty = evicted at once")
      ->check(CLI::IsMember({"", "int8", "int4"}));
  app->add_option("--model-dir", arguments->open.model_dir, "where all-MiniLM-L6-v2 lies");
}

// Whole or not at all: a reader never sees half an address.
absl::Status WriteAddress(const std::string& path, const std::string& address) {
  const std::string half = path + ".tmp";
  std::ofstream file(half, std::ios::trunc);
  file << address << "\n";
  file.close();
  std::error_code error;
  if (file) std::filesystem::rename(half, path, error);
  if (!file || error) return absl::UnavailableError(absl::StrCat("cannot write port file ", path));
  return absl::OkStatus();
}

sigset_t StopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

absl::Status ServeUntilSignal(const Arguments& arguments) {
  const sigset_t signals = StopSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // before there are other threads: all inherit it
  signal(SIGPIPE, SIG_IGN);
  RETURN_IF_ERROR(arguments.server.Validate());  // before a database is opened, or created
  ASSIGN_OR_RETURN(const uint64_t fds, RaiseFdLimit());
  std::fprintf(stderr, "larderd: %llu file descriptors\n", static_cast<unsigned long long>(fds));
  ASSIGN_OR_RETURN(const std::unique_ptr<Database> database,
                   Database::Open(arguments.database, arguments.open));
  ASSIGN_OR_RETURN(const std::unique_ptr<Server> server, Server::Start(database.get(), arguments.server));
  std::unique_ptr<KvSocket> kv_socket;
  if (!arguments.kv_socket.path.empty()) {
    ASSIGN_OR_RETURN(kv_socket, KvSocket::Start(&database->kv(), arguments.kv_socket));
  }
  if (!arguments.port_file.empty()) RETURN_IF_ERROR(WriteAddress(arguments.port_file, server->address()));
  std::printf("listening on %s\n", server->address().c_str());
  std::fflush(stdout);
  int received = 0;
  sigwait(&signals, &received);
  std::fprintf(stderr, "larderd: signal %d, stopping\n", received);
  server->Stop();
  kv_socket = nullptr;
  return database->Close();
}

int Main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("Larder over gRPC (larder.v1), with health and reflection.");
  Declare(&app, &arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 1;
  }
  if (arguments.memory_mib > 0) {
    arguments.open.memory_bytes = arguments.memory_mib << 20;
    arguments.open.block_cache_bytes = arguments.open.write_buffer_bytes =
        std::clamp<uint64_t>(arguments.open.memory_bytes / 8, 1 << 20, 64 << 20);
  }
  arguments.open.kv_pool_bytes = arguments.kv_pool_mib << 20;
  arguments.server.max_message_bytes = arguments.max_message_mib << 20;
  const absl::Status status = ServeUntilSignal(arguments);
  if (status.ok()) return 0;
  std::fprintf(stderr, "larderd: %s\n", status.ToString().c_str());
  return 1;
}

}  // namespace
}  // namespace larder

int main(int argc, char** argv) { return larder::Main(argc, argv); }

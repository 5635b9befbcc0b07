// Larder as a user has it: a database on disk, durable upserts, searches through Collection or, over a
// real socket, through larderd's server and the client.
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "larder/client.h"
#include "larder/database.h"
#include "rpc/server.h"
#include "storage/status_macros.h"
#include "tools/bench/ann_system.h"

namespace larder::tools {
namespace {

constexpr char kCollection[] = "bench";

absl::Status ToRows(const absl::StatusOr<SearchReply>& reply, std::vector<uint32_t>* rows) {
  RETURN_IF_ERROR(reply.status());
  rows->resize(reply->hits.size());
  for (size_t i = 0; i < rows->size(); ++i) {
    if (!absl::SimpleAtoi(reply->hits[i].document_id, &(*rows)[i])) {
      return absl::InternalError(absl::StrCat("hit \"", reply->hits[i].document_id, "\" is no row number"));
    }
  }
  return absl::OkStatus();
}

SearchRequest Request(const std::vector<float>& query, uint32_t k, uint32_t ef) {
  SearchRequest request;
  request.vector = query;
  request.k = k;
  request.ef = ef;
  request.include_text = false;
  return request;
}

class LarderSystem : public AnnSystem {
 public:
  LarderSystem(std::string index, std::string directory)
      : index_(std::move(index)), path_(absl::StrCat(directory, "/", index_)) {}

  std::string name() const override { return index_; }

  absl::Status Build(RowSource* rows, const AnnOptions& options) override {
    k_ = options.k;
    OpenOptions open;
    target_recall_ = !options.target_recall.empty();
    open.tune_recall = target_recall_;
    open.create_if_missing = true;
    open.error_if_exists = true;
    open.index_threads = BuildThreads(options);
    ASSIGN_OR_RETURN(database_, Database::Open(path_, open));
    CollectionOptions collection;
    collection.embedder = EmbedderKind::kNone;
    VectorSpaceOptions& space = collection.spaces[0];
    space.dimension = rows->dimension();
    space.index = index_ == "flat" ? IndexKind::kFlat : IndexKind::kHnsw;
    space.metric = options.metric == "l2" ? Metric::kL2 : options.metric == "dot" ? Metric::kDot : Metric::kCosine;
    space.prefix = options.prefix;
    space.hnsw.m = options.m;
    space.hnsw.ef_construction = options.ef_construction;
    ASSIGN_OR_RETURN(Collection created, database_->CreateCollection(kCollection, collection));
    collection_.emplace(std::move(created));
    RETURN_IF_ERROR(InThreads(options.streams > 0 ? options.streams : BuildThreads(options), [&](uint32_t) { return Ingest(rows); }));
    rows_ = rows->rows();
    return absl::OkStatus();
  }

  absl::Status Search(const std::vector<float>& query, uint32_t ef, std::vector<uint32_t>* rows) const override {
    return ToRows(collection_->Search(Request(query, k_, ef)), rows);
  }

  absl::Status SearchFor(const std::vector<float>& query, double target_recall, std::vector<uint32_t>* rows,
                         uint32_t* ef) const override {
    if (index_ != "hnsw") return absl::UnimplementedError("flat is exact");
    SearchRequest request = Request(query, k_, 0);
    request.target_recall = target_recall;
    const auto reply = collection_->Search(request);
    if (reply.ok()) *ef = reply->ef;
    return ToRows(reply, rows);
  }

  // Reopen has searched, so that calibration begins by itself.
  absl::Status Calibrate() override {
    const absl::Time end = absl::Now() + absl::Minutes(5);
    while (index_ == "hnsw" && collection_->Info().spaces[0].recall_points == 0) {
      if (absl::Now() > end) return absl::DeadlineExceededError("the index was not calibrated within 5 minutes");
      absl::SleepFor(absl::Milliseconds(50));
    }
    return absl::OkStatus();
  }

  std::string code() const override { return collection_->Info().spaces[0].code; }
  double bytes_per_vector() const override {
    return static_cast<double>(collection_->Info().spaces[0].resident_bytes) / static_cast<double>(rows_);
  }

  absl::StatusOr<double> Reopen(const std::vector<float>& query) override {
    collection_.reset();
    RETURN_IF_ERROR(database_->Close());
    database_.reset();
    const absl::Time start = absl::Now();
    OpenOptions open;
    open.tune_recall = target_recall_;
    ASSIGN_OR_RETURN(database_, Database::Open(path_, open));
    ASSIGN_OR_RETURN(Collection collection, database_->GetCollection(kCollection));
    collection_.emplace(std::move(collection));
    std::vector<uint32_t> rows;
    RETURN_IF_ERROR(Search(query, 0, &rows));
    return absl::ToDoubleMilliseconds(absl::Now() - start);
  }

  Database* database() { return database_.get(); }
  uint32_t k() const { return k_; }

 private:
  absl::Status Ingest(RowSource* rows) {
    std::vector<float> values;
    std::vector<Document> batch;
    for (;;) {
      uint64_t first = 0, count = 0;
      RETURN_IF_ERROR(rows->Next(&first, &count, &values));
      if (count == 0) return absl::OkStatus();
      batch.resize(count);
      for (uint64_t i = 0; i < count; ++i) {
        batch[i].id = absl::StrCat(first + i);
        batch[i].chunks.resize(1);
        const float* row = values.data() + i * rows->dimension();
        batch[i].chunks[0].vectors["default"].assign(row, row + rows->dimension());
      }
      ASSIGN_OR_RETURN(const std::vector<UpsertResult> results, collection_->Upsert(batch));
      for (const UpsertResult& result : results) {
        if (result.error_code == 0) continue;
        return absl::InvalidArgumentError(absl::StrCat("row ", result.id, ": ", result.error));
      }
    }
  }

  const std::string index_, path_;
  uint32_t k_ = 10;
  bool target_recall_ = false;
  uint64_t rows_ = 0;
  std::unique_ptr<Database> database_;
  std::optional<Collection> collection_;
};

class RpcSystem : public AnnSystem {
 public:
  RpcSystem(LarderSystem* larder, std::unique_ptr<Server> server, std::unique_ptr<Client> client)
      : larder_(larder), server_(std::move(server)), client_(std::move(client)) {}
  std::string name() const override { return absl::StrCat(larder_->name(), "-rpc"); }
  absl::Status Build(RowSource*, const AnnOptions&) override { return absl::OkStatus(); }
  absl::Status Search(const std::vector<float>& query, uint32_t ef, std::vector<uint32_t>* rows) const override {
    return ToRows(client_->Search(kCollection, Request(query, larder_->k(), ef)), rows);
  }
  double bytes_per_vector() const override { return larder_->bytes_per_vector(); }
  std::string code() const override { return larder_->code(); }
  absl::StatusOr<double> Reopen(const std::vector<float>&) override { return -1.0; }

 private:
  LarderSystem* const larder_;
  const std::unique_ptr<Server> server_;
  const std::unique_ptr<Client> client_;
};

}  // namespace

std::unique_ptr<AnnSystem> MakeLarderSystem(const std::string& index, const std::string& directory) {
  return std::make_unique<LarderSystem>(index, directory);
}

absl::StatusOr<std::unique_ptr<AnnSystem>> MakeRpcSystem(AnnSystem* larder) {
  auto* system = static_cast<LarderSystem*>(larder);
  ServerOptions server_options;
  server_options.listen = "127.0.0.1:0";
  ASSIGN_OR_RETURN(std::unique_ptr<Server> server, Server::Start(system->database(), server_options));
  ClientOptions client_options;
  client_options.address = server->address();
  ASSIGN_OR_RETURN(std::unique_ptr<Client> client, Client::Connect(client_options));
  return std::make_unique<RpcSystem>(system, std::move(server), std::move(client));
}

}  // namespace larder::tools

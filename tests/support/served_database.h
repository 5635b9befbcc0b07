// A database in a directory of its own, behind a server on a free port, and a client.
#ifndef LARDER_TESTS_SUPPORT_SERVED_DATABASE_H_
#define LARDER_TESTS_SUPPORT_SERVED_DATABASE_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "larder/client.h"
#include "larder/database.h"
#include "rpc/server.h"
#include "tests/support/temp_dir.h"

namespace larder::testing {

class ServedDatabase : public ::testing::Test {
 protected:
  void SetUp() override {
    server_options_.listen = "127.0.0.1:0";
    auto database = Database::Open(directory_ / "db", OpenOptions{.create_if_missing = true});
    ASSERT_TRUE(database.ok()) << database.status();
    database_ = *std::move(database);
  }

  void TearDown() override {
    client_ = nullptr;
    server_ = nullptr;
    database_ = nullptr;
  }

  // Call it once the options are as the test wants them.
  void Serve() {
    auto server = Server::Start(database_.get(), server_options_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    client_options_.address = server_->address();
    auto client = Client::Connect(client_options_);
    ASSERT_TRUE(client.ok()) << client.status();
    client_ = *std::move(client);
  }

  // Vectors are given; one space of dimension 4, under cosine.
  static CollectionOptions PlainOptions() {
    CollectionOptions options;
    options.embedder = EmbedderKind::kNone;
    options.spaces = {VectorSpaceOptions{.dimension = 4, .index = IndexKind::kFlat}};
    return options;
  }

  // The i-th document: one chunk, a vector of its own, metadata `n` = i and `even`.
  static Document NumberedDocument(int i) {
    Document document;
    document.id = absl::StrCat("doc", 1000 + i);
    document.text = absl::StrCat("text number ", i);
    document.metadata["n"] = MetadataValue(i);
    document.metadata["even"] = MetadataValue(Scalar(i % 2 == 0));
    GivenChunk chunk;
    chunk.text = document.text;
    chunk.vectors["default"] = {1.0f, 0.01f * static_cast<float>(i), 0.5f, -0.25f};
    chunk.metadata["chunk"] = MetadataValue("own");
    document.chunks.push_back(std::move(chunk));
    return document;
  }

  TempDir directory_;
  ServerOptions server_options_;
  ClientOptions client_options_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<Client> client_;
};

}  // namespace larder::testing

#endif  // LARDER_TESTS_SUPPORT_SERVED_DATABASE_H_

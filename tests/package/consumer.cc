// What a stranger writes first, against an installed Larder.
#include <larder/database.h>

#include <iostream>

int main(int, char** argv) {
  auto db = larder::Database::Open(argv[1], {.create_if_missing = true});
  if (!db.ok()) return std::cerr << db.status() << "\n", 1;
  larder::CollectionOptions options{.embedder = larder::EmbedderKind::kNone};
  options.spaces[0].dimension = 2;
  auto docs = (*db)->CreateCollection("docs", options);
  if (!docs.ok()) return std::cerr << docs.status() << "\n", 1;
  larder::GivenChunk near{.text = "carrots", .vectors = {{"default", {1, 0}}}};
  larder::GivenChunk far{.text = "turnips", .vectors = {{"default", {0, 1}}}};
  auto stored = docs->Upsert(larder::Document{.id = "roots", .chunks = {far, near}});
  if (!stored.ok()) return std::cerr << stored.status() << "\n", 1;
  auto reply = docs->Search({.vector = {2, 0.1f}, .k = 1});
  if (!reply.ok()) return std::cerr << reply.status() << "\n", 1;
  std::cout << reply->hits.at(0).text << "\n";
  return reply->hits.at(0).text == "carrots" ? 0 : 1;
}

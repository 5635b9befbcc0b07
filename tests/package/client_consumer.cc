// The client alone, against an installed Larder: nobody listens, and it says so.
#include <larder/client.h>

#include <iostream>

int main() {
  auto client = larder::Client::Connect({.address = "127.0.0.1:1"});
  if (!client.ok()) return std::cerr << client.status() << "\n", 1;
  const absl::Status status = (*client)->ListCollections().status();
  std::cout << status << "\n";
  return absl::IsUnavailable(status) ? 0 : 1;
}

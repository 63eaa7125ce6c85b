// The program's side of docs/SCORER.md: reads requests from stdin, answers on stdout, for the scorers of our tests.
#pragma once

#include <cstdint>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "formats/error.h"

namespace sixteen::testing {

using Json = nlohmann::json;
using Tokens = std::vector<uint16_t>;

// A hook that is empty is not offered. Each returns the reply without its id.
struct Hooks {
  std::function<Json(const Json& request)> load;
  std::function<Json(const Tokens& tokens)> score;
  std::function<Json(const Tokens& tokens, int64_t at)> dist;
  std::function<Json(uint16_t token)> feed;
  std::function<Json()> order, reset;
};

inline Json answer(const Hooks& hooks, const Json& request) {
  const std::string op = request.at("op");
  if (op == "load" && hooks.load) return hooks.load(request);
  if (op == "score") return hooks.score(request.at("tokens").get<Tokens>());
  if (op == "dist" && hooks.dist) return hooks.dist(request.at("tokens").get<Tokens>(), request.at("at"));
  if (op == "feed" && hooks.feed) return hooks.feed(request.at("token"));
  if (op == "order" && hooks.order) return hooks.order();
  if (op == "reset" && hooks.reset) return hooks.reset();
  return {{"unsupported", true}};
}

inline int serve(const Hooks& hooks) {
  for (std::string line; std::getline(std::cin, line);) {
    const Json request = Json::parse(line);
    Json reply;
    try {
      reply = answer(hooks, request);
    } catch (const Error& error) {
      reply = {{"error", error.what()}};
    }
    reply["id"] = request.at("id");
    std::cout << reply.dump() << std::endl;
  }
  return 0;
}

}  // namespace sixteen::testing

// The made-up world that all sample texts talk about: people, towns, companies and teams, and how they belong together.
// It is the same for every seed, so that what a model learns about it in training holds in any validation text.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sixteen {

// Counter-based random numbers, integer arithmetic only (splitmix64 over a key): the same draws on every machine.
class Dice {
 public:
  Dice(uint64_t seed, uint64_t stream) : state_(mix(seed) ^ mix(stream + 0x632be59bd9b4e019u)) {}
  uint32_t below(uint32_t n) {  // uniform in [0, n) up to n / 2^32
    state_ += 0x9e3779b97f4a7c15u;
    return static_cast<uint32_t>(((mix(state_) >> 32) * n) >> 32);
  }

 private:
  static uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  uint64_t state_;
};

// Indices point into the world's vectors.
struct Person {
  std::string first, last, full, job, hobby;
  bool woman = false;
  int born = 0, town = 0, company = 0, friend_index = 0;
};

struct Town {
  std::string name, region, river, famous;
  int population = 0, founded = 0, mayor = 0, neighbour = 0, team = 0;
};

struct Company {
  std::string name, makes;
  int founded = 0, staff = 0, town = 0, boss = 0;
};

struct Team {
  std::string name, ground;
  int founded = 0, town = 0, coach = 0, star = 0;
};

struct SampleWorld {
  std::vector<Person> people;
  std::vector<Town> towns;
  std::vector<Company> companies;
  std::vector<Team> teams;
};

const SampleWorld& sample_world();

}  // namespace sixteen

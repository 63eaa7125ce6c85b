// Python pickles as data: a machine that builds values and executes nothing.
//
// A pickle is a program that may call any Python function; this reader knows the opcodes that plain data and torch.save need, and
// the globals that its caller lists. Everything else is refused by the name of the opcode or global. A call of a listed function
// becomes a value of kind kCall that says which function and arguments; what it means is the caller's business.
//
// Bites: values may be shared and, through the memo, even contain themselves, so walk to a fixed depth only; nothing is copied
// or walked here, so depth and "billion laughs" cost nothing. Bounded: bytes, values, stack, marks. Protocols 2 to 5.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sixteen {

struct PickleValue {
  enum class Kind : uint8_t { kNone, kBool, kInt, kFloat, kString, kList, kTuple, kDict, kGlobal, kCall, kPersistent };

  Kind kind = Kind::kNone;
  bool ordered = false;                   // kDict: a collections.OrderedDict
  int64_t integer = 0;                    // kBool, kInt
  double real = 0;                        // kFloat
  std::string text;                       // kString; kGlobal, kCall: "module.name"
  std::vector<const PickleValue*> items;  // kList, kTuple; kDict: key, value, key, ...; kCall: the tuple of arguments; kPersistent: the id

  bool is(Kind k) const { return kind == k; }
  const PickleValue* find(std::string_view key) const;  // of a dict; nullptr when absent or no dict
};

std::string describe(const PickleValue& value);  // "a dict", "the int 5", "torch.FloatStorage"

struct Pickle {
  std::deque<PickleValue> values;  // owns them: pointers stay valid while the deque lives, moved or not
  const PickleValue* root = nullptr;
};

struct PickleGlobal {
  std::string_view name;  // "module.name"
  bool callable;
};

// Exactly one pickle. Throws Error (where, offset, opcode or global). collections.OrderedDict is always known.
Pickle parse_pickle(std::span<const std::byte> bytes, std::span<const PickleGlobal> globals, const std::string& where);

}  // namespace sixteen

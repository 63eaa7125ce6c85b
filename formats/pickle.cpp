// See pickle.h. Opcodes as in Python's Lib/pickletools.py.
//
// Bites: BUILD sets attributes of any object in Python; here it is accepted for what state_dict() adds to an OrderedDict
// ("_metadata", module versions) and dropped. Protocols 0 and 1 have text opcodes and are refused as unknown ones.
#include "formats/pickle.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <unordered_map>

#include "formats/error.h"

namespace sixteen {
namespace {

using Kind = PickleValue::Kind;

constexpr size_t kMaxBytes = size_t{16} << 20, kMaxValues = size_t{1} << 20, kMaxStack = size_t{1} << 20, kMaxMarks = 1000;
constexpr std::string_view kOrderedDict = "collections.OrderedDict";

enum Opcode : uint8_t {
  kMark = '(', kStop = '.', kPop = '0', kPopMark = '1', kBinFloat = 'G', kBinInt = 'J', kBinInt1 = 'K', kBinInt2 = 'M',
  kNone = 'N', kBinPersId = 'Q', kReduce = 'R', kBinUnicode = 'X', kAppend = 'a', kBuild = 'b', kGlobal = 'c', kAppends = 'e',
  kBinGet = 'h', kLongBinGet = 'j', kBinPut = 'q', kLongBinPut = 'r', kSetItem = 's', kTuple = 't', kSetItems = 'u',
  kEmptyDict = '}', kEmptyList = ']', kEmptyTuple = ')', kProto = 0x80, kTuple1 = 0x85, kTuple2 = 0x86, kTuple3 = 0x87,
  kNewTrue = 0x88, kNewFalse = 0x89, kLong1 = 0x8a, kShortBinUnicode = 0x8c, kBinUnicode8 = 0x8d, kStackGlobal = 0x93,
  kMemoize = 0x94, kFrame = 0x95,
};

// Names of what is refused, for the message.
std::string opcode_name(uint8_t op) {
  static const std::unordered_map<uint8_t, const char*> names = {
      {'2', "DUP"}, {'F', "FLOAT"}, {'I', "INT"}, {'L', "LONG"}, {'P', "PERSID"}, {'S', "STRING"}, {'T', "BINSTRING"},
      {'U', "SHORT_BINSTRING"}, {'V', "UNICODE"}, {'d', "DICT"}, {'g', "GET"}, {'i', "INST"}, {'l', "LIST"}, {'o', "OBJ"},
      {'p', "PUT"}, {'B', "BINBYTES"}, {'C', "SHORT_BINBYTES"}, {0x81, "NEWOBJ"}, {0x82, "EXT1"}, {0x83, "EXT2"},
      {0x84, "EXT4"}, {0x8b, "LONG4"}, {0x8e, "BINBYTES8"}, {0x8f, "EMPTY_SET"}, {0x90, "ADDITEMS"}, {0x91, "FROZENSET"},
      {0x92, "NEWOBJ_EX"}, {0x96, "BYTEARRAY8"}, {0x97, "NEXT_BUFFER"}, {0x98, "READONLY_BUFFER"}};
  const auto it = names.find(op);
  return it != names.end() ? it->second : "number " + std::to_string(op);
}

class Machine {
 public:
  Machine(std::span<const std::byte> bytes, std::span<const PickleGlobal> globals, const std::string& where)
      : bytes_(bytes), globals_(globals), where_(where) {}

  Pickle run() {
    if (bytes_.size() > kMaxBytes) refuse("expected at most ", kMaxBytes, " bytes, found ", bytes_.size());
    if (take<uint8_t>() != kProto) refuse("no pickle of protocol 2 to 5");
    if (const int version = take<uint8_t>(); version < 2 || version > 5) refuse("expected protocol 2 to 5, found ", version);
    for (op_offset_ = next_; step(take<uint8_t>()); op_offset_ = next_) {
    }
    if (next_ != bytes_.size()) refuse(bytes_.size() - next_, " bytes behind STOP");
    if (stack_.size() != 1 || !marks_.empty()) refuse("STOP with ", stack_.size(), " values on the stack, expected 1");
    result_.root = stack_.back();
    return std::move(result_);
  }

 private:
  template <class... Parts>
  [[noreturn]] void refuse(const Parts&... parts) const {
    fail(where_, ": pickle: offset ", op_offset_, ": ", parts...);
  }

  std::span<const std::byte> take_bytes(uint64_t count) {
    if (count > bytes_.size() - next_) refuse("truncated: expected ", count, " bytes more, found ", bytes_.size() - next_);
    next_ += count;
    return bytes_.subspan(next_ - count, count);
  }
  template <class Integer>
  Integer take() {
    Integer value;
    std::memcpy(&value, take_bytes(sizeof value).data(), sizeof value);
    return value;
  }
  std::string take_text(uint64_t count) {
    const auto bytes = take_bytes(count);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  std::string take_line() {
    const auto rest = bytes_.subspan(next_);
    const size_t length = static_cast<size_t>(std::find(rest.begin(), rest.end(), std::byte{'\n'}) - rest.begin());
    std::string line = take_text(length);
    take_bytes(1);
    return line;
  }

  void push(PickleValue* value) {
    if (stack_.size() >= kMaxStack) refuse("more than ", kMaxStack, " values on the stack");
    stack_.push_back(value);
  }
  PickleValue* make(Kind kind) {
    if (result_.values.size() >= kMaxValues) refuse("more than ", kMaxValues, " values");
    PickleValue* value = &result_.values.emplace_back();
    value->kind = kind;
    push(value);
    return value;
  }
  void make_integer(Kind kind, int64_t integer) { make(kind)->integer = integer; }
  void make_text(std::string text) { make(Kind::kString)->text = std::move(text); }

  size_t bottom() const { return marks_.empty() ? 0 : marks_.back(); }  // of what may be popped
  PickleValue* top() const {
    if (stack_.size() <= bottom()) refuse("takes a value from an empty stack");
    return stack_.back();
  }
  PickleValue* pop() {
    PickleValue* value = top();
    stack_.pop_back();
    return value;
  }
  // The values since the last mark, which goes too.
  std::vector<const PickleValue*> pop_to_mark() {
    if (marks_.empty()) refuse("no mark on the stack");
    std::vector<const PickleValue*> items(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
  }
  std::vector<const PickleValue*> pop_count(size_t count) {
    std::vector<const PickleValue*> items(count);
    for (size_t i = count; i-- > 0;) items[i] = pop();
    return items;
  }

  void memoize(uint64_t slot) {
    if (slot >= kMaxValues) refuse("memo slot ", slot, ", expected less than ", kMaxValues);
    memo_[slot] = top();
  }
  void recall(uint64_t slot) {
    const auto it = memo_.find(slot);
    if (it == memo_.end()) refuse("memo slot ", slot, " is empty");
    push(it->second);
  }
  void extend(Kind kind, const char* what, std::vector<const PickleValue*> items) {
    PickleValue* target = top();
    if (!target->is(kind) || (kind == Kind::kDict && items.size() % 2 != 0)) {
      refuse(what, " ", items.size(), " values to ", describe(*target));
    }
    target->items.insert(target->items.end(), items.begin(), items.end());
  }

  void make_tuple(std::vector<const PickleValue*> items) { make(Kind::kTuple)->items = std::move(items); }
  void make_global(std::string name);
  void make_long(uint8_t count);
  void make_float();
  void call();
  void build();
  bool step(uint8_t op);
  bool step_memo_or_number(uint8_t op);

  std::span<const std::byte> bytes_;
  std::span<const PickleGlobal> globals_;
  const std::string& where_;
  size_t next_ = 0, op_offset_ = 0;
  Pickle result_;
  std::vector<PickleValue*> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint64_t, PickleValue*> memo_;
};

const PickleGlobal* find_global(std::span<const PickleGlobal> globals, std::string_view name) {
  const auto it = std::find_if(globals.begin(), globals.end(), [&](const PickleGlobal& g) { return g.name == name; });
  return it == globals.end() ? nullptr : &*it;
}

void Machine::make_global(std::string name) {
  if (name != kOrderedDict && find_global(globals_, name) == nullptr) {
    refuse("wants the global ", name, ", which model files do not need; the file was not opened further and nothing of it was run");
  }
  make(Kind::kGlobal)->text = std::move(name);
}

void Machine::make_long(uint8_t count) {
  if (count > sizeof(int64_t)) refuse("LONG1 of ", int{count}, " bytes, expected at most 8");
  const auto bytes = take_bytes(count);
  uint64_t value = count > 0 && (static_cast<uint8_t>(bytes.back()) & 0x80) != 0 ? ~uint64_t{0} : 0;
  std::memcpy(&value, bytes.data(), bytes.size());
  make_integer(Kind::kInt, static_cast<int64_t>(value));
}

void Machine::make_float() {
  uint64_t bits = 0;
  for (const std::byte b : take_bytes(sizeof bits)) bits = bits << 8 | static_cast<uint8_t>(b);  // big-endian, alone of all
  make(Kind::kFloat)->real = std::bit_cast<double>(bits);
}

void Machine::call() {
  const PickleValue* arguments = pop();
  const PickleValue* function = pop();
  if (!function->is(Kind::kGlobal) || !arguments->is(Kind::kTuple)) {
    refuse("REDUCE calls ", describe(*function), " with ", describe(*arguments));
  }
  if (function->text == kOrderedDict) {
    if (!arguments->items.empty()) refuse("REDUCE calls ", kOrderedDict, " with arguments");
    make(Kind::kDict)->ordered = true;
    return;
  }
  if (!find_global(globals_, function->text)->callable) refuse("REDUCE calls ", function->text, ", which is no function");
  PickleValue* value = make(Kind::kCall);
  value->text = function->text;
  value->items = {arguments};  // not a copy: one tuple may serve a million calls
}

void Machine::build() {
  const PickleValue* state = pop();
  const PickleValue* object = top();
  if (!object->is(Kind::kDict) || !object->ordered || !state->is(Kind::kDict)) {
    refuse("BUILD of ", describe(*object), " from ", describe(*state));
  }
  for (size_t i = 0; i < state->items.size(); i += 2) {
    const PickleValue& key = *state->items[i];
    if (!key.is(Kind::kString) || key.text != "_metadata") refuse("BUILD sets the attribute ", describe(key));
  }
}

bool Machine::step_memo_or_number(uint8_t op) {
  switch (op) {
    case kBinFloat: make_float(); return true;
    case kBinInt: make_integer(Kind::kInt, take<int32_t>()); return true;
    case kBinInt1: make_integer(Kind::kInt, take<uint8_t>()); return true;
    case kBinInt2: make_integer(Kind::kInt, take<uint16_t>()); return true;
    case kLong1: make_long(take<uint8_t>()); return true;
    case kNewTrue: make_integer(Kind::kBool, 1); return true;
    case kNewFalse: make_integer(Kind::kBool, 0); return true;
    case kBinPut: memoize(take<uint8_t>()); return true;
    case kLongBinPut: memoize(take<uint32_t>()); return true;
    case kMemoize: memoize(memo_.size()); return true;
    case kBinGet: recall(take<uint8_t>()); return true;
    case kLongBinGet: recall(take<uint32_t>()); return true;
    default: return false;
  }
}

// False at STOP.
bool Machine::step(uint8_t op) {
  if (step_memo_or_number(op)) return true;
  switch (op) {
    case kStop: return false;
    case kFrame: take<uint64_t>(); break;  // where a reader may prefetch; says nothing
    case kMark:
      if (marks_.size() >= kMaxMarks) refuse("nested deeper than ", kMaxMarks);
      marks_.push_back(stack_.size());
      break;
    case kPop: pop(); break;
    case kPopMark: pop_to_mark(); break;
    case kNone: make(Kind::kNone); break;
    case kEmptyDict: make(Kind::kDict); break;
    case kEmptyList: make(Kind::kList); break;
    case kEmptyTuple: make(Kind::kTuple); break;
    case kTuple: make_tuple(pop_to_mark()); break;
    case kTuple1: make_tuple(pop_count(1)); break;
    case kTuple2: make_tuple(pop_count(2)); break;
    case kTuple3: make_tuple(pop_count(3)); break;
    case kAppend: extend(Kind::kList, "APPEND of", pop_count(1)); break;
    case kAppends: extend(Kind::kList, "APPENDS of", pop_to_mark()); break;
    case kSetItem: extend(Kind::kDict, "SETITEM of", pop_count(2)); break;
    case kSetItems: extend(Kind::kDict, "SETITEMS of", pop_to_mark()); break;
    case kShortBinUnicode: make_text(take_text(take<uint8_t>())); break;
    case kBinUnicode: make_text(take_text(take<uint32_t>())); break;
    case kBinUnicode8: make_text(take_text(take<uint64_t>())); break;
    case kGlobal: {
      const std::string module = take_line();
      make_global(module + "." + take_line());
      break;
    }
    case kStackGlobal: {
      const auto names = pop_count(2);
      if (!names[0]->is(Kind::kString) || !names[1]->is(Kind::kString)) refuse("STACK_GLOBAL of something that is no name");
      make_global(names[0]->text + "." + names[1]->text);
      break;
    }
    case kBinPersId: {
      const PickleValue* id = pop();
      make(Kind::kPersistent)->items = {id};
      break;
    }
    case kReduce: call(); break;
    case kBuild: build(); break;
    default: refuse("opcode ", opcode_name(op), ", which model files do not need; nothing of the file was run");
  }
  return true;
}

}  // namespace

const PickleValue* PickleValue::find(std::string_view key) const {
  if (kind != Kind::kDict) return nullptr;
  for (size_t i = 0; i < items.size(); i += 2) {
    if (items[i]->is(Kind::kString) && items[i]->text == key) return items[i + 1];
  }
  return nullptr;
}

std::string describe(const PickleValue& value) {
  switch (value.kind) {
    case Kind::kNone: return "None";
    case Kind::kBool: return value.integer != 0 ? "True" : "False";
    case Kind::kInt: return "the int " + std::to_string(value.integer);
    case Kind::kFloat: return "a float";
    case Kind::kString: return "the string \"" + value.text.substr(0, 80) + "\"";
    case Kind::kList: return "a list";
    case Kind::kTuple: return "a tuple";
    case Kind::kDict: return "a dict";
    case Kind::kGlobal: return value.text;
    case Kind::kCall: return "what " + value.text + " returns";
    case Kind::kPersistent: return "a storage";
  }
  return "";
}

Pickle parse_pickle(std::span<const std::byte> bytes, std::span<const PickleGlobal> globals, const std::string& where) {
  return Machine(bytes, globals, where).run();
}

}  // namespace sixteen

#include "ext/core/base/json_reader.h"

#include <charconv>

#include "ext/core/base/real_text.h"

namespace walmanager {
namespace {

constexpr int kDeepest = 64;

void AppendUtf8(std::string& out, std::uint32_t code) {
  const auto put = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
  const auto tail = [&](int shift) { put(0x80 | (code >> shift & 0x3f)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | code >> 6);
    tail(0);
  } else if (code < 0x10000) {
    put(0xe0 | code >> 12);
    tail(6);
    tail(0);
  } else {
    put(0xf0 | code >> 18);
    tail(12);
    tail(6);
    tail(0);
  }
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<Json> Whole() {
    Json json;
    if (!Any(json, 0) || !AtEnd()) return Failed();
    return json;
  }

 private:
  Error Failed() const {
    return Error{std::string(wrong_ ? wrong_ : "no JSON value") + " at byte " +
                 std::to_string(at_ + 1)};
  }
  bool Wrong(const char* what) {
    if (!wrong_) wrong_ = what;
    return false;
  }
  void SkipSpace() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != text_.npos) ++at_;
  }
  bool AtEnd() {
    SkipSpace();
    return at_ == text_.size() || Wrong("something follows the JSON value");
  }
  bool Takes(char c) {
    SkipSpace();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool Word(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  bool Any(Json& json, int depth) {
    if (depth > kDeepest) return Wrong("more than 64 levels");
    SkipSpace();
    if (at_ >= text_.size()) return Wrong("the JSON ends too early");
    const std::size_t begin = at_;
    if (!OfItsKind(json, depth)) return false;
    json.source = text_.substr(begin, at_ - begin);
    return true;
  }

  bool OfItsKind(Json& json, int depth) {
    if (Takes('[')) return Array(json, depth);
    if (Takes('{')) return Object(json, depth);
    if (text_[at_] == '"') {
      std::string text;
      if (!String(text)) return false;
      json.value = Value(std::move(text));
      return true;
    }
    if (Word("null")) return true;
    if (Word("true")) return json.value = Value(true), true;
    if (Word("false")) return json.value = Value(false), true;
    return Number(json.value);
  }

  bool Array(Json& json, int depth) {
    json.kind = Json::Kind::kArray;
    if (Takes(']')) return true;
    do {
      if (!Any(json.items.emplace_back(), depth + 1)) return false;
    } while (Takes(','));
    return Takes(']') || Wrong("',' or ']' is missing");
  }

  bool Object(Json& json, int depth) {
    json.kind = Json::Kind::kObject;
    if (Takes('}')) return true;
    do {
      SkipSpace();
      if (!String(json.names.emplace_back())) return false;
      if (!Takes(':')) return Wrong("':' is missing");
      if (!Any(json.items.emplace_back(), depth + 1)) return false;
    } while (Takes(','));
    return Takes('}') || Wrong("',' or '}' is missing");
  }

  bool Hex4(std::uint32_t& code) {
    const std::string_view digits = text_.substr(at_, 4);
    code = 0;
    const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16).ptr;
    if (digits.size() != 4 || end != digits.data() + 4) return Wrong("\\u without four digits");
    at_ += 4;
    return true;
  }

  bool Escape(std::string& out) {
    constexpr std::string_view kNames = "\"\\/bfnrt", kBytes = "\"\\/\b\f\n\r\t";
    const char c = at_ < text_.size() ? text_[at_] : '\0';
    ++at_;
    if (const auto found = kNames.find(c); c != '\0' && found != kNames.npos) {
      out += kBytes[found];
      return true;
    }
    std::uint32_t code = 0, low = 0;
    if (c != 'u') return Wrong("an unknown escape");
    if (!Hex4(code)) return false;
    if (code >= 0xd800 && code < 0xdc00) {
      if (!Word("\\u") || !Hex4(low) || low < 0xdc00 || low >= 0xe000) {
        return Wrong("half of a surrogate pair");
      }
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xdc00 && code < 0xe000) {
      return Wrong("half of a surrogate pair");
    }
    AppendUtf8(out, code);
    return true;
  }

  bool String(std::string& out) {
    if (at_ >= text_.size() || text_[at_] != '"')
      return Wrong("a name in double quotes is missing");
    for (++at_; at_ < text_.size();) {
      const char c = text_[at_++];
      if (c == '"') return true;
      if (static_cast<unsigned char>(c) < 0x20) return Wrong("a control character in a string");
      if (c != '\\') {
        out += c;
      } else if (!Escape(out)) {
        return false;
      }
    }
    return Wrong("a string has no end");
  }

  std::size_t Digits() {
    const std::size_t begin = at_;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
    return at_ - begin;
  }

  bool Number(Value& value) {
    const std::size_t begin = at_;
    if (at_ < text_.size() && text_[at_] == '-') ++at_;
    const std::size_t first = at_, whole = Digits();
    if (whole == 0 || (whole > 1 && text_[first] == '0')) {
      at_ = begin;
      return Wrong("no JSON value");
    }
    bool real = false;
    if (at_ < text_.size() && text_[at_] == '.') {
      real = true;
      ++at_;
      if (Digits() == 0) return Wrong("a number without digits after its point");
    }
    if (at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
      real = true;
      ++at_;
      if (at_ < text_.size() && (text_[at_] == '+' || text_[at_] == '-')) ++at_;
      if (Digits() == 0) return Wrong("a number without digits after its e");
    }
    const char* const from = text_.data() + begin;
    const char* const to = text_.data() + at_;
    if (real) {
      value = Value(ParseReal({from, static_cast<std::size_t>(to - from)}).value_or(0));
      return true;
    }
    std::int64_t integer = 0;
    if (std::from_chars(from, to, integer).ec != std::errc()) {
      at_ = begin;
      return Wrong("a whole number of more than 64 bits");
    }
    value = Value(integer);
    return true;
  }

  const std::string_view text_;
  std::size_t at_ = 0;
  const char* wrong_ = nullptr;
};

}  // namespace

const Json* Json::Find(std::string_view name) const {
  for (std::size_t i = names.size(); i-- > 0;) {
    if (names[i] == name) return &items[i];
  }
  return nullptr;
}

const char* Json::Type() const {
  if (kind == Kind::kArray) return "array";
  if (kind == Kind::kObject) return "object";
  if (value.text()) return "text";
  if (value.real()) return "real";
  if (value.is_null()) return "null";
  return source == "true" ? "true" : source == "false" ? "false" : "integer";
}

std::string Json::Text() const { return value.text() ? *value.text() : std::string(source); }

std::string Json::Shown() const {
  const std::string quoted = ShownText(source);
  return quoted.substr(1, quoted.size() - 2);
}

Result<Json> ParseJson(std::string_view text) { return Parser(text).Whole(); }

}  // namespace walmanager

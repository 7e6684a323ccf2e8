#include "ext/core/base/value_json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <set>

#include "ext/core/base/real_text.h"
#include "ext/core/base/utf8.h"

namespace walmanager {
namespace {

constexpr char kHexDigits[] = "0123456789abcdef";

void AppendHex(std::string& out, const char* name, std::string_view bytes) {
  ((out += "{\"") += name) += "\":\"";
  out.reserve(out.size() + 2 * bytes.size() + 2);
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    (out += kHexDigits[byte >> 4]) += kHexDigits[byte & 15];
  }
  out += "\"}";
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

Result<std::string> BytesOfHex(const char* name, const Json& json) {
  const std::string* hex = json.kind == Json::Kind::kValue ? json.value.text() : nullptr;
  bool right = hex && hex->size() % 2 == 0;
  std::string bytes;
  for (std::size_t i = 0; right && i < hex->size(); i += 2) {
    const int high = HexDigit((*hex)[i]), low = HexDigit((*hex)[i + 1]);
    right = high >= 0 && low >= 0;
    if (right) bytes += static_cast<char>(high << 4 | low);
  }
  if (right) return bytes;
  return Error{std::string("has a ") + name + " that is not text of pairs of hexadecimal digits"};
}

}  // namespace

bool AppendJsonString(std::string& out, std::string_view text) {
  bool is_utf8 = true;
  out += '"';
  std::size_t plain = 0;  // the first byte that is not written yet
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte >= 0x80) {
      const std::size_t length = Utf8Bytes(text, i);
      is_utf8 = is_utf8 && length != 0;
      i += std::max<std::size_t>(length, 1);
      continue;
    }
    if (byte < 0x20 || byte == '"' || byte == '\\') {
      out.append(text, plain, i - plain);
      plain = i + 1;
      if (byte < 0x20) {
        ((out += "\\u00") += kHexDigits[byte >> 4]) += kHexDigits[byte & 15];
      } else {
        (out += '\\') += text[i];
      }
    }
    ++i;
  }
  out.append(text, plain, text.size() - plain);
  out += '"';
  return is_utf8;
}

void AppendJsonInteger(std::string& out, std::int64_t number) {
  char buffer[24];
  out.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, number).ptr);
}

void AppendJsonReal(std::string& out, double number) {
  if (std::isnan(number)) {
    out += "null";
  } else if (std::isinf(number)) {
    out += number < 0 ? "-9e999" : "9e999";
  } else {
    const std::size_t before = out.size();
    AppendReal(out, number);
    // 5.0 is written "5"; with a point it is read as a real again.
    if (out.find_first_of(".e", before) == out.npos) out += ".0";
  }
}

void AppendJsonText(std::string& out, std::string_view text) {
  const std::size_t before = out.size();
  if (AppendJsonString(out, text)) return;
  out.resize(before);
  AppendHex(out, "$text", text);
}

void AppendJsonBlob(std::string& out, std::string_view bytes) { AppendHex(out, "$blob", bytes); }

std::vector<std::string> JsonFieldNames(const std::vector<std::string>& columns) {
  std::vector<std::string> fields;
  std::set<std::string> taken(columns.begin(), columns.end()), used;
  std::map<std::string, int> next;  // the number to try, of names that were there before
  for (const std::string& column : columns) {
    std::string name = column;
    while (used.count(name) != 0) {
      int& number = next.try_emplace(column, 2).first->second;
      const std::string numbered = column + ":" + std::to_string(number++);
      if (taken.count(numbered) == 0) name = numbered;
    }
    used.insert(name);
    taken.insert(name);
    std::string& field = fields.emplace_back();
    // A name that is not UTF-8 cannot be a field's: its bytes as digits are.
    if (!AppendJsonString(field, name)) {
      std::string hex;
      AppendHex(hex, "$text", name);
      field.clear();
      AppendJsonString(field, hex);
    }
    field += ':';
  }
  return fields;
}

Result<Value> ValueOfJson(const Json& json) {
  if (json.kind == Json::Kind::kValue) return json.value;
  if (json.kind == Json::Kind::kArray) return Error{"is an array, no value"};
  if (json.names.size() == 1 && (json.names[0] == "$blob" || json.names[0] == "$text")) {
    const bool blob = json.names[0] == "$blob";
    auto bytes = BytesOfHex(json.names[0].c_str(), json.items[0]);
    if (!bytes.ok()) return bytes.error();
    return blob ? Value::Blob(std::move(bytes.value())) : Value(std::move(bytes.value()));
  }
  return Error{"is an object, and neither {\"$blob\":\"hex\"} nor {\"$text\":\"hex\"}"};
}

}  // namespace walmanager

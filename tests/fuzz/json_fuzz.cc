// Any text as JSON: accepted as SQLite's own JSON functions do, but for what json_reader.h refuses
// in words, with the same types and values, and what is written is read back the same.
#include <sqlite3.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "ext/core/base/json_reader.h"
#include "ext/core/base/json_writer.h"
#include "ext/core/base/utf8.h"
#include "ext/core/base/value_json.h"

namespace {

using namespace walmanager;

void Require(bool holds, const char* what, std::string_view text) {
  if (holds) return;
  std::fprintf(stderr, "%s\n%.*s\n", what, static_cast<int>(text.size()), text.data());
  std::abort();
}

// What json_reader.h says that it refuses, and SQLite takes.
bool IsStricter(const std::string& message) {
  for (const char* reason : {"more than 64 levels", "more than 64 bits", "surrogate pair"}) {
    if (message.find(reason) != std::string::npos) return true;
  }
  return false;
}

sqlite3_stmt* Prepared(const char* sql) {
  static sqlite3* const db = [] {
    sqlite3* opened = nullptr;
    if (sqlite3_open(":memory:", &opened) != SQLITE_OK) std::abort();
    return opened;
  }();
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(db, sql, -1, &statement, nullptr) != SQLITE_OK) std::abort();
  return statement;
}

bool IsValid(std::string_view text) {
  static sqlite3_stmt* const statement = Prepared("SELECT json_valid(?)");
  sqlite3_bind_text(statement, 1, text.data(), static_cast<int>(text.size()), SQLITE_STATIC);
  if (sqlite3_step(statement) != SQLITE_ROW) std::abort();
  const bool valid = sqlite3_column_int(statement, 0) != 0;
  sqlite3_reset(statement);
  return valid;
}

void Flatten(const Json& json, std::vector<const Json*>& all) {
  all.push_back(&json);
  for (const Json& item : json.items) Flatten(item, all);
}

bool IsSame(const Value& ours, sqlite3_stmt* statement, int column) {
  if (const auto* integer = ours.integer()) {
    return sqlite3_column_int64(statement, column) == *integer;
  }
  if (const auto* real = ours.real()) {
    // SQLite's last digits are not the nearest.
    const double theirs = sqlite3_column_double(statement, column);
    return theirs == *real || std::abs(theirs - *real) <= std::abs(*real) * 1e-12 + 1e-300;
  }
  if (const auto* text = ours.text()) {
    const auto* theirs = reinterpret_cast<const char*>(sqlite3_column_text(statement, column));
    // A \u0000 ends SQLite's text in some versions.
    if (text->find('\0') != std::string::npos || !IsUtf8(*text)) return true;
    return std::string_view(
               theirs, static_cast<std::size_t>(sqlite3_column_bytes(statement, column))) == *text;
  }
  return sqlite3_column_type(statement, column) == SQLITE_NULL;
}

void CompareWithSqlite(const Json& json, std::string_view text) {
  static sqlite3_stmt* const statement = Prepared("SELECT type, atom FROM json_tree(?)");
  std::vector<const Json*> all;
  Flatten(json, all);
  sqlite3_bind_text(statement, 1, text.data(), static_cast<int>(text.size()), SQLITE_STATIC);
  std::size_t row = 0;
  while (sqlite3_step(statement) == SQLITE_ROW) {
    Require(row < all.size(), "SQLite has more values", text);
    const auto* type = reinterpret_cast<const char*>(sqlite3_column_text(statement, 0));
    Require(std::string_view(type) == all[row]->Type(), "another type", text);
    if (all[row]->kind == Json::Kind::kValue) {
      Require(IsSame(all[row]->value, statement, 1), "another value", text);
    }
    ++row;
  }
  sqlite3_reset(statement);
  Require(row == all.size(), "SQLite has fewer values", text);
}

// A value that is written is the same when it is read, whatever its bytes are.
void CheckWriting(const Json& json, std::string_view text) {
  if (json.kind == Json::Kind::kValue) {
    std::string written;
    if (const auto* integer = json.value.integer()) AppendJsonInteger(written, *integer);
    if (const auto* real = json.value.real()) AppendJsonReal(written, *real);
    if (const auto* words = json.value.text()) AppendJsonText(written, *words);
    if (written.empty()) return;
    const auto again = ParseJson(written);
    Require(again.ok(), "what was written is no JSON", written);
    const auto value = ValueOfJson(again.value());
    Require(value.ok(), "what was written is no value", written);
    if (const auto* integer = json.value.integer()) {
      Require(value.value().integer() && *value.value().integer() == *integer, "integer", text);
    } else if (const auto* real = json.value.real()) {
      Require(value.value().real() && *value.value().real() == *real, "real", text);
    } else {
      Require(value.value().text() && *value.value().text() == *json.value.text(), "text", text);
    }
  }
  for (const Json& item : json.items) CheckWriting(item, text);
  Require(json.names.empty() || json.names.size() == json.items.size(), "names", text);
  for (const std::string& name : json.names) {
    const Json* found = json.Find(name);
    Require(found != nullptr, "a name is not found", text);
  }
}

// Any bytes as a blob, as text and as names.
void CheckBytes(const std::string& bytes) {
  std::string written = "[";
  AppendJsonBlob(written, bytes);
  written += ',';
  AppendJsonText(written, bytes);
  written += ']';
  const auto json = ParseJson(written);
  Require(json.ok() && json.value().items.size() == 2, "bytes were written wrong", written);
  const auto blob = ValueOfJson(json.value().items[0]);
  const auto text = ValueOfJson(json.value().items[1]);
  Require(blob.ok() && blob.value().blob() && *blob.value().blob() == bytes, "blob", written);
  Require(text.ok() && text.value().text() && *text.value().text() == bytes, "text", written);

  const std::size_t half = bytes.size() / 2;
  const std::string first = bytes.substr(0, half), second = bytes.substr(half);
  const std::vector<std::string> columns = {first, second, first, first + ":2", second, first};
  const auto fields = JsonFieldNames(columns);
  Require(std::set<std::string>(fields.begin(), fields.end()).size() == columns.size(),
          "two fields have one name", bytes);
  std::string object = "{";
  for (const std::string& field : fields) object += (object.size() > 1 ? "," : "") + field + "1";
  object += "}";
  const auto parsed = ParseJson(object);
  Require(parsed.ok() && parsed.value().names.size() == columns.size(), "names", object);

  const auto shown = ParseJson(JsonObject().Add("a", bytes).Add(bytes, 1.5).text());
  Require(shown.ok(), "an object was written wrong", bytes);
  Require(shown.value().items[0].Text() == bytes, "a field has another text", bytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto json = ParseJson(text);
  // SQLite takes its text to end at a NUL.
  if (text.find('\0') == std::string::npos) {
    const bool valid = IsValid(text);
    if (json.ok()) {
      Require(valid, "SQLite refuses this", text);
      CompareWithSqlite(json.value(), text);
    } else {
      Require(!valid || IsStricter(json.error().message), json.error().message.c_str(), text);
    }
  }
  if (json.ok()) {
    CheckWriting(json.value(), text);
    Require(json.value().Shown().size() <= 4 * 60 + 16, "more than 60 bytes are shown", text);
  }
  CheckBytes(text);
  return 0;
}

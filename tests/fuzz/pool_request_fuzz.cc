// Any bytes as the arguments of read_pool(): SQL and JSON.
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>

#include "ext/core/base/json_reader.h"
#include "ext/core/base/value_json.h"
#include "ext/core/text/pool_request.h"

using namespace walmanager;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  // The first byte tells where the statements end.
  const std::string text(reinterpret_cast<const char*>(data + 1), size - 1);
  const std::size_t cut = data[0] % (text.size() + 1);
  const std::string sql = text.substr(0, cut);
  const std::string parameters = text.substr(cut);
  if (const auto request = ParsePoolRequest(sql, parameters); request.ok()) {
    if (request.value().statements.empty()) std::abort();
    for (const PoolStatement& statement : request.value().statements) {
      if (!statement.parameters || !LooksLikeReading(statement.sql).ok()) std::abort();
    }
  }
  // A value that is written as JSON is read back the same.
  const auto json = ParseJson(text);
  if (!json.ok()) return 0;
  const auto value = ValueOfJson(json.value());
  if (!value.ok() || !value.value().text()) return 0;
  std::string written;
  AppendJsonText(written, *value.value().text());
  const auto again = ParseJson(written);
  if (!again.ok()) std::abort();
  const auto same = ValueOfJson(again.value());
  if (!same.ok() || !same.value().text() || *same.value().text() != *value.value().text())
    std::abort();
  return 0;
}

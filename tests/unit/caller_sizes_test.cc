// Arguments of any length cost time in proportion to their length: measured in processor time, with
// lengths for which the square would take many seconds.
#include <gtest/gtest.h>

#include <ctime>
#include <string>
#include <vector>

#include "ext/core/base/value_json.h"
#include "ext/core/text/pool_request.h"

namespace walmanager {
namespace {

constexpr double kSeconds = 2;

template <typename Work>
double ProcessorSeconds(Work work) {
  const std::clock_t begin = std::clock();
  work();
  return static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
}

TEST(CallerSizes, BugColumnsOfOneNameTookTheSquare) {
  std::vector<std::string> fields;
  EXPECT_LT(
      ProcessorSeconds([&] { fields = JsonFieldNames(std::vector<std::string>(10'000, "x")); }),
      kSeconds);
  EXPECT_EQ(fields[0], "\"x\":");
  EXPECT_EQ(fields[9'999], "\"x:10000\":");
  EXPECT_EQ(JsonFieldNames({"a", "a:2", "a", "a", "a:2"}),
            (std::vector<std::string>{"\"a\":", "\"a:2\":", "\"a:3\":", "\"a:4\":", "\"a:2:2\":"}));
}

TEST(CallerSizes, BugStatementsWithParametersTookTheSquare) {
  constexpr int kStatements = 60'000;
  std::string statements = "[\"SELECT 1\"", parameters = "[[]";
  for (int i = 1; i < kStatements; ++i) {
    statements += ",\"SELECT 1\"";
    parameters += ",[]";
  }
  EXPECT_LT(ProcessorSeconds([&] {
              const auto request = ParsePoolRequest(statements + "]", parameters + "]");
              ASSERT_TRUE(request.ok());
              EXPECT_EQ(request.value().statements.size(), kStatements);
            }),
            kSeconds);
}

TEST(CallerSizes, BugParametersByNameTookTheSquare) {
  constexpr int kNames = 30'000;  // SQLite's limit is 32,766
  PoolParameters parameters;
  parameters.by_name = true;
  for (int i = 0; i < kNames; ++i) parameters.names["p" + std::to_string(i)] = Value(i);
  EXPECT_LT(ProcessorSeconds([&] {
              for (int i = 0; i < kNames; ++i) {
                const Value* value = parameters.Find(":p" + std::to_string(i));
                ASSERT_TRUE(value && *value->integer() == i);
              }
            }),
            kSeconds);
  EXPECT_EQ(parameters.Find(":q"), nullptr);
}

}  // namespace
}  // namespace walmanager

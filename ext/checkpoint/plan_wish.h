// A request for the query plan of a statement, by its id in query_performance and its own text.
#pragma once

#include <cstdint>
#include <string>

namespace walmanager {

struct PlanWish {
  std::uint64_t id;
  std::string sql;
};

}  // namespace walmanager

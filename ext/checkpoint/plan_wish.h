// A statement whose query plan is wanted: by its id in query_performance, with its own text.
#pragma once

#include <cstdint>
#include <string>

namespace walmanager {

struct PlanWish {
  std::uint64_t id;
  std::string sql;
};

}  // namespace walmanager

// What EXPLAIN QUERY PLAN says (https://www.sqlite.org/eqp.html), as far as indexes change it. Its
// wording is SQLite's own and not promised: "SCAN TABLE t" up to 3.35 is "SCAN t" since. Pure.
#pragma once

#include <string_view>

namespace walmanager {

// How often a plan does what an index can save.
struct PlanWork {
  int scans = 0;              // passes over a whole table or index
  int sorts = 0;              // temporary b-trees: ORDER BY, GROUP BY, DISTINCT
  int automatic_indexes = 0;  // indexes made for one execution
  bool none() const { return scans == 0 && sorts == 0 && automatic_indexes == 0; }
  // Whether there is less than in `other` of anything. Two plans can each have less than the other.
  bool HasLessThan(const PlanWork& other) const {
    return scans < other.scans || sorts < other.sorts ||
           automatic_indexes < other.automatic_indexes;
  }
};

// `plan`: a line for each step, indented at will.
PlanWork WorkOfPlan(std::string_view plan);

// Whether a step of the plan uses the index of this name, which has no blanks.
bool PlanUsesIndex(std::string_view plan, std::string_view index);

}  // namespace walmanager

#include "ext/core/text/plan_text.h"

#include <algorithm>
#include <cstddef>
#include <string>

namespace walmanager {
namespace {

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// `visit(line)` for each, without its indentation.
template <typename Visit>
void ForEachLine(std::string_view plan, Visit visit) {
  while (!plan.empty()) {
    const std::size_t end = std::min(plan.find('\n'), plan.size());
    std::string_view line = plan.substr(0, end);
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    visit(line);
    plan.remove_prefix(std::min(end + 1, plan.size()));
  }
}

bool IsScan(std::string_view line) {
  if (line.starts_with("SCAN ")) return !Contains(line, "CONSTANT ROW");
  // min() and max() without an index look like a search that uses nothing.
  return line.starts_with("SEARCH ") && !Contains(line, " USING ");
}

}  // namespace

PlanWork WorkOfPlan(std::string_view plan) {
  PlanWork work;
  ForEachLine(plan, [&](std::string_view line) {
    if (IsScan(line)) ++work.scans;
    if (line.starts_with("USE TEMP B-TREE")) ++work.sorts;
    if (Contains(line, " USING AUTOMATIC ")) ++work.automatic_indexes;
  });
  return work;
}

bool PlanUsesIndex(std::string_view plan, std::string_view index) {
  const std::string wanted = " INDEX " + std::string(index);
  bool uses = false;
  ForEachLine(plan, [&](std::string_view line) {
    const std::size_t found = line.find(wanted);
    if (found == std::string_view::npos) return;
    const std::size_t end = found + wanted.size();
    if (end == line.size() || line[end] == ' ') uses = true;
  });
  return uses;
}

}  // namespace walmanager

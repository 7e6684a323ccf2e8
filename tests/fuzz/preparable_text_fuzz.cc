// Any bytes as the statements and plans of a control file, which any program may have written.
#include <cstdint>
#include <cstdlib>
#include <set>
#include <string>
#include <string_view>

#include "ext/core/text/plan_text.h"
#include "ext/core/text/preparable_text.h"
#include "ext/core/text/sql_names.h"

using namespace walmanager;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string sql = PreparableText(text);
  if (WithoutReturning(sql).size() > sql.size()) std::abort();
  std::set<std::string> names;
  AddNames(sql, names);
  AddReferredNames(sql, names);
  if (names.contains("")) std::abort();
  const PlanWork work = WorkOfPlan(text);
  if (work.HasLessThan(work)) std::abort();
  if (PlanUsesIndex("", text)) std::abort();
  return 0;
}

#include "ext/database/step_watch.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "ext/engine/cancellable.h"
#include "ext/system/control_file.h"
#include "ext/system/registry.h"

namespace walmanager {
namespace {

bool IsInsideStep(std::uint64_t id) {
  std::shared_ptr<Cancellable> connection;
  {
    Registry& registry = Registry::Get();
    const MutexLock lock(registry.mutex);
    const auto found = registry.cancellables.find(id);
    if (found != registry.cancellables.end()) connection = found->second;
  }
  return connection && connection->IsInsideCall();
}

}  // namespace

void StepWatch::Look(const ControlFile& control) {
  std::vector<OpenStatement> now = control.slabs().ReadOwnOpenStatements();
  for (const OpenStatement& each : now) {
    // Where other statements of the connection have ended meanwhile, the thread may be inside of
    // one of those.
    const bool stands = std::find(before_.begin(), before_.end(), each) != before_.end();
    control.slabs().ShowStep(each, stands && IsInsideStep(each.connection));
  }
  before_ = std::move(now);
}

}  // namespace walmanager

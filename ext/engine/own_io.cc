#include "ext/engine/own_io.h"

namespace walmanager {

void OwnIo::Flush() {
  if (!control_ || calls_ == 0) return;
  IoStatistics statistics(control_->space());
  for (const IoFile file : {IoFile::kDatabase, IoFile::kLog}) {
    statistics.Add(IoOrigin::kWalmanager, file, std::exchange(kept_[IndexOf(file)], {}));
  }
  calls_ = 0;
}

void OwnIo::Sync(IoFile file, std::uint64_t ns) {
  if (!control_) return;
  Flush();
  IoStatistics(control_->space()).AddSync(IoOrigin::kWalmanager, file, ns);
}

void OwnIo::Failed(IoFile file, int code, int system_errno, std::int64_t unix_ms) {
  if (!control_) return;
  IoStatistics(control_->space())
      .AddError(IoOrigin::kWalmanager, file, code, system_errno, unix_ms);
}

}  // namespace walmanager

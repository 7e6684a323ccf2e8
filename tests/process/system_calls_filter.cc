// A sandbox as systemd makes it, for test_system_calls.py: SystemCallFilter=@system-service and
// SystemCallFilter=~@resources @privileged. A call outside of that ends the process (SIGSYS).
// system_service_calls.txt has the names: those of @system-service
// (https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html, `systemd-analyze
// syscall-filter`) that are in neither of the other two.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace {

constexpr std::uint32_t kAllowed[] = {
#include "system_service_calls.inc"
};

}  // namespace

// For this thread and those that it makes, or for all of the process. 0, or -1 and errno.
extern "C" int FilterSystemCalls(int all_threads) {
  std::vector<sock_filter> filter = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
  for (const std::uint32_t number : kAllowed) {
    filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1));
    filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  }
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
  const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
  return static_cast<int>(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                                  all_threads ? SECCOMP_FILTER_FLAG_TSYNC : 0, &program));
}

#include "tests/bench/disk.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <fstream>

namespace walmanager::bench {

std::uint64_t BytesOnDisk(const std::string& directory) {
  constexpr std::size_t kSectorsWritten = 6;  // the place in the line
  constexpr std::uint64_t kSectorBytes = 512;
  struct stat status;
  const int descriptor = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return 0;
  syncfs(descriptor);
  const bool known = fstat(descriptor, &status) == 0;
  close(descriptor);
  if (!known) return 0;
  std::ifstream stat("/sys/dev/block/" + std::to_string(major(status.st_dev)) + ":" +
                     std::to_string(minor(status.st_dev)) + "/stat");
  std::array<std::uint64_t, kSectorsWritten + 1> numbers{};
  for (std::uint64_t& number : numbers) stat >> number;
  return stat ? numbers[kSectorsWritten] * kSectorBytes : 0;
}

}  // namespace walmanager::bench

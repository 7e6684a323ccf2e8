// Which file something is: what a file that was made anew at the same path does not share. Device
// and inode are not enough, since a file system gives the number of a deleted file to the next one.
#pragma once

#include <cstdint>

namespace walmanager {

struct FileId {
  std::uint64_t device = 0, inode = 0;
  // When the file was made, Unix time; 0 where the file system does not say. Two files that are
  // made within one tick of its clock share it.
  std::uint64_t birth_ns = 0;
  // Of what the file system itself tells its files apart by: 0 where that is not known.
  std::uint64_t handle = 0;

  // What is not known of one of them does not tell them apart.
  bool IsSame(const FileId& other) const {
    const auto agree = [](std::uint64_t a, std::uint64_t b) { return a == 0 || b == 0 || a == b; };
    return device == other.device && inode == other.inode && agree(birth_ns, other.birth_ns) &&
           agree(handle, other.handle);
  }
};

}  // namespace walmanager

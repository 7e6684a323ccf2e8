// Which file is meant: a file that was made anew at the same path has another FileId. Device and
// inode are not enough, since a file system gives the number of a deleted file to a new one.
#pragma once

#include <cstdint>

namespace walmanager {

struct FileId {
  std::uint64_t device = 0, inode = 0;
  // When the file was made, Unix time; 0 where the file system does not say. Two files that are
  // made within one tick of its clock share it.
  std::uint64_t birth_ns = 0;
  // A hash of the handle by which the file system tells its files apart; 0: not known.
  std::uint64_t handle = 0;

  // A word that is not known for one of the two files is not compared.
  bool IsSame(const FileId& other) const {
    const auto agree = [](std::uint64_t a, std::uint64_t b) { return a == 0 || b == 0 || a == b; };
    return device == other.device && inode == other.inode && agree(birth_ns, other.birth_ns) &&
           agree(handle, other.handle);
  }
};

}  // namespace walmanager

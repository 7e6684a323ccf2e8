#include "ext/system/replaced_files.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <set>
#include <string_view>
#include <vector>

#include "ext/system/open_files.h"
#include "ext/system/read_marks.h"
#include "ext/system/registry.h"

namespace walmanager {
namespace {

constexpr useconds_t kTransientUs = 2000;

struct DirectoryCloser {
  void operator()(DIR* directory) const { closedir(directory); }
};

// The kernel adds this to the name of a file that has none any more.
constexpr std::string_view kDeleted = " (deleted)";

std::string Named(std::int64_t pid) {
  const std::string name = ProcessName(pid);
  return (name.empty() ? "a process" : name) + " (pid " + std::to_string(pid) + ")";
}

std::string FileName(const std::string& path) { return path.substr(path.find_last_of('/') + 1); }

std::string Describe(const std::vector<ReplacedFile>& files) {
  std::string words;
  for (const ReplacedFile& file : files) {
    words += (words.empty() ? "" : ", and ") + FileName(file.path) +
             (file.gone ? ", which was deleted" : ", which is another file now");
  }
  return words;
}

// Processes that have the database open, and in WAL mode a -shm file, but not the one at its path.
std::set<std::int64_t> WithoutShm(const std::string& path) {
  std::set<std::int64_t> without;
  for (const std::int64_t pid : LockHolders(path)) without.insert(pid);
  for (const std::int64_t pid : LockHolders(path + "-shm")) without.erase(pid);
  return without;
}

// Adds the file at `path`, which a process has open as `opened` says, where it is no longer there.
void AddIfReplaced(const std::string& path, dev_t device, ino_t inode,
                   std::vector<ReplacedFile>& replaced) {
  struct stat there {};
  const bool gone = stat(path.c_str(), &there) != 0;
  if (gone && errno != ENOENT) return;  // this process may not look there
  if (!gone && device == there.st_dev && inode == there.st_ino) return;
  const bool known = std::any_of(replaced.begin(), replaced.end(),
                                 [&](const ReplacedFile& other) { return other.path == path; });
  if (!known) replaced.push_back({path, gone});
}

std::vector<ReplacedFile> OwnReplacedFiles(const ReusedTables& tables,
                                           const std::vector<std::string>& paths) {
  std::vector<ReplacedFile> replaced;
  for (const std::string& path : paths) {
    for (const std::string& name : {path, path + std::string(kDeleted)}) {
      const auto first = std::lower_bound(tables.by_name.begin(), tables.by_name.end(), name,
                                          [&](std::size_t i, const std::string& wanted) {
                                            return tables.open_files[i].name < wanted;
                                          });
      for (auto it = first; it != tables.by_name.end(); ++it) {
        const auto& open_file = tables.open_files[*it];
        if (open_file.name != name) break;
        AddIfReplaced(path, open_file.device, open_file.inode, replaced);
      }
    }
  }
  return replaced;
}

}  // namespace

std::optional<std::vector<ReplacedFile>> ReplacedFilesOf(std::int64_t pid,
                                                         const std::vector<std::string>& paths) {
  const std::string folder =
      "/proc/" + (pid == ThisProcess().pid ? "self" : std::to_string(pid)) + "/fd";
  const std::unique_ptr<DIR, DirectoryCloser> directory(opendir(folder.c_str()));
  if (!directory) return std::nullopt;
  std::vector<ReplacedFile> replaced;
  char target[PATH_MAX];
  errno = 0;
  while (const dirent* entry = readdir(directory.get())) {
    if (entry->d_name[0] == '.') continue;
    const ssize_t length = readlinkat(dirfd(directory.get()), entry->d_name, target, sizeof target);
    if (length <= 0) continue;
    std::string_view name(target, static_cast<std::size_t>(length));
    if (name.ends_with(kDeleted)) name.remove_suffix(kDeleted.size());
    const auto path = std::find(paths.begin(), paths.end(), name);
    if (path == paths.end()) continue;
    struct stat opened {};
    if (fstatat(dirfd(directory.get()), entry->d_name, &opened, 0) != 0) continue;
    AddIfReplaced(*path, opened.st_dev, opened.st_ino, replaced);
  }
  return replaced;
}

bool HasReplaced(const char* path) {
  const auto replaced = ReplacedFilesOf(ThisProcess().pid, {path});
  return replaced && !replaced->empty();
}

std::optional<ReplacedFiles> FindReplacedFiles(const std::string& database_path) {
  constexpr std::size_t kMostProcesses = 64;
  const std::vector<std::string> paths = {database_path + "-wal", database_path + "-shm"};
  const std::int64_t self = ThisProcess().pid;
  const ReusedTables* const reused = OpenFilesToReuse();
  // A file that was closed since the table was read may have been replaced in good order.
  const bool may_be_replaced = !reused || !OwnReplacedFiles(*reused, paths).empty();
  const auto own =
      may_be_replaced ? ReplacedFilesOf(self, paths) : std::optional(std::vector<ReplacedFile>());
  if (!own) return std::nullopt;
  ReplacedFiles found;
  const auto add = [&](const std::string& words) {
    ++found.processes;
    found.detail += (found.detail.empty() ? "" : "; ") + words;
  };
  if (!own->empty()) add(Named(self) + " has " + Describe(*own));
  std::set<std::int64_t> others;
  for (const std::int64_t pid : LockHolders(database_path)) {
    if (pid > 0 && pid != self && others.size() < kMostProcesses) others.insert(pid);
  }
  std::optional<std::set<std::int64_t>> without;
  for (const std::int64_t pid : others) {
    if (const auto replaced = ReplacedFilesOf(pid, paths)) {
      if (!replaced->empty()) add(Named(pid) + " has " + Describe(*replaced));
      continue;
    }
    // One of another user: its locks tell, unless it is only about to open the -shm file.
    if (!without) {
      without = WithoutShm(database_path);
      if (!without->empty()) {
        usleep(kTransientUs);
        if (ReusedTables* const tables = TablesToReuse()) tables->locks_good_until_ns = 0;
        std::set<std::int64_t> still;
        std::ranges::set_intersection(*without, WithoutShm(database_path),
                                      std::inserter(still, still.end()));
        without = std::move(still);
      }
    }
    if (without->count(pid) != 0) add(Named(pid) + " has another " + FileName(paths[1]));
  }
  return found;
}

ReplacedFilesWatch::FileNumbers ReplacedFilesWatch::AtPaths() const {
  FileNumbers numbers{};
  std::size_t next = 0;
  for (const char* suffix : {"-wal", "-shm"}) {
    struct stat status {};
    if (stat((path_ + suffix).c_str(), &status) != 0) return {};
    numbers[next++] = status.st_dev;
    numbers[next++] = status.st_ino;
  }
  return numbers;
}

std::optional<ReplacedFiles> ReplacedFilesWatch::Find() {
  const FileNumbers before = AtPaths();
  {
    const MutexLock lock(mutex_);
    if (before != FileNumbers{} && before == good_) return ReplacedFiles{};
  }
  auto found = FindReplacedFiles(path_);
  const MutexLock lock(mutex_);
  good_ = found && found->processes == 0 && before == AtPaths() ? before : FileNumbers{};
  return found;
}

}  // namespace walmanager

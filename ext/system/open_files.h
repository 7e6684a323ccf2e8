// Which files this process has open, under whatever name it opened them.
//
// POSIX drops all locks that a process holds on a file when the process closes any descriptor of it
// (https://www.sqlite.org/howtocorrupt.html, section 2.2). So the extension never opens and closes
// a file that another part of the process may have open: it looks at it with stat, or with O_PATH,
// first.
// Thread rules: none. The answer is of the moment: another thread may open a file right after it.
#pragma once

#include <sys/stat.h>

#include <optional>

#include "ext/system/reused_tables.h"

namespace walmanager {

enum class OpenAs {
  kNothing,   // this process has no descriptor of it
  kDatabase,  // it has one, and the file begins as a database of SQLite's does
  kOther,     // it has one of a log, of shared memory, of anything else
  kUnknown,   // the system does not say: there is no /proc
};

// What the process has the file open as that `file` describes (stat or fstat). `except`: a
// descriptor that does not count. Opens nothing but the directory /proc/self/fd.
OpenAs OpenInThisProcess(const struct stat& file, int except = -1);

// The descriptors that this process has of the file; nullopt: the system does not say.
std::optional<int> CountDescriptors(const struct stat& file);

// The same for a regular look: of a second ago, where the thread has a ReuseOfTables.
std::optional<int> CountDescriptorsForLook(const struct stat& file);

// What ReuseOfTables keeps for the thread that has it, read anew where it is a second old. nullptr:
// the thread has none, or the system does not say.
const ReusedTables* OpenFilesToReuse();

}  // namespace walmanager

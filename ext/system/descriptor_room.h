// How many descriptors this process may still have (RLIMIT_NOFILE). A program that has almost all
// of them must get the last ones: an open of its own must not fail because of walmanager.
//
// A new descriptor has the lowest number that is free. So a process has used up the numbers below
// the highest ones that are in use, or it had at some time. A program that has put a descriptor on
// one of the last numbers itself counts as one that has few left.
// Thread rules: any thread. Each answer takes a few microseconds, and is of the moment.
#pragma once

#include <string>

namespace walmanager {

// Whether walmanager may open a file that stays open.
bool HasDescriptorsToSpare();
// Whether walmanager should close what it has open.
bool ProgramNeedsDescriptors();
// Of how many databases connections of walmanager may be opened. SQLite keeps two descriptors of
// each until the program closes the database, and nothing can give them back: so a sixteenth of all
// at most, and none where the limit is lower than the 1024 that Linux gives a process.
int MostCopiedDatabases();
// Why a file is not opened.
std::string FewDescriptorsBecause();

}  // namespace walmanager

// How many descriptors this process may still have (RLIMIT_NOFILE). A program that has almost all
// of them must get the last ones: an open of its own must not fail because of walmanager. Thread
// rules: any thread. Each answer is of the moment, and takes a few microseconds: longer only where
// most of the numbers are in use.
#pragma once

#include <string>

namespace walmanager {

// Whether walmanager may open a file that stays open.
bool HasDescriptorsToSpare();
// Whether walmanager should close what it has open.
bool ProgramNeedsDescriptors();
// Of how many databases connections of walmanager may be opened. SQLite keeps two descriptors of
// each until the program closes the database, and nothing can give them back: so a sixteenth of all
// at most. Where the limit is lower than the 1024 that Linux gives a process, one database.
int MostCopiedDatabases();
// Why a file is not opened.
std::string FewDescriptorsBecause();

}  // namespace walmanager

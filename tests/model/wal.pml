/* Which processes there are: -DWITH_... (`check` has the configurations), and what must come to pass. */

/* Whose SQLite has the fix of the WAL-reset bug. The third party's has it, so that what is found is walmanager's. */
#if defined(ALL_ARE_FIXED)
#define IS_FIXED(id) true
#elif defined(NONE_IS_FIXED)
#define IS_FIXED(id) false
#else
#define IS_FIXED(id) (id == 5)
#endif

#include "shared_memory.pml"
#include "read_transaction.pml"
#include "write_transaction.pml"
#include "checkpoint.pml"
#include "walmanager.pml"
#include "processes.pml"
#include "promises.pml"

init {
  atomic {
    mark[2] = UNUSED;
#ifdef TWO_FRAMES_ARE_COPIED
    transactions = 2; committed[1] = 2; db[1] = 2;
    file_salt = 1; max_frame = 2; backfill = 2; mark[1] = 2;
    hash[1] = 1; frame_page[1] = 1; frame_version[1] = 1; frame_salt[1] = 1; frame_ends[1] = true;
    hash[2] = 1; frame_page[2] = 1; frame_version[2] = 2; frame_salt[2] = 1; frame_ends[2] = true; frame_after[2] = 1;
#endif
    run Limits();
#ifdef WITH_CRASH
    run Crash();
#endif
#ifdef WITH_WRITER
    run Writer(1, BARE);
#endif
#ifdef WITH_SECOND_WRITER
    run Writer(2, BARE);
#endif
#ifdef WITH_FINISHING
    run Writer(1, FINISHES);
#endif
#ifdef WITH_SECOND_FINISHING
    run Writer(2, FINISHES);
#endif
#ifdef WITH_WAITING
    run Writer(2, WAITS);
#endif
#ifdef WITH_COPIER
    run Copier(3);
#endif
#ifdef WITH_SECOND_COPIER
    run Copier(4);
#endif
#ifdef WITH_THIRD
    run Third(5);
#endif
#ifdef WITH_CUTTER
    run Cutter(6);
#endif
#ifdef WITH_READER
    readers++;
    run Reader();
#endif
#ifdef WITH_SECOND_READER
    readers++;
    run Reader();
#endif
#ifdef WITH_LAST
    run Last(7);
#endif
#ifdef WITH_CLOCK
    run Clock();
#endif
#ifdef WITH_KILLER
    run Killer(WITH_KILLER);
#endif
  }
}

#ifdef LTL_STARTS_OVER
ltl starts_over_at_last { <> last_is_done }
#endif
#ifdef LTL_GATE
ltl nobody_waits_for_ever { [] (at_gate > 0 -> <> (at_gate == 0)) }
#endif

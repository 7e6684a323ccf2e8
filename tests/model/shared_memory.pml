/* What the processes share: the files, the wal-index and the locks, as SQLite's wal.c has them.

   In all files each d_step is one step: one look at shared memory, one lock, one write. Between two of them any other process may
   run. The comment at a step names the function that it stands for. MUTATE_... leaves out or moves one step
   (README.md). */

#ifndef FRAMES
#define FRAMES 3 /* the log has room for so many */
#endif
#ifndef COMMITS
#define COMMITS 3 /* all writers together */
#endif
#define PAGES 2
#define MARKS 2 /* read marks beside READ0. The engine has four. */
#define NONE 9
#define UNUSED 255 /* READMARK_NOT_USED */

/* The database file: the version of each page, which is the number of the transaction that wrote it. */
byte db[PAGES + 1];
/* The log file. A frame is valid where its salt is that of the header and `frame_after` is the version of the frame
   before it. In the file format the checksums say that. */
byte file_salt;
byte frame_page[FRAMES + 1], frame_version[FRAMES + 1], frame_salt[FRAMES + 1], frame_after[FRAMES + 1];
bool frame_ends[FRAMES + 1]; /* the last frame of a commit */

/* The wal-index: header (mxFrame and salt), nBackfill, read marks, and the page of each frame. */
byte max_frame = 0, salt = 1, backfill = 0;
byte mark[MARKS + 1];
byte hash[FRAMES + 1];

/* Locks of the -shm file. `shared` counts holders. `write_lock` and `checkpoint_lock` name the holder, 0: none. */
byte shared[MARKS + 1];
bool exclusive[MARKS + 1];
byte write_lock, checkpoint_lock;

/* What must hold. `committed`: the versions after the last commit. `written`: those after the transaction that is being
   written. `commit_is_written`: its last frame is in the file, so a recovery finds it. `starts_over`: a writer, who
   holds all read marks, is between the two stores of walRestartHdr. */
byte committed[PAGES + 1], written[PAGES + 1];
bool commit_is_written, starts_over;
byte transactions, commits;
byte copying; /* processes that hold the lease and copy */

#define IS_FREE(i) (shared[i] == 0 && !exclusive[i])
#define ALL_MARKS_ARE_FREE (IS_FREE(1) && IS_FREE(2))

/* One connection: its copy of the header, the read mark that it holds, the first frame that it reads in the log, and
   what it must read. */
typedef Connection {
  byte max_frame, salt, lock, min_frame;
  byte sees[PAGES + 1]
};
#define HEADER_IS_OF(c) (max_frame == c.max_frame && salt == c.salt)
#define BEGINS_SNAPSHOT(c) c.sees[1] = committed[1]; c.sees[2] = committed[2]

/* The variables of each proctype that uses these steps. `owned`: the exclusive locks on read marks, a bit each. */
#define ENGINE_LOCALS  \
  byte i = 0;          \
  byte m = NONE;       \
  byte seen = 0;       \
  byte owned = 0

inline lock_exclusive(which) {
  d_step {
    if
    :: IS_FREE(which) -> exclusive[which] = true; owned = owned | (1 << which)
    :: else
    fi
  }
}
inline unlock_exclusive(which) {
  d_step { exclusive[which] = false; owned = owned & ~(1 << which) }
}
inline lock_all_marks() {
  d_step {
    if
    :: ALL_MARKS_ARE_FREE -> exclusive[1] = true; exclusive[2] = true; owned = 6
    :: else
    fi
  }
}
inline unlock_all_marks() {
  d_step { exclusive[1] = false; exclusive[2] = false; owned = 0 }
}

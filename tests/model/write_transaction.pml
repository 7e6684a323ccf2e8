/* A write transaction of any connection */

/* walRestartHdr: the log starts over. The caller holds the write lock and all read marks. */
inline restart_header(c) {
  d_step {
    printf("the log starts over\n");
    c.max_frame = 0; c.salt = salt + 1;
    max_frame = 0; salt = c.salt;
#ifdef RESTART_IN_ONE_STEP
    backfill = 0
  };
#else
    starts_over = true
  };
  d_step { backfill = 0; starts_over = false };
#endif
  d_step { mark[1] = 0 };
  d_step { mark[2] = UNUSED }
}

/* walRestartLog */
inline restart_log(c) {
  if
  :: c.lock == 0 ->
     d_step { assert(backfill == c.max_frame); seen = backfill };
     if
     :: seen > 0 ->
#ifdef MUTATE_RESTART_BESIDE_READERS
        owned = 6;
#else
        lock_all_marks();
#endif
        if
        :: owned != 0 ->
           restart_header(c);
#ifdef MUTATE_RESTART_BESIDE_READERS
           owned = 0
#else
           unlock_all_marks()
#endif
        :: else
        fi
     :: else
     fi;
     d_step { shared[0]--; c.lock = NONE; seen = 0 };
     do
     :: c.lock != NONE -> break
     :: else -> use_mark(c) /* walTryBeginRead(useWal=1) */
     od
  :: else
  fi
}

/* walFrames writes the header of the log file before the first frame. */
inline write_file_header(c) {
  d_step {
    if
    :: file_salt != c.salt -> file_salt = c.salt; commit_is_written = false
    :: else /* A writer that was killed has begun this log. What it wrote is valid until it is written over. */
    fi
  }
}
/* walWriteOneFrame: a page of the transaction `version`, as the frame `offset` of it */
inline write_frame(c, page, ends, offset) {
  d_step {
    i = c.max_frame + offset;
    frame_page[i] = page;
    frame_version[i] = version;
    frame_salt[i] = c.salt;
    frame_after[i] = frame_version[i - 1];
    frame_ends[i] = ends;
    if
    :: i == 1 -> frame_after[i] = 0
    :: else
    fi;
    if
    :: offset == 1 -> written[1] = committed[1]; written[2] = committed[2]
    :: else
    fi;
    written[page] = version;
    commit_is_written = ends;
    i = 0
  }
}
/* walIndexAppend, with walCleanupHash */
inline append_to_index(c, page, offset) {
  d_step {
    i = c.max_frame + offset;
    hash[i] = page;
    i++;
    do
    :: i <= FRAMES -> hash[i] = 0; i++
    :: else -> break
    od;
    i = 0
  }
}

inline lock_write() {
  d_step {
    if
    :: write_lock == 0 -> write_lock = id
    :: else
    fi
  }
}

/* A write transaction of any connection, from its begin to its commit */
inline transaction(c) {
  begin_read(c);
  lock_write(); /* sqlite3WalBeginWriteTransaction */
  if
  :: write_lock == id ->
     d_step {
       if
       :: HEADER_IS_OF(c) -> m = 0
       :: else
       fi
     };
     if
     :: m == 0 ->
        m = NONE;
        restart_log(c);
        if
        :: commits < limit && c.max_frame < FRAMES -> first = 1
#ifndef ONE_PAGE
        :: commits < limit && c.max_frame < FRAMES -> first = 2
        :: commits < limit && c.max_frame + 1 < FRAMES -> first = 1; second = 2
#endif
        :: else /* no room: it rolls back */
        fi;
        if
        :: first != 0 ->
           d_step { transactions++; version = transactions };
           if
           :: c.max_frame == 0 -> write_file_header(c)
           :: else
           fi;
           write_frame(c, first, (second == 0), 1);
           if
           :: second != 0 -> write_frame(c, second, 1, 2)
           :: else
           fi;
           append_to_index(c, first, 1);
           if
           :: second != 0 -> append_to_index(c, second, 2)
           :: else
           fi;
           d_step { /* walIndexWriteHdr: the commit */
             max_frame = c.max_frame + 1 + (second != 0);
             committed[1] = written[1]; committed[2] = written[2];
             commit_is_written = false;
             commits++;
             first = 0; second = 0; version = 0
           }
        :: else
        fi
     :: else /* SQLITE_BUSY_SNAPSHOT */
     fi;
     d_step { write_lock = 0 };
     end_read(c)
  :: else -> end_read(c); write_lock == 0
  fi
}
#define WRITER_LOCALS \
  Connection c;       \
  byte first = 0;     \
  byte second = 0;    \
  byte version = 0

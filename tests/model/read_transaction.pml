/* A read transaction of any connection, and what each write transaction and the guard begin with */

/* sqlite3WalEndReadTransaction */
inline end_read(c) {
  d_step {
    shared[c.lock]--;
    c.lock = NONE; c.max_frame = 0; c.salt = 0; c.min_frame = 0; c.sees[1] = 0; c.sees[2] = 0
  }
}

/* walTryBeginRead from the choice of a mark on. c.lock stays NONE where it is to be tried again. */
inline use_mark(c) {
  d_step {
    m = NONE; seen = 0;
    if
    :: mark[1] <= c.max_frame -> seen = mark[1]; m = 1
    :: else
    fi
  };
  d_step {
    if
    :: mark[2] <= c.max_frame && seen <= mark[2] -> seen = mark[2]; m = 2
    :: else
    fi
  };
  if
  :: seen < c.max_frame || m == NONE ->
     i = 1;
     do
     :: i <= MARKS ->
        lock_exclusive(i);
        if
        :: owned != 0 ->
           d_step { mark[i] = c.max_frame; seen = c.max_frame; m = i };
           unlock_exclusive(i);
           break
        :: else -> i++
        fi
     :: else -> break
     od
  :: else
  fi;
  if
  :: m != NONE ->
     d_step {
       if
       :: !exclusive[m] -> shared[m]++; c.lock = m
       :: else
       fi
     }
  :: else
  fi;
  if
  :: c.lock != NONE ->
#ifndef MUTATE_MIN_FRAME_LATE
     d_step { c.min_frame = backfill + 1 };
#endif
     d_step {
#ifdef MUTATE_NO_SECOND_LOOK
       BEGINS_SNAPSHOT(c)
#else
       if
       :: mark[m] == seen && HEADER_IS_OF(c) -> BEGINS_SNAPSHOT(c)
       :: else -> m = NONE
       fi
#endif
     };
     if
     :: m == NONE -> d_step { shared[c.lock]--; c.lock = NONE; c.min_frame = 0 }
     :: else
     fi
#ifdef MUTATE_MIN_FRAME_LATE
     ;if
     :: c.lock != NONE -> d_step { c.min_frame = backfill + 1 }
     :: else
     fi
#endif
  :: else
  fi;
  d_step { m = NONE; seen = 0; i = 0 }
}

/* walBeginReadTransaction: walTryBeginRead(useWal=0) until it succeeds */
inline begin_read(c) {
  do
  :: c.lock != NONE -> break
  :: else ->
     d_step { c.max_frame = max_frame; c.salt = salt }; /* walIndexReadHdr */
     d_step {
       if
       :: backfill == c.max_frame -> m = 0
       :: else
       fi
     };
     if
     :: m == 0 ->
        d_step {
          if
          :: !exclusive[0] -> shared[0]++; c.lock = 0
          :: else -> m = NONE
          fi
        }
     :: else
     fi;
     if
     :: m == 0 ->
        d_step {
#ifdef MUTATE_NO_SECOND_LOOK
          BEGINS_SNAPSHOT(c);
#else
          if
          :: HEADER_IS_OF(c) -> BEGINS_SNAPSHOT(c)
          :: else -> m = NONE
          fi;
#endif
        };
        if
        :: m == NONE -> d_step { shared[0]--; c.lock = NONE }
        :: else -> m = NONE
        fi
     :: else -> use_mark(c)
     fi
  od
}

/* walFindFrame, then the read of the page from the log or from the database */
inline read_page(c, page) {
  d_step {
    seen = 0;
    if
    :: c.lock != 0 ->
       i = c.min_frame;
       do
       :: i <= c.max_frame ->
          if
          :: hash[i] == page -> seen = i
          :: else
          fi;
          i++
       :: else -> break
       od
    :: else
    fi;
    i = 0
  };
  d_step {
    if
    :: seen != 0 -> assert(frame_version[seen] == c.sees[page])
    :: else -> assert(db[page] == c.sees[page])
    fi;
    seen = 0
  }
}

/* The page that a test and the processes under test share. Each line of FIELDS is one int64_t;
 * __init__.py reads the names from here. All are 0 at first: nothing is wrong.
 *
 * A fault happens while its errno (or flag) is set and its *_faults is not 0: a positive number
 * is counted down, -1 means every time. Files count where their path holds `path`, sends where
 * their bytes hold `bytes`; an empty text matches all.
 */
#define FIELDS(F)                                                                     \
    F(fsync_delay_us)  /* fsync and fdatasync take that much longer */                \
    F(fsync_errno)     /* ... and then fail */                                        \
    F(fsync_skip)      /* ... or say that they are done without doing it */           \
    F(fsync_faults)                                                                   \
    F(pwrite_errno)    /* pwrite, and write to a regular file, fail */                \
    F(pwrite_short)    /* ... or write half of what they were given */                \
    F(pwrite_faults)                                                                  \
    F(open_errno)                                                                     \
    F(open_faults)                                                                    \
    F(accept_errno)    /* accept and accept4 fail, and take nothing from the queue */ \
    F(accept_faults)                                                                  \
    F(accept_port)     /* of the listener; 0: any, -1: a Unix socket */               \
    F(thread_errno)    /* pthread_create fails */                                     \
    F(thread_faults)                                                                  \
    F(clock_offset_us) /* added to the wall clock, never to a monotonic one */        \
    F(steady_offset_us) /* added to the monotonic clocks */                           \
    F(kill_point)      /* 1 to 8, see enum point: where the process kills itself */   \
    F(kill_count)      /* ... when it comes there for the nth time */                 \
    F(kill_stops)      /* ... or only stops itself, and goes on by SIGCONT */         \
    F(recording)       /* write the operations on matching files to FAULTS_RECORD */  \
    F(fsyncs)          /* from here on: how often a matching call was made */         \
    F(pwrites)                                                                        \
    F(opens)                                                                          \
    F(accepts)                                                                        \
    F(threads)                                                                        \
    F(sends)                                                                          \
    F(faults)          /* ... and how many faults happened, of any kind */

#define PAGE 4096
#define PATH_AT 2048  /* 256 bytes, ended by NUL */
#define BYTES_AT 2304 /* 64 bytes, ended by NUL */

enum point {
    BEFORE_FSYNC = 1,
    AFTER_FSYNC,
    BEFORE_PWRITE,
    AMID_PWRITE, /* half of it is written */
    AFTER_PWRITE,
    BEFORE_SEND,
    AMID_SEND, /* half of it is sent */
    AFTER_SEND,
};

/* One entry of the record: this head, then `length` bytes. Little-endian, no padding. */
enum operation { OPEN = 1, WRITE, TRUNCATE, SYNC_BEGIN, SYNC_END, UNLINK, RENAME, SEND };

struct head {
    int64_t operation;
    int64_t file;   /* its inode; SEND: the descriptor */
    int64_t offset; /* WRITE: where; TRUNCATE: the new length; OPEN: the flags */
    int64_t thread; /* who: an fsync covers what was written before it began */
    int64_t length;
};

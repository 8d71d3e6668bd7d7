/* Real faults for a process that does not know of them: LD_PRELOAD this, with FAULTS_CONTROL
 * naming a file of one page (faults.h). See __init__.py. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "faults.h"

#define MEMBER(name) int64_t name;
struct page {
    FIELDS(MEMBER)
};

static volatile struct page *page;
static const volatile char *path_wanted, *bytes_wanted;
static int record = -1;

/* What a descriptor is. Zero: not looked at since it was opened. */
enum kind { UNKNOWN, SOCKET, MATCHING, FOLDER, OTHER };
#define DESCRIPTORS 65536
static unsigned char kinds[DESCRIPTORS];

#define REAL(name)                                        \
    static __typeof__(&name) real;                        \
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, #name)

static void add(volatile int64_t *to, int64_t what) {
    __atomic_add_fetch(to, what, __ATOMIC_SEQ_CST);
}

/* Does this fault happen now? Counts it down. */
static int happens(volatile int64_t *left) {
    int64_t was = *left;
    while (was > 0)
        if (__atomic_compare_exchange_n(left, &was, was - 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            break;
    if (was) add(&page->faults, 1);
    return was != 0;
}

/* True where the process is to die here: the caller does what comes before. */
static int dies(enum point point) {
    return page->kill_point == point && __atomic_sub_fetch(&page->kill_count, 1, __ATOMIC_SEQ_CST) == 0;
}

static void die(void) {
    add(&page->faults, 1);
    if (page->kill_stops) {
        kill(getpid(), SIGSTOP);
        return;
    }
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

static int holds(const char *text, size_t length, const volatile char *wanted) {
    const char *what = (const char *)wanted;
    return !*what || memmem(text, length, what, strlen(what)) != NULL;
}

/* The path from the root on; not resolved. `into` has room for 4096. */
static const char *absolute(const char *path, char *into) {
    int before = errno;
    if (*path == '/' || !getcwd(into, 2048)) return path;
    size_t length = strlen(into);
    snprintf(into + length, 4096 - length, "/%s", path);
    errno = before;
    return into;
}

static ssize_t path_of(int fd, char *path, size_t size) {
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, size - 1);
    if (length >= 0) path[length] = 0;
    return length;
}

static enum kind kind_of(int fd) {
    if (!page || fd < 0 || fd >= DESCRIPTORS) return OTHER;
    if (kinds[fd]) return kinds[fd];
    struct stat of;
    char path[1024];
    enum kind kind = OTHER;
    int before = errno;
    if (fstat(fd, &of) == 0) {
        if (S_ISSOCK(of.st_mode)) kind = SOCKET;
        else if (S_ISDIR(of.st_mode)) kind = FOLDER;
        else if (S_ISREG(of.st_mode)) {
            ssize_t length = path_of(fd, path, sizeof path);
            if (length > 0 && holds(path, length, path_wanted)) kind = MATCHING;
        }
    }
    errno = before;
    return kinds[fd] = kind;
}

static int matches(int fd) { return kind_of(fd) == MATCHING; }

static int fresh(int fd) {
    if (fd >= 0 && fd < DESCRIPTORS) kinds[fd] = UNKNOWN;
    return fd;
}

/* One writev to a file opened with O_APPEND: entries of several threads never mix. */
static void note(enum operation operation, int64_t file, int64_t offset, const void *data, size_t length) {
    if (record < 0 || !page->recording) return;
    struct head head = {operation, file, offset, syscall(SYS_gettid), length};
    struct iovec parts[] = {{&head, sizeof head}, {(void *)data, length}};
    int before = errno;
    if (writev(record, parts, 2) != (ssize_t)(sizeof head + length)) abort();
    errno = before;
}

static int64_t inode(int fd) {
    struct stat of;
    return fstat(fd, &of) ? -1 : (int64_t)of.st_ino;
}

static int recorded(int fd) { return record >= 0 && page->recording && matches(fd); }

/* Called again in a fork of a process that was loaded without FAULTS_CONTROL. */
__attribute__((constructor)) void faults_begin(void) {
    const char *control = getenv("FAULTS_CONTROL"), *file = getenv("FAULTS_RECORD");
    if (!control) return;
    int fd = open(control, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        perror("faults: FAULTS_CONTROL");
        _exit(99);
    }
    char *mapped = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped == MAP_FAILED) _exit(99);
    path_wanted = mapped + PATH_AT;
    bytes_wanted = mapped + BYTES_AT;
    if (file) {
        int low = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        /* Out of the way of what a process counts or closes. */
        record = fcntl(low, F_DUPFD_CLOEXEC, 900);
        if (record < 0) record = low;
        else close(low);
    }
    page = (volatile struct page *)mapped;
}

/* Opening and closing */

static int opened(int fd, int flags) {
    fresh(fd);
    if (fd >= 0 && recorded(fd)) {
        char path[1024];
        ssize_t length = path_of(fd, path, sizeof path);
        note(OPEN, inode(fd), flags, path, length);
    }
    return fd;
}

static int fails_to_open(const char *path) {
    char into[4096];
    if (!page) return 0;
    path = absolute(path, into);
    if (!holds(path, strlen(path), path_wanted)) return 0;
    add(&page->opens, 1);
    if (!page->open_errno || !happens(&page->open_faults)) return 0;
    errno = page->open_errno;
    return 1;
}

#define MODE                                              \
    mode_t mode = 0;                                      \
    if (flags & (O_CREAT | O_TMPFILE)) {                  \
        va_list more;                                     \
        va_start(more, flags);                            \
        mode = va_arg(more, mode_t);                      \
        va_end(more);                                     \
    }

int open(const char *path, int flags, ...) {
    REAL(open);
    MODE;
    return fails_to_open(path) ? -1 : opened(real(path, flags, mode), flags);
}

int open64(const char *path, int flags, ...) {
    REAL(open64);
    MODE;
    return fails_to_open(path) ? -1 : opened(real(path, flags, mode), flags);
}

int openat(int folder, const char *path, int flags, ...) {
    REAL(openat);
    MODE;
    return fails_to_open(path) ? -1 : opened(real(folder, path, flags, mode), flags);
}

int openat64(int folder, const char *path, int flags, ...) {
    REAL(openat64);
    MODE;
    return fails_to_open(path) ? -1 : opened(real(folder, path, flags, mode), flags);
}

int socket(int domain, int type, int protocol) {
    REAL(socket);
    return fresh(real(domain, type, protocol));
}

int close(int fd) {
    REAL(close);
    fresh(fd);
    return real(fd);
}

/* Syncing */

static int sync_with(int fd, int (*real)(int)) {
    enum kind kind = kind_of(fd);
    if (kind == FOLDER && record >= 0 && page->recording) {
        char path[1024];
        ssize_t length = path_of(fd, path, sizeof path);
        note(SYNC_BEGIN, -1, 0, path, length);
        int done = real(fd);
        if (!done) note(SYNC_END, -1, 0, path, length);
        return done;
    }
    if (kind != MATCHING) return real(fd);
    add(&page->fsyncs, 1);
    if (dies(BEFORE_FSYNC)) die();
    if ((page->fsync_delay_us || page->fsync_errno || page->fsync_skip) && happens(&page->fsync_faults)) {
        /* In small steps: a test may end the delay by setting it to 0. */
        struct timespec step = {0, 5000000};
        for (int64_t slept = 0; slept < page->fsync_delay_us; slept += 5000) nanosleep(&step, NULL);
        if (page->fsync_errno) {
            errno = page->fsync_errno;
            return -1;
        }
        if (page->fsync_skip) return 0;
    }
    int64_t file = recorded(fd) ? inode(fd) : -1;
    note(SYNC_BEGIN, file, 0, NULL, 0);
    int done = real(fd);
    if (!done) note(SYNC_END, file, 0, NULL, 0);
    if (dies(AFTER_FSYNC)) die();
    return done;
}

int fsync(int fd) {
    REAL(fsync);
    return sync_with(fd, real);
}

int fdatasync(int fd) {
    REAL(fdatasync);
    return sync_with(fd, real);
}

/* Writing and sending */

/* -1: fails. Else how many bytes are to be written. */
static ssize_t allowed(size_t length) {
    add(&page->pwrites, 1);
    if (dies(BEFORE_PWRITE)) die();
    if ((page->pwrite_errno || page->pwrite_short) && happens(&page->pwrite_faults)) {
        if (page->pwrite_errno) {
            errno = page->pwrite_errno;
            return -1;
        }
        if (length > 1) return length / 2;
    }
    return length;
}

static ssize_t write_at(int fd, const void *data, size_t length, off64_t offset,
                        ssize_t (*real)(int, const void *, size_t, off64_t)) {
    if (!page || !matches(fd)) return real(fd, data, length, offset);
    ssize_t most = allowed(length);
    if (most < 0) return -1;
    if (recorded(fd)) note(WRITE, inode(fd), offset, data, most);
    if (dies(AMID_PWRITE)) {
        real(fd, data, most / 2, offset);
        die();
    }
    ssize_t done = real(fd, data, most, offset);
    if (dies(AFTER_PWRITE)) die();
    return done;
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) {
    REAL(pwrite);
    return write_at(fd, data, length, offset, real);
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) {
    REAL(pwrite64);
    return write_at(fd, data, length, offset, real);
}

/* Before a send: the number of bytes to send, less than `length` where death is to follow. */
static size_t before_send(int fd, const void *data, size_t length) {
    note(SEND, fd, 0, data, length);
    if (!holds(data, length, bytes_wanted)) return length;
    add(&page->sends, 1);
    if (dies(BEFORE_SEND)) die();
    return dies(AMID_SEND) ? length / 2 : length;
}

static void after_send(const void *data, size_t length) {
    if (page->kill_point == AFTER_SEND && holds(data, length, bytes_wanted) && dies(AFTER_SEND)) die();
}

ssize_t write(int fd, const void *data, size_t length) {
    REAL(write);
    if (!page) return real(fd, data, length);
    enum kind kind = kind_of(fd);
    if (kind == SOCKET) {
        size_t most = before_send(fd, data, length);
        ssize_t done = real(fd, data, most);
        if (most < length) die();
        after_send(data, length);
        return done;
    }
    if (kind != MATCHING) return real(fd, data, length);
    ssize_t most = allowed(length);
    if (most < 0) return -1;
    if (recorded(fd)) {
        struct stat of;
        int flags = fcntl(fd, F_GETFL);
        off64_t at = lseek64(fd, 0, SEEK_CUR);
        if (flags & O_APPEND && fstat(fd, &of) == 0) at = of.st_size;
        note(WRITE, inode(fd), at, data, most);
    }
    ssize_t done = real(fd, data, most);
    if (dies(AFTER_PWRITE)) die();
    return done;
}

ssize_t send(int fd, const void *data, size_t length, int flags) {
    REAL(send);
    if (!page) return real(fd, data, length, flags);
    size_t most = before_send(fd, data, length);
    ssize_t done = real(fd, data, most, flags);
    if (most < length) die();
    after_send(data, length);
    return done;
}

static int cut(int fd, off64_t length, int (*real)(int, off64_t)) {
    if (page && recorded(fd)) note(TRUNCATE, inode(fd), length, NULL, 0);
    return real(fd, length);
}

int ftruncate(int fd, off_t length) {
    REAL(ftruncate);
    return cut(fd, length, real);
}

int ftruncate64(int fd, off64_t length) {
    REAL(ftruncate64);
    return cut(fd, length, real);
}

int unlink(const char *path) {
    REAL(unlink);
    char whole[4096];
    if (page && record >= 0 && page->recording && realpath(path, whole) &&
        holds(whole, strlen(whole), path_wanted))
        note(UNLINK, -1, 0, whole, strlen(whole));
    return real(path);
}

int rename(const char *from, const char *to) {
    REAL(rename);
    char first[4096], second[4096], both[8192];
    if (page && record >= 0 && page->recording) {
        int length = snprintf(both, sizeof both, "%s\n%s", absolute(from, first), absolute(to, second));
        if (length < (int)sizeof both && holds(both, length, path_wanted))
            note(RENAME, -1, 0, both, length);
    }
    return real(from, to);
}

/* Accepting, and threads */

static int refuses(int fd) {
    if (!page) return 0;
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } own;
    socklen_t size = sizeof own;
    int64_t port = -1;
    if (getsockname(fd, &own.any, &size) == 0 && own.any.sa_family != AF_UNIX)
        port = ntohs(own.any.sa_family == AF_INET6 ? own.v6.sin6_port : own.v4.sin_port);
    if (page->accept_port && page->accept_port != port) return 0;
    add(&page->accepts, 1);
    if (!page->accept_errno || !happens(&page->accept_faults)) return 0;
    errno = page->accept_errno;
    return 1;
}

int accept(int fd, struct sockaddr *from, socklen_t *size) {
    REAL(accept);
    return refuses(fd) ? -1 : fresh(real(fd, from, size));
}

int accept4(int fd, struct sockaddr *from, socklen_t *size, int flags) {
    REAL(accept4);
    return refuses(fd) ? -1 : fresh(real(fd, from, size, flags));
}

int pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*run)(void *), void *with) {
    REAL(pthread_create);
    if (page) {
        add(&page->threads, 1);
        if (page->thread_errno && happens(&page->thread_faults)) return page->thread_errno;
    }
    return real(thread, how, run, with);
}

/* Clocks. The kernel knows nothing of it: a wait until a time of a monotonic clock is given the real
 * one. Python's locks and time.sleep() wait so. Not pthread_cond_timedwait(), by which a thread asks
 * for the interpreter's lock every 0.5 ms: it gets the lock when another thread leaves it. */

static void shift(struct timespec *to, int64_t offset_us) {
    int64_t all = to->tv_sec * 1000000000 + to->tv_nsec + offset_us * 1000;
    to->tv_sec = all / 1000000000;
    to->tv_nsec = all % 1000000000;
}

static int is_steady(clockid_t clock) {
    return clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE || clock == CLOCK_MONOTONIC_RAW
        || clock == CLOCK_BOOTTIME;
}

int clock_gettime(clockid_t clock, struct timespec *to) {
    REAL(clock_gettime);
    int done = real(clock, to);
    if (!page || done != 0) return done;
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) shift(to, page->clock_offset_us);
    else if (is_steady(clock)) shift(to, page->steady_offset_us);
    return done;
}

int sem_clockwait(sem_t *restrict on, clockid_t clock, const struct timespec *restrict until) {
    REAL(sem_clockwait);
    struct timespec moved = *until;
    if (page && is_steady(clock)) shift(&moved, -page->steady_offset_us);
    return real(on, clock, &moved);
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *until, struct timespec *left) {
    REAL(clock_nanosleep);
    struct timespec moved = *until;
    if (page && flags == TIMER_ABSTIME && is_steady(clock)) shift(&moved, -page->steady_offset_us);
    return real(clock, flags, &moved, left);
}

int gettimeofday(struct timeval *restrict to, void *restrict zone) {
    (void)zone;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    to->tv_sec = now.tv_sec;
    to->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *to) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (to) *to = now.tv_sec;
    return now.tv_sec;
}

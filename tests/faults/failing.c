/* Counts what a process changes in one folder and sends to others, writes it down, and fails the call of a
 * given number. Loaded by LD_PRELOAD into the hub of tests/faults/failing_hub.py, which arms it after a fork;
 * until then every call passes. `failing_calls.py` reads what is written here. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum fault { NONE, KILL_BEFORE, KILL_AFTER, TEAR, FAIL, FAIL_DONE, FULL, FAIL_KILLED };

static pthread_mutex_t alone = PTHREAD_MUTEX_INITIALIZER;
static char folder[PATH_MAX];
static int journal = -1, error_number = EIO;
static long count, fail_at;
static enum fault fault;

void failing_arm(const char *of, const char *to, long at, int how, int error)
{
    snprintf(folder, sizeof folder, "%s/", of);
    fail_at = at, fault = how, error_number = error;
    journal = open(to, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

static int is_inside(const char *path)
{
    return journal >= 0 && !strncmp(path, folder, strlen(folder));
}

static int target_of(int fd, char *path)
{
    char link[64];
    struct sockaddr_in6 address;
    socklen_t size = sizeof address;
    ssize_t length;

    if (journal < 0 || fd == journal)
        return 0;
    if (!getsockname(fd, (struct sockaddr *)&address, &size)) {
        strcpy(path, "caller");
        return address.sin6_family == AF_INET || address.sin6_family == AF_INET6;
    }
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, PATH_MAX - 2);
    path[length < 0 ? 0 : length] = 0;
    /* The folder itself, when a directory is synced. */
    strcat(path, "/");
    length = is_inside(path);
    path[strlen(path) - 1] = 0;
    return (int)length;
}

static void put(const void *data, size_t size)
{
    const char *at = data;
    while (size) {
        long done = syscall(SYS_write, journal, at, size);
        if (done <= 0)
            break;
        at += done, size -= (size_t)done;
    }
}

static void note(const char *how, const char *call, const char *path, long a, long b, const char *other)
{
    char line[3 * PATH_MAX];
    put(line, (size_t)snprintf(line, sizeof line, "%ld\t%s\t%s\t%s\t%ld\t%ld\t%s\n", count, how, call, path, a,
                               b, other));
}

static void die(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

/* What this call is to suffer. Holds the lock until `left`: the order written down is the order done. */
static enum fault entered(int writes)
{
    pthread_mutex_lock(&alone);
    count++;
    if (fault == FAIL_KILLED)
        return count == fail_at ? FAIL : fail_at && count > fail_at ? KILL_BEFORE : NONE;
    if (count == fail_at)
        return fault;
    return fault == FULL && fail_at && count > fail_at && writes ? FULL : NONE;
}

static long left(long result, enum fault suffers)
{
    int error = errno;
    if (suffers == KILL_AFTER || suffers == TEAR)
        die();
    pthread_mutex_unlock(&alone);
    if (suffers == FAIL || suffers == FAIL_DONE || suffers == FULL) {
        errno = error_number;
        return -1;
    }
    errno = error;
    return result;
}

/* `body` does it and writes it down; on KILL_BEFORE, FAIL and FULL it is written down that it was not done. */
#define SUFFER(writes, call, path, a, b, other, body)                                                         \
    do {                                                                                                      \
        enum fault suffers = entered(writes);                                                                 \
        long result = -1;                                                                                     \
        if (suffers == KILL_BEFORE || suffers == FAIL || suffers == FULL)                                     \
            note(suffers == KILL_BEFORE ? "killed" : "failed", call, path, a, b, other);                      \
        else {                                                                                                \
            body                                                                                              \
        }                                                                                                     \
        if (suffers == KILL_BEFORE)                                                                           \
            die();                                                                                            \
        return left(result, suffers);                                                                         \
    } while (0)

#define REAL(name, ...) static long (*real)(__VA_ARGS__); if (!real) *(void **)&real = dlsym(RTLD_NEXT, name)

static long written(int fd, const char *path, const void *data, size_t size, off_t at, int is_socket)
{
    SUFFER(!is_socket, is_socket ? "answer" : "write", path, (long)at, (long)size, "", {
        size_t some = suffers == TEAR ? size / 2 : size;
        result = is_socket ? syscall(SYS_sendto, fd, data, some, MSG_NOSIGNAL, NULL, 0)
                           : syscall(SYS_pwrite64, fd, data, some, at);
        note("done", is_socket ? "answer" : "write", path, (long)at, result, "");
        if (!is_socket && result > 0)
            put(data, (size_t)result);
    });
}

#define PWRITE(name, offset)                                                                                  \
    ssize_t name(int fd, const void *data, size_t size, offset at)                                            \
    {                                                                                                         \
        char path[PATH_MAX];                                                                                  \
        REAL(#name, int, const void *, size_t, offset);                                                       \
        return target_of(fd, path) ? written(fd, path, data, size, at, 0) : real(fd, data, size, at);         \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t write(int fd, const void *data, size_t size)
{
    char path[PATH_MAX];
    off_t at;
    ssize_t result;

    if (!target_of(fd, path))
        return syscall(SYS_write, fd, data, size);
    if (!strcmp(path, "caller"))
        return written(fd, path, data, size, 0, 1);
    at = lseek(fd, 0, SEEK_CUR);
    result = written(fd, path, data, size, at, 0);
    if (result > 0)
        lseek(fd, at + result, SEEK_SET);
    return result;
}

ssize_t send(int fd, const void *data, size_t size, int flags)
{
    char path[PATH_MAX];
    return target_of(fd, path) ? written(fd, path, data, size, 0, 1)
                               : syscall(SYS_sendto, fd, data, size, flags, NULL, 0);
}

ssize_t writev(int fd, const struct iovec *parts, int many)
{
    char path[PATH_MAX];
    if (!target_of(fd, path))
        return syscall(SYS_writev, fd, parts, many);
    SUFFER(0, "answer", path, 0, many, "", {
        result = syscall(SYS_writev, fd, parts, many);
        note("done", "answer", path, 0, result, "");
    });
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    char path[PATH_MAX];
    if (!target_of(fd, path))
        return syscall(SYS_sendmsg, fd, message, flags);
    SUFFER(0, "answer", path, 0, 0, "", {
        result = syscall(SYS_sendmsg, fd, message, flags | MSG_NOSIGNAL);
        note("done", "answer", path, 0, result, "");
    });
}

static int synced(int fd, long number)
{
    char path[PATH_MAX];
    if (!target_of(fd, path))
        return (int)syscall(number, fd);
    SUFFER(0, "sync", path, 0, 0, "", {
        result = syscall(number, fd);
        note("done", "sync", path, 0, 0, "");
    });
}

int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

#define TRUNCATE(name, offset)                                                                                \
    int name(int fd, offset size)                                                                             \
    {                                                                                                         \
        char path[PATH_MAX];                                                                                  \
        if (!target_of(fd, path))                                                                             \
            return (int)syscall(SYS_ftruncate, fd, size);                                                     \
        SUFFER(1, "truncate", path, (long)size, 0, "", {                                                      \
            result = syscall(SYS_ftruncate, fd, size);                                                        \
            note("done", "truncate", path, (long)size, 0, "");                                                \
        });                                                                                                   \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

static long reopened(long fd, enum fault suffers, const char *path)
{
    /* A descriptor of a call that failed is nobody's. */
    if (suffers == FAIL_DONE && fd >= 0)
        close((int)fd);
    note("done", "create", path, 0, 0, "");
    return fd;
}

static int opened(int from, const char *path, int flags, mode_t mode)
{
    struct stat found;
    int is_new = (flags & O_CREAT) && stat(path, &found);
    int is_emptied = (flags & O_TRUNC) && !stat(path, &found) && found.st_size;
    if (!is_inside(path) || !(is_new || is_emptied))
        return (int)syscall(SYS_openat, from, path, flags, mode);
    SUFFER(1, "create", path, 0, 0, "", {
        result = reopened(syscall(SYS_openat, from, path, flags, mode), suffers, path);
    });
}

#define MODE(flags)                                                                                           \
    mode_t mode = 0;                                                                                          \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                                                                    \
        va_list more;                                                                                         \
        va_start(more, flags);                                                                                \
        mode = va_arg(more, mode_t);                                                                          \
        va_end(more);                                                                                         \
    }

int open(const char *path, int flags, ...) { MODE(flags) return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return opened(AT_FDCWD, path, flags, mode); }
int openat(int from, const char *path, int flags, ...) { MODE(flags) return opened(from, path, flags, mode); }
int openat64(int from, const char *path, int flags, ...) { MODE(flags) return opened(from, path, flags, mode); }

int rename(const char *old, const char *new)
{
    if (!is_inside(new))
        return (int)syscall(SYS_renameat, AT_FDCWD, old, AT_FDCWD, new);
    SUFFER(1, "rename", old, 0, 0, new, {
        result = syscall(SYS_renameat, AT_FDCWD, old, AT_FDCWD, new);
        note("done", "rename", old, 0, 0, new);
    });
}

int unlink(const char *path)
{
    if (!is_inside(path))
        return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    SUFFER(0, "unlink", path, 0, 0, "", {
        result = syscall(SYS_unlinkat, AT_FDCWD, path, 0);
        note("done", "unlink", path, 0, 0, "");
    });
}

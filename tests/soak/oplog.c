/* Records every change of files below a folder, in order, and can make the n-th one fail.
 *
 * Preloaded into a program (LD_PRELOAD). tests/soak/oplog.py builds it, sets the variables and reads the log:
 *   OPLOG_ROOT   absolute path of the folder that is watched
 *   OPLOG_FILE   where records are appended (outside of OPLOG_ROOT); nothing is recorded without it
 *   OPLOG_FAIL   "first count errno": operations number first to first + count - 1 (from 1) fail with errno
 *
 * A record: one letter, a native int64 handle, a native int64 offset, a native int64 length, then `length` bytes.
 *   o open (path; offset is 1 if the call may create, 2 if it truncates, 3 both)   w write at offset   t truncate to offset
 *   s fsync or fdatasync   r rename (two paths, each ended by a zero byte)   u unlink   d make folder   e remove folder
 *   m a mark that the program itself sets by calling oplog_mark
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define MOST_FILES 4096
#define NEXT(name) (__typeof__(&name)) dlsym(RTLD_NEXT, #name)

static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;
static long handle_of[MOST_FILES]; /* by descriptor; 0: not watched */
static long handles, operations, fail_first, fail_count;
static int fail_errno, log_file = -1;
static char root[PATH_MAX];
static size_t root_length;

__attribute__((constructor)) static void start(void) {
    const char *folder = getenv("OPLOG_ROOT"), *file = getenv("OPLOG_FILE"), *fail = getenv("OPLOG_FAIL");
    if (folder == NULL || strlen(folder) >= sizeof root) return;
    strcpy(root, folder);
    root_length = strlen(root);
    if (fail != NULL) sscanf(fail, "%ld %ld %d", &fail_first, &fail_count, &fail_errno);
    if (file != NULL) log_file = (NEXT(open))(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* Absolute path without links in its folders, so that two names of one file are one; 0 if it is not below the root. */
static int watched(const char *path, char *out) {
    char folder[PATH_MAX], real[PATH_MAX];
    int saved = errno, found = 0;
    const char *slash = path == NULL ? NULL : strrchr(path, '/');
    if (root_length == 0 || path == NULL || strlen(path) >= sizeof folder) return 0;
    if (slash == NULL) strcpy(folder, ".");
    else if (slash == path) strcpy(folder, "/");
    else { memcpy(folder, path, (size_t)(slash - path)); folder[slash - path] = 0; }
    if (realpath(folder, real) != NULL) {
        const char *name = slash == NULL ? path : slash + 1;
        int length = snprintf(out, PATH_MAX, "%s/%s", real, name);
        found = length < PATH_MAX && strncmp(out, root, root_length) == 0 && (out[root_length] == '/' || out[root_length] == 0);
    }
    errno = saved;
    return found;
}

static void record(char kind, long handle, long offset, const void *data, size_t length, const void *more, size_t more_length) {
    long numbers[3] = {handle, offset, (long)(length + more_length)};
    struct iovec parts[4] = {{&kind, 1}, {numbers, sizeof numbers}, {(void *)data, length}, {(void *)more, more_length}};
    int saved = errno;
    if (log_file >= 0 && writev(log_file, parts, 4) < 0) abort();
    errno = saved;
}

/* Whether the next operation fails; with `order` held. */
static int refused(void) {
    operations++;
    if (fail_first != 0 && operations >= fail_first && operations < fail_first + fail_count) { errno = fail_errno; return 1; }
    return 0;
}

void oplog_mark(const char *text) {
    pthread_mutex_lock(&order);
    record('m', 0, 0, text, strlen(text), NULL, 0);
    pthread_mutex_unlock(&order);
}

static int open_any(const char *path, int flags, mode_t mode) {
    char full[PATH_MAX];
    int (*next)(const char *, int, ...) = NEXT(open);
    int descriptor, writes = (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC));
    if (!watched(path, full)) return next(path, flags, mode);
    pthread_mutex_lock(&order);
    int creates = (flags & O_CREAT) != 0 && access(full, F_OK) != 0;
    if ((creates || (flags & O_TRUNC)) && refused()) { pthread_mutex_unlock(&order); return -1; }
    descriptor = next(path, flags, mode);
    if (descriptor >= 0 && descriptor < MOST_FILES) {
        handle_of[descriptor] = ++handles;
        /* Files opened to read are known too: fsync of a folder goes through such a descriptor. */
        record('o', handles, (creates ? 1 : 0) + (writes && (flags & O_TRUNC) ? 2 : 0), full, strlen(full), NULL, 0);
    }
    pthread_mutex_unlock(&order);
    return descriptor;
}

#define WITH_MODE(flags) mode_t mode = 0; if ((flags) & (O_CREAT | O_TMPFILE)) { va_list list; va_start(list, flags); mode = va_arg(list, mode_t); va_end(list); }
int open(const char *path, int flags, ...) { WITH_MODE(flags) return open_any(path, flags, mode); }
int open64(const char *path, int flags, ...) { WITH_MODE(flags) return open_any(path, flags, mode); }
int openat(int folder, const char *path, int flags, ...) {
    WITH_MODE(flags)
    if (folder == AT_FDCWD || path[0] == '/') return open_any(path, flags, mode);
    char base[64], full[PATH_MAX];
    snprintf(base, sizeof base, "/proc/self/fd/%d", folder);
    ssize_t length = readlink(base, full, sizeof full - 1);
    if (length > 0 && (size_t)length + strlen(path) + 2 < sizeof full) {
        char inside[PATH_MAX];
        full[length] = '/';
        strcpy(full + length + 1, path);
        if (watched(full, inside)) return open_any(inside, flags, mode);
    }
    return (NEXT(openat))(folder, path, flags, mode);
}
int openat64(int folder, const char *path, int flags, ...) { WITH_MODE(flags) return openat(folder, path, flags, mode); }

int close(int descriptor) {
    pthread_mutex_lock(&order);
    if (descriptor >= 0 && descriptor < MOST_FILES) handle_of[descriptor] = 0;
    int result = (NEXT(close))(descriptor);
    pthread_mutex_unlock(&order);
    return result;
}

static long handle(int descriptor) { return descriptor >= 0 && descriptor < MOST_FILES ? handle_of[descriptor] : 0; }

static ssize_t write_at(int descriptor, const void *data, size_t length, off_t offset, int positioned) {
    ssize_t (*at)(int, const void *, size_t, off_t) = NEXT(pwrite);
    ssize_t (*here)(int, const void *, size_t) = NEXT(write);
    ssize_t written;
    if (handle(descriptor) == 0) return positioned ? at(descriptor, data, length, offset) : here(descriptor, data, length);
    pthread_mutex_lock(&order);
    if (refused()) { pthread_mutex_unlock(&order); return -1; }
    if (!positioned) offset = fcntl(descriptor, F_GETFL) & O_APPEND ? lseek(descriptor, 0, SEEK_END) : lseek(descriptor, 0, SEEK_CUR);
    written = positioned ? at(descriptor, data, length, offset) : here(descriptor, data, length);
    if (written > 0) record('w', handle(descriptor), offset, data, (size_t)written, NULL, 0);
    pthread_mutex_unlock(&order);
    return written;
}
ssize_t write(int descriptor, const void *data, size_t length) { return write_at(descriptor, data, length, 0, 0); }
ssize_t pwrite(int descriptor, const void *data, size_t length, off_t offset) { return write_at(descriptor, data, length, offset, 1); }
ssize_t pwrite64(int descriptor, const void *data, size_t length, off_t offset) { return write_at(descriptor, data, length, offset, 1); }

#define ONE(kind, offset, call, descriptor)                                       \
    int result;                                                                   \
    if (handle(descriptor) == 0) return call;                                     \
    pthread_mutex_lock(&order);                                                   \
    result = refused() ? -1 : call;                                               \
    if (result == 0) record(kind, handle(descriptor), offset, NULL, 0, NULL, 0);  \
    pthread_mutex_unlock(&order);                                                 \
    return result;
int ftruncate(int descriptor, off_t length) { ONE('t', length, (NEXT(ftruncate))(descriptor, length), descriptor) }
int ftruncate64(int descriptor, off_t length) { return ftruncate(descriptor, length); }
int fsync(int descriptor) { ONE('s', 0, (NEXT(fsync))(descriptor), descriptor) }
int fdatasync(int descriptor) { ONE('s', 0, (NEXT(fdatasync))(descriptor), descriptor) }

#define NAMED(kind, path, call)                                          \
    char full[PATH_MAX];                                                 \
    int result;                                                          \
    if (!watched(path, full)) return call;                               \
    pthread_mutex_lock(&order);                                          \
    result = refused() ? -1 : call;                                      \
    if (result == 0) record(kind, 0, 0, full, strlen(full), NULL, 0);    \
    pthread_mutex_unlock(&order);                                        \
    return result;
int unlink(const char *path) { NAMED('u', path, (NEXT(unlink))(path)) }
int remove(const char *path) { NAMED('u', path, (NEXT(remove))(path)) }
int rmdir(const char *path) { NAMED('e', path, (NEXT(rmdir))(path)) }
int mkdir(const char *path, mode_t mode) { NAMED('d', path, (NEXT(mkdir))(path, mode)) }
int rename(const char *from, const char *to) {
    char source[PATH_MAX], target[PATH_MAX];
    int result;
    int (*next)(const char *, const char *) = NEXT(rename);
    if (!watched(from, source) || !watched(to, target)) return next(from, to);
    pthread_mutex_lock(&order);
    result = refused() ? -1 : next(from, to);
    if (result == 0) record('r', 0, 0, source, strlen(source) + 1, target, strlen(target) + 1);
    pthread_mutex_unlock(&order);
    return result;
}

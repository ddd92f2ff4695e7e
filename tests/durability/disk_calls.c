// LD_PRELOAD: sees every call that a process makes on files below one folder, Arrow's and SQLite's too.
// It can write them down with their data, and it can let chosen ones fail. Armed by the functions at the end,
// which Python calls through ctypes; until then every call goes straight through.
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define FDS 65536
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
enum { OPEN, CREATE, PREAD, READ, PWRITE, WRITE, FSYNC, FDATASYNC, TRUNCATE, PUNCH, LINK, RENAME, UNLINK, MKDIR, RMDIR, LIST, CLOSE };
static const char *NAMES[] = {"open", "open", "pread", "read", "pwrite", "write", "fsync", "fdatasync",
  "truncate", "punch", "link", "rename", "unlink", "mkdir", "rmdir", "list", "close"};

static pthread_mutex_t mutex = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static char root[4096];
static size_t root_length;
static int log_fd = -1;
static char *paths[FDS];     // of open descriptors below the root, relative to it
static int64_t opened[FDS];  // number of the opening
static int64_t openings;
static char fail_call[32], fail_path[1024];
static long fail_at, seen, hits;
static int fail_error, fail_on, half;

typedef struct { int32_t call, flags; int64_t opening, offset, length; int32_t path, other, data, result; } Record;

static void put(const void *data, size_t size) {
  ssize_t (*real)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
  for (const char *at = data; size;) {
    ssize_t n = real(log_fd, at, size);
    if (n <= 0) abort();  // a recording with a hole in it would prove nothing
    at += n; size -= n;
  }
}

static void record(int call, int flags, int64_t opening, int64_t offset, int64_t length, const char *path,
                   const char *other, const void *data, size_t size, int result) {
  if (log_fd < 0) return;
  int saved = errno;
  Record r = {call, flags, opening, offset, length, (int32_t)strlen(path), other ? (int32_t)strlen(other) : 0,
              (int32_t)size, result};
  put(&r, sizeof r);
  put(path, r.path);
  if (other) put(other, r.other);
  if (size) put(data, size);
  errno = saved;
}

// The path relative to the root, or NULL for one that is not below it.
static const char *below(int dir, const char *path, char *buffer) {
  if (!root_length || !path) return NULL;
  if (path[0] == '/') {
    if (strncmp(path, root, root_length) || (path[root_length] && path[root_length] != '/')) return NULL;
    const char *at = path + root_length;
    while (*at == '/') at++;
    return at;
  }
  if (dir != AT_FDCWD) {
    if (dir < 0 || dir >= FDS || !paths[dir]) return NULL;
    snprintf(buffer, 4096, "%s%s%s", paths[dir], *paths[dir] ? "/" : "", path);
    return buffer;
  }
  char here[4096], whole[8192];
  if (!getcwd(here, sizeof here)) return NULL;
  snprintf(whole, sizeof whole, "%s/%s", here, path);
  if (strncmp(whole, root, root_length) || whole[root_length] != '/') return NULL;
  snprintf(buffer, 4096, "%s", whole + root_length + 1);
  return buffer;
}

// Whether this call is to fail; errno is set then.
static int fails(int call, const char *path) {
  if (!fail_at || call == CLOSE) return 0;
  if (hits && fail_on) { errno = fail_error; hits++; return 1; }
  if (strcmp(fail_call, NAMES[call]) || fnmatch(fail_path, path, 0) || ++seen != fail_at) return 0;
  hits++;
  errno = fail_error;
  return 1;
}

static void forget(int fd) {
  if (fd >= 0 && fd < FDS && paths[fd]) { free(paths[fd]); paths[fd] = NULL; }
}

#define LOCK pthread_mutex_lock(&mutex)
#define UNLOCK pthread_mutex_unlock(&mutex)
#define OURS(fd) (root_length && (fd) >= 0 && (fd) < FDS && paths[fd])

static int open_below(int dir, const char *path, int flags, mode_t mode) {
  int (*real)(int, const char *, int, ...) = dlsym(RTLD_NEXT, "openat64");
  char buffer[4096];
  LOCK;
  const char *relative = below(dir, path, buffer);
  if (!relative) { UNLOCK; int fd = real(dir, path, flags, mode); return fd; }
  if (fails(OPEN, relative)) { record(OPEN, flags, 0, 0, 0, relative, NULL, NULL, 0, -errno); UNLOCK; return -1; }
  struct stat before;
  int there = fstatat(dir, path, &before, 0) == 0;
  int fd = real(dir, path, flags, mode);
  int saved = errno;
  if (fd >= 0 && fd < FDS) {
    forget(fd);
    paths[fd] = strdup(relative);
    opened[fd] = ++openings;
    int nameless = (flags & O_TMPFILE) == O_TMPFILE;
    record(!there && !nameless ? CREATE : OPEN, nameless ? -1 : flags, opened[fd], 0, 0, relative, NULL, NULL, 0, 0);
  } else record(OPEN, flags, 0, 0, 0, relative, NULL, NULL, 0, -saved);
  errno = saved;
  UNLOCK;
  return fd;
}

#define MODE(flags, mode) mode_t mode = 0; if ((flags) & (O_CREAT | O_TMPFILE)) { va_list v; va_start(v, flags); mode = va_arg(v, int); va_end(v); }
int open(const char *path, int flags, ...) { MODE(flags, mode); return open_below(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags, mode); return open_below(AT_FDCWD, path, flags | O_LARGEFILE, mode); }
int openat(int dir, const char *path, int flags, ...) { MODE(flags, mode); return open_below(dir, path, flags, mode); }
int openat64(int dir, const char *path, int flags, ...) { MODE(flags, mode); return open_below(dir, path, flags | O_LARGEFILE, mode); }
int __open_2(const char *path, int flags) { return open_below(AT_FDCWD, path, flags, 0); }
int __open64_2(const char *path, int flags) { return open_below(AT_FDCWD, path, flags | O_LARGEFILE, 0); }
int __openat_2(int dir, const char *path, int flags) { return open_below(dir, path, flags, 0); }
int __openat64_2(int dir, const char *path, int flags) { return open_below(dir, path, flags | O_LARGEFILE, 0); }

int close(int fd) {
  static int (*real)(int);
  if (!real) real = dlsym(RTLD_NEXT, "close");
  if (!OURS(fd)) return real(fd);
  LOCK;
  if (OURS(fd)) { record(CLOSE, 0, opened[fd], 0, 0, paths[fd], NULL, NULL, 0, 0); forget(fd); }
  UNLOCK;
  return real(fd);
}

DIR *opendir(const char *path) {
  char buffer[4096];
  LOCK;
  const char *relative = below(AT_FDCWD, path, buffer);
  if (relative) {
    record(LIST, 0, 0, 0, 0, relative, NULL, NULL, 0, 0);
    if (fails(LIST, relative)) { UNLOCK; return NULL; }
  }
  UNLOCK;
  return REAL(opendir)(path);
}

static ssize_t write_below(int call, int fd, const void *data, size_t size, off64_t offset) {
  ssize_t (*pwrite_)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pwrite64");
  ssize_t (*write_)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
  if (!OURS(fd)) return call == PWRITE ? pwrite_(fd, data, size, offset) : write_(fd, data, size);
  LOCK;
  if (fails(call, paths[fd])) {
    if (half && size > 1) {  // a short write, as a full disk gives; the next one fails
      half = 0; fail_at = seen + 1; hits--; size /= 2;
    } else { record(call, 0, opened[fd], offset, size, paths[fd], NULL, NULL, 0, -errno); UNLOCK; return -1; }
  }
  if (call == WRITE) offset = fcntl(fd, F_GETFL) & O_APPEND ? lseek64(fd, 0, SEEK_END) : lseek64(fd, 0, SEEK_CUR);
  ssize_t done = call == PWRITE ? pwrite_(fd, data, size, offset) : write_(fd, data, size);
  if (done > 0) record(call, 0, opened[fd], offset, done, paths[fd], NULL, data, done, 0);
  UNLOCK;
  return done;
}

ssize_t write(int fd, const void *data, size_t size) { return write_below(WRITE, fd, data, size, 0); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) { return write_below(PWRITE, fd, data, size, offset); }
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) { return write_below(PWRITE, fd, data, size, offset); }

// Vectors, sendfile and the like would go past the recording.
static void never(int fd, const char *name) {
  if (!OURS(fd)) return;
  fprintf(stderr, "disk_calls: %s on %s is not seen by the recording\n", name, paths[fd]);
  abort();
}
ssize_t writev(int fd, const struct iovec *v, int n) { never(fd, "writev"); return REAL(writev)(fd, v, n); }
ssize_t pwritev(int fd, const struct iovec *v, int n, off_t o) { never(fd, "pwritev"); return REAL(pwritev)(fd, v, n, o); }
ssize_t pwritev64(int fd, const struct iovec *v, int n, off64_t o) { never(fd, "pwritev"); return REAL(pwritev64)(fd, v, n, o); }
ssize_t pwritev64v2(int fd, const struct iovec *v, int n, off64_t o, int f) { never(fd, "pwritev"); return REAL(pwritev64v2)(fd, v, n, o, f); }
ssize_t sendfile64(int out, int in, off64_t *o, size_t n) {
  ssize_t (*real)(int, int, off64_t *, size_t) = dlsym(RTLD_NEXT, "sendfile64");
  never(out, "sendfile"); return real(out, in, o, n);
}
ssize_t copy_file_range(int in, off64_t *a, int out, off64_t *b, size_t n, unsigned f) { never(out, "copy_file_range"); return REAL(copy_file_range)(in, a, out, b, n, f); }

static int read_fails(int call, int fd, size_t size, off64_t offset) {
  if (!OURS(fd)) return 0;
  LOCK;
  record(call, 0, opened[fd], offset, size, paths[fd], NULL, NULL, 0, 0);
  int failed = fails(call, paths[fd]);
  UNLOCK;
  return failed;
}
ssize_t read(int fd, void *data, size_t size) {
  static ssize_t (*real)(int, void *, size_t);
  if (!real) real = dlsym(RTLD_NEXT, "read");
  return read_fails(READ, fd, size, -1) ? -1 : real(fd, data, size);
}
ssize_t pread(int fd, void *data, size_t size, off_t offset) { return read_fails(PREAD, fd, size, offset) ? -1 : REAL(pread)(fd, data, size, offset); }
ssize_t pread64(int fd, void *data, size_t size, off64_t offset) { return read_fails(PREAD, fd, size, offset) ? -1 : REAL(pread64)(fd, data, size, offset); }

ssize_t preadv64v2(int fd, const struct iovec *v, int n, off64_t offset, int flags) {
  return read_fails(PREAD, fd, n ? v[0].iov_len : 0, offset) ? -1 : REAL(preadv64v2)(fd, v, n, offset, flags);
}

static int on_fd(int call, int fd, int (*real)(int), int64_t offset, int64_t length) {
  if (!OURS(fd)) return real(fd);
  LOCK;
  int result;
  if (fails(call, paths[fd])) { result = -1; record(call, 0, opened[fd], offset, length, paths[fd], NULL, NULL, 0, -errno); }
  else {
    result = real(fd);
    if (!result) record(call, 0, opened[fd], offset, length, paths[fd], NULL, NULL, 0, 0);
  }
  UNLOCK;
  return result;
}
int fsync(int fd) { return on_fd(FSYNC, fd, REAL(fsync), 0, 0); }
int fdatasync(int fd) { return on_fd(FDATASYNC, fd, REAL(fdatasync), 0, 0); }

static int truncate_below(int fd, off64_t length) {
  int (*real)(int, off64_t) = dlsym(RTLD_NEXT, "ftruncate64");
  if (!OURS(fd)) return real(fd, length);
  LOCK;
  int result = -1;
  if (!fails(TRUNCATE, paths[fd]) && !(result = real(fd, length)))
    record(TRUNCATE, 0, opened[fd], 0, length, paths[fd], NULL, NULL, 0, 0);
  UNLOCK;
  return result;
}
int ftruncate(int fd, off_t length) { return truncate_below(fd, length); }
int ftruncate64(int fd, off64_t length) { return truncate_below(fd, length); }

static int allocate_below(int fd, int mode, off64_t offset, off64_t length) {
  int (*real)(int, int, off64_t, off64_t) = dlsym(RTLD_NEXT, "fallocate64");
  if (!OURS(fd)) return real(fd, mode, offset, length);
  LOCK;
  int result = -1;
  if (!fails(PUNCH, paths[fd]) && !(result = real(fd, mode, offset, length)))
    record(PUNCH, mode, opened[fd], offset, length, paths[fd], NULL, NULL, 0, 0);
  UNLOCK;
  return result;
}
int fallocate(int fd, int mode, off_t offset, off_t length) { return allocate_below(fd, mode, offset, length); }
int fallocate64(int fd, int mode, off64_t offset, off64_t length) { return allocate_below(fd, mode, offset, length); }

// `run` is made with errno kept; `subject` is the path that counts.
#define NAMED(call, subject, first, second, run) do { \
    LOCK; \
    int result = -1; \
    if (!fails(call, subject)) { \
      result = run; \
      int saved = errno; \
      if (!result || call == LINK || call == MKDIR) record(call, 0, 0, 0, 0, first, second, NULL, 0, result ? -saved : 0); \
      errno = saved; \
    } else record(call, 0, 0, 0, 0, first, second, NULL, 0, -errno); \
    UNLOCK; \
    return result; \
  } while (0)

static int two(int call, int a, const char *from, int b, const char *to, int flags) {
  char x[4096], y[4096];
  const char *first = below(a, from, x), *second = below(b, to, y);
  if (call == LINK) {
    if (!first || !second) return REAL(linkat)(a, from, b, to, flags);
    NAMED(LINK, second, first, second, REAL(linkat)(a, from, b, to, flags));
  }
  if (!first || !second) return REAL(renameat)(a, from, b, to);
  NAMED(RENAME, second, first, second, REAL(renameat)(a, from, b, to));
}
int link(const char *from, const char *to) { return two(LINK, AT_FDCWD, from, AT_FDCWD, to, 0); }
int linkat(int a, const char *from, int b, const char *to, int flags) { return two(LINK, a, from, b, to, flags); }
int rename(const char *from, const char *to) { return two(RENAME, AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat(int a, const char *from, int b, const char *to) { return two(RENAME, a, from, b, to, 0); }

static int remove_below(int dir, const char *path, int flags) {
  char buffer[4096];
  const char *relative = below(dir, path, buffer);
  if (!relative) return REAL(unlinkat)(dir, path, flags);
  if (flags & AT_REMOVEDIR) NAMED(RMDIR, relative, relative, NULL, REAL(unlinkat)(dir, path, flags));
  NAMED(UNLINK, relative, relative, NULL, REAL(unlinkat)(dir, path, flags));
}
int unlink(const char *path) { return remove_below(AT_FDCWD, path, 0); }
int unlinkat(int dir, const char *path, int flags) { return remove_below(dir, path, flags); }
int rmdir(const char *path) { return remove_below(AT_FDCWD, path, AT_REMOVEDIR); }

static int folder_below(int dir, const char *path, mode_t mode) {
  char buffer[4096];
  const char *relative = below(dir, path, buffer);
  if (!relative) return REAL(mkdirat)(dir, path, mode);
  NAMED(MKDIR, relative, relative, NULL, REAL(mkdirat)(dir, path, mode));
}
int mkdir(const char *path, mode_t mode) { return folder_below(AT_FDCWD, path, mode); }
int mkdirat(int dir, const char *path, mode_t mode) { return folder_below(dir, path, mode); }

// -- what Python calls

void disk_calls_watch(const char *folder) {
  snprintf(root, sizeof root, "%s", folder);
  root_length = strlen(root);
}
void disk_calls_record(int fd) { log_fd = fd; }
// call, path: which calls count (a name of NAMES, an fnmatch pattern relative to the folder); the nth of them,
// from 1, fails with `error`; all others on any file after it too with `on`; with `in_half` it writes half first.
void disk_calls_fail(const char *call, const char *path, long nth, int error, int on, int in_half) {
  snprintf(fail_call, sizeof fail_call, "%s", call);
  snprintf(fail_path, sizeof fail_path, "%s", path);
  fail_error = error; fail_on = on; half = in_half; seen = hits = 0; fail_at = nth;
}
long disk_calls_hits(void) { return hits; }

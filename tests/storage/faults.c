// Makes the n-th write to a file of ours fail: loaded before the C library, told by fault_arm what to do.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static long left = -1;
static int how, persists, seen;

void fault_arm(long nth, int kind, int goes_on) { left = nth; how = kind; persists = goes_on; if (nth >= 0) seen = 0; }
long fault_seen(void) { return seen; }

static int ours(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0) return 0;
    path[n] = 0;
    return strstr(path, ".duckdb") != NULL;
}

// 0: go on; 1: fail with errno; 2: write half of it, then fail the next time.
static int due(int fd) {
    if (left < 0 || !ours(fd)) return 0;
    if (left > 0) { left--; return 0; }
    seen++;
    if (how == 2) { how = ENOSPC; return 2; }
    if (!persists) left = -1;
    errno = how;
    return 1;
}

#define REAL(name) static __typeof__(name) *real; if (!real) real = dlsym(RTLD_NEXT, #name)

ssize_t pwrite(int fd, const void *b, size_t n, off_t o) {
    REAL(pwrite);
    int f = due(fd);
    return f == 1 ? -1 : real(fd, b, f == 2 ? n / 2 : n, o);
}
ssize_t pwrite64(int fd, const void *b, size_t n, off64_t o) {
    REAL(pwrite64);
    int f = due(fd);
    return f == 1 ? -1 : real(fd, b, f == 2 ? n / 2 : n, o);
}
ssize_t write(int fd, const void *b, size_t n) {
    REAL(write);
    int f = due(fd);
    return f == 1 ? -1 : real(fd, b, f == 2 ? n / 2 : n);
}
int fsync(int fd) { REAL(fsync); return due(fd) == 1 ? -1 : real(fd); }
int fdatasync(int fd) { REAL(fdatasync); return due(fd) == 1 ? -1 : real(fd); }
int ftruncate(int fd, off_t n) { REAL(ftruncate); return due(fd) == 1 ? -1 : real(fd, n); }
int ftruncate64(int fd, off64_t n) { REAL(ftruncate64); return due(fd) == 1 ? -1 : real(fd, n); }

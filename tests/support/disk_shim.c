/* Makes writes or syncs of some files fail while a trigger file exists: its first word is the error, "ENOSPC" or "EIO",
   the second what the path of a file has to contain, the third which calls fail, "write" or "sync". */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/types.h>

static int fails(int fd, const char *call) {
    char error[16], part[256], calls[16], link[64], path[4096];
    const char *trigger = getenv("DISK_SHIM");
    FILE *file = trigger ? fopen(trigger, "r") : NULL;
    if (!file) return 0;
    int read = fscanf(file, "%15s %255s %15s", error, part, calls);
    fclose(file);
    if (read != 3 || strcmp(calls, call)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0) return 0;
    path[size] = 0;
    if (!strstr(path, part)) return 0;
    return strcmp(error, "EIO") ? ENOSPC : EIO;
}

#define REAL(name) ((__typeof__(&name)) dlsym(RTLD_NEXT, #name))
#define GUARD(call) do { int error = fails(fd, call); if (error) { errno = error; return -1; } } while (0)

ssize_t write(int fd, const void *data, size_t size) { GUARD("write"); return REAL(write)(fd, data, size); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { GUARD("write"); return REAL(pwrite)(fd, data, size, at); }
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) { GUARD("write"); return REAL(pwrite64)(fd, data, size, at); }
int fsync(int fd) { GUARD("sync"); return REAL(fsync)(fd); }
int fdatasync(int fd) { GUARD("sync"); return REAL(fdatasync)(fd); }

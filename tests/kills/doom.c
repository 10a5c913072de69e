/* Loaded before a program's libraries: ends it, as a power failure would, at its nth effect on the disk.

   An effect is a call that changes a file for good or makes it last: pwrite, ftruncate, rename, unlink, fsync,
   fdatasync. The databases' own writes count as well as Python's. DOOM_AT says at which (from 1; 0 = never);
   with DOOM_HALF a pwrite is done by half first, in whole pages, as the kernel may leave it when a signal kills.
   DOOM_COUNT names a file that gets the number when the program ends, also by _exit, which runs no destructor. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_long done;
static long doomed_at;
static int half;

__attribute__((constructor)) static void begin(void) {
    const char *at = getenv("DOOM_AT");
    doomed_at = at ? atol(at) : 0;
    half = getenv("DOOM_HALF") != NULL;
}

__attribute__((destructor)) static void end(void) {
    const char *path = getenv("DOOM_COUNT");
    FILE *file = path ? fopen(path, "w") : NULL;
    if (file) {
        fprintf(file, "%ld\n", atomic_load(&done));
        fclose(file);
    }
}

void _exit(int code) {
    void (*real)(int) = (void (*)(int))dlsym(RTLD_NEXT, "_exit");
    end();
    real(code);
    __builtin_unreachable();
}

static int doomed(void) { return atomic_fetch_add(&done, 1) + 1 == doomed_at; }

static void die(void) {
    kill(getpid(), SIGKILL);
    pause();
}

#define REAL(name) __typeof__(name) *real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

#define WRITES(name, offset)                                                     \
    ssize_t name(int file, const void *bytes, size_t count, offset place) {      \
        REAL(name);                                                              \
        if (doomed()) {                                                          \
            size_t part = count / 2 / 4096 * 4096;                               \
            if (half && part) real(file, bytes, part, place);                    \
            die();                                                               \
        }                                                                        \
        return real(file, bytes, count, place);                                  \
    }
WRITES(pwrite, off_t)
WRITES(pwrite64, off64_t)

#define CHANGES(name, parameters, arguments)                                     \
    int name parameters {                                                        \
        REAL(name);                                                              \
        if (doomed()) die();                                                     \
        return real arguments;                                                   \
    }
CHANGES(fsync, (int file), (file))
CHANGES(fdatasync, (int file), (file))
CHANGES(ftruncate, (int file, off_t length), (file, length))
CHANGES(ftruncate64, (int file, off64_t length), (file, length))
CHANGES(rename, (const char *from, const char *to), (from, to))
CHANGES(unlink, (const char *path), (path))

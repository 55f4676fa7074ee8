/* What the differential test is made of: chance, names, and what a call has given. Included by difftest.c only. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#ifndef RENAME_WHITEOUT
#define RENAME_WHITEOUT 4
#endif
#ifndef FALLOC_FL_WRITE_ZEROES
#define FALLOC_FL_WRITE_ZEROES 0x80
#endif
#ifndef RWF_APPEND
#define RWF_APPEND 0x10
#endif
#ifndef RWF_DSYNC
#define RWF_DSYNC 2
#endif
#ifndef F_OFD_SETLK
#define F_OFD_GETLK 36
#define F_OFD_SETLK 37
#endif
#define SYS_FCHMODAT2 452
#define SYS_SETXATTRAT 463
#define SYS_GETXATTRAT 464
#define SYS_LISTXATTRAT 465
#define SYS_REMOVEXATTRAT 466

/* ------------------------------------------------------------------------------------------------ chance */

static uint64_t random_state;

static uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

static uint64_t draw64(void) {
  random_state += 0x9e3779b97f4a7c15ull;
  return mix(random_state);
}

/* A number below n. */
static unsigned draw(unsigned n) { return (unsigned)(draw64() % n); }
static bool chance(unsigned percent) { return draw(100) < percent; }
#define PICK(array) ((array)[draw(sizeof(array) / sizeof *(array))])

/* ------------------------------------------------------------------------------------------------ results */

enum { PLAIN, MOUNT, BACKING };

#define TEXT_BYTES (1 << 20)
#define CALL_BYTES 4096

/* What one step has given, in memory that the driver shares with its processes. */
struct outcome {
  long ret;
  int err;
  size_t length;
  char call[CALL_BYTES];
  char text[TEXT_BYTES];
};

static struct outcome *now; /* of the calling process' side */
static int side;
/* Does the mount's I/O go past the daemon? A few things are known to be otherwise where it does. */
static bool passthrough = true;
static bool both_native; /* MOUNT is no mount: a check of the test itself */
static bool on_tmpfs;
static int proc_fd; /* /proc, seen from inside a chroot */

static void say_call(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  size_t used = strlen(now->call);
  vsnprintf(now->call + used, CALL_BYTES - used, format, arguments);
  va_end(arguments);
}

static void tell(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int added = vsnprintf(now->text + now->length, TEXT_BYTES - now->length, format, arguments);
  va_end(arguments);
  if (added > 0) now->length += (size_t)added;
  if (now->length >= TEXT_BYTES) now->length = TEXT_BYTES - 1;
}

static long gave(long result) {
  int err = errno;
  now->ret = result;
  now->err = result == -1 ? err : 0;
  return result;
}

/* Bytes for people: short, whatever they are. */
static const char *shown(const char *bytes) {
  static char buffers[4][700];
  static int next;
  char *out = buffers[next++ % 4];
  size_t used = 0;
  out[used++] = '"';
  for (const unsigned char *at = (const unsigned char *)bytes; *at != 0 && used < 640;) {
    size_t run = 1;
    while (at[run] == *at) run++;
    if (run > 8) {
      used += (size_t)sprintf(out + used, "{%c*%zu}", *at, run);
      at += run;
      continue;
    }
    if (run == 1 && at[0] == '.' && at[1] == '/' && strncmp((const char *)at, "./././././", 10) == 0) {
      size_t pairs = 0;
      while (at[0] == '.' && at[1] == '/') at += 2, pairs++;
      used += (size_t)sprintf(out + used, "{./*%zu}", pairs);
      continue;
    }
    used += (size_t)(*at >= 32 && *at < 127 ? sprintf(out + used, "%c", *at) : sprintf(out + used, "\\x%02x", *at));
    at++;
  }
  out[used++] = '"';
  out[used] = 0;
  return out;
}

static uint64_t hash_bytes(const void *bytes, size_t count, uint64_t hash) {
  const unsigned char *at = bytes;
  while (count-- > 0) hash = (hash ^ *at++) * 1099511628211ull;
  return hash;
}
#define HASH_START 14695981039346656037ull

static void tell_bytes(const void *bytes, long count) {
  if (count < 0) return;
  tell(" bytes=%ld:%016llx", count, (unsigned long long)hash_bytes(bytes, (size_t)count, HASH_START));
  const unsigned char *at = bytes;
  for (long i = 0; i < count && i < 12; i++) tell(" %02x", at[i]);
}

/* Times that somebody set are told; times of the last few minutes are "now", since the two sides differ. */
static void tell_time(const char *name, int64_t seconds, unsigned nanoseconds) {
  int64_t apart = seconds - (int64_t)time(NULL);
  if (apart > -3000 && apart < 3000) tell(" %s=now", name);
  else tell(" %s=%lld.%09u", name, (long long)seconds, nanoseconds);
}

/* ------------------------------------------------------------------------------------------------ names */

#define PATH_BYTES 4200

static void draw_name(char *out) {
  static const char *const common[] = {"a", "b", "c", "d", "a", "b", "c", "e"};
  unsigned which = draw(100);
  if (which < 92) strcpy(out, PICK(common));
  else if (which < 95) strcpy(out, "\xff\xfe\x01");
  else if (which < 98) memset(out, 'n', 255), out[255] = 0;
  else if (which < 99) memset(out, 'n', 256), out[256] = 0;
  else strcpy(out, "..");
}

static void draw_path(char *out) {
  static const char *const special[] = {"", "/", ".", "..", "a/..", "./b", "a//b", "/a/../../b"};
  out[0] = 0;
  if (chance(4)) {
    strcpy(out, PICK(special));
    return;
  }
  unsigned depth = 1 + (draw(10) >= 6) + (draw(20) >= 19);
  bool absolute = chance(6), slash = chance(3), padded = chance(1);
  char name[260], rest[1100] = "";
  if (absolute) strcat(rest, "/");
  for (unsigned i = 0; i < depth; i++) {
    draw_name(name);
    if (i > 0) strcat(rest, "/");
    strcat(rest, name);
  }
  if (slash) strcat(rest, "/");
  if (padded && !absolute) {
    size_t wanted = 4094 + draw(3), length = strlen(rest);
    while (strlen(out) + 2 + length <= wanted) strcat(out, "./");
    if (strlen(out) + length < wanted && out[0] != 0) strcat(out, "/");
  }
  strcat(out, rest);
}

/* ------------------------------------------------------------------------------------------------ descriptors */

#define SLOT_FIRST 40
#define SLOT_COUNT 6

static int draw_slot(void) { return SLOT_FIRST + (int)draw(SLOT_COUNT); }

static int draw_dir(void) { return chance(88) ? (draw(SLOT_COUNT), AT_FDCWD) : draw_slot(); }

static const char *shown_dir(int fd) {
  static char buffers[4][20];
  static int next;
  if (fd == AT_FDCWD) return "AT_FDCWD";
  char *out = buffers[next++ % 4];
  sprintf(out, "fd%d", fd - SLOT_FIRST);
  return out;
}

/* Puts a new descriptor where later steps find it. */
static void keep_fd(int fd, int slot) {
  if (fd < 0) return;
  dup3(fd, slot, O_CLOEXEC);
  close(fd);
}

static void nothing(int signal) { (void)signal; }

/* FIFOs may block for ever on both sides: a timer interrupts them, and both say EINTR. */
static void timer(bool on) {
  struct itimerval interval = {{0, 0}, {0, on ? 250000 : 0}};
  if (on) interval.it_interval.tv_usec = 50000;
  setitimer(ITIMER_REAL, &interval, NULL);
}

static bool fd_may_block(int fd) {
  struct stat info;
  return fstat(fd, &info) == 0 && (S_ISFIFO(info.st_mode) || S_ISSOCK(info.st_mode) || S_ISCHR(info.st_mode));
}

/* LIMITS: "the setgid bit of a file that its group may not execute" is not looked at. */
static mode_t known_mode(mode_t mode) {
  return S_ISREG(mode) && (mode & (S_ISGID | S_IXGRP)) == S_ISGID ? mode & ~(mode_t)S_ISGID : mode;
}

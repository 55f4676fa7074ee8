/*
 * Many processes read, write, map, cut, punch and extend one file, and know what each byte of it must be.
 *
 *     exercise FILE [--seed N] [--operations N] [--seconds N] [--processes N]
 *
 * The file is divided into chunks, each owned by one process, which alone reads and changes it: any number of them at
 * the same time. What concerns the whole file (its size, appending, direct writes, comparing it all) is done by one
 * process while the others wait. The expected bytes are in memory that all share. Ends with 0, or with 1 and the last
 * operations on the byte that was wrong.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FILE_BYTES (3 << 20)
#define CHUNK_BYTES (64 << 10)
#define PAGE 4096
#define LOG_LINES 4096

struct line {
  long number;
  int process;
  long start, end;
  char text[120];
};

struct shared {
  pthread_rwlock_t lock;
  atomic_long done, size;
  atomic_int failures;
  struct line log[LOG_LINES];
  unsigned char expected[FILE_BYTES];
};

static struct shared *shared;
static const char *path;
static int process_count = 8, self;
static uint64_t random_state;
static int fd = -1, direct_fd = -1;
static char *map;
static unsigned char *buffer;
static char current[120];

static uint64_t draw64(void) {
  uint64_t x = random_state += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}
static long draw(long n) { return (long)(draw64() % (uint64_t)n); }

static void fail(long at, const char *format, ...) {
  va_list arguments;
  if (atomic_fetch_add(&shared->failures, 1) == 0) {
    va_start(arguments, format);
    printf("FAIL process %d, %s: ", self, current);
    vprintf(format, arguments);
    va_end(arguments);
    printf(" (size %ld)\n", atomic_load(&shared->size));
    long end = atomic_load(&shared->done), first = end > LOG_LINES ? end - LOG_LINES : 0;
    for (long i = first; i < end; i++) {
      struct line *line = &shared->log[i % LOG_LINES];
      if (line->start <= at && at < line->end) printf("  %ld process %d: %s\n", line->number, line->process, line->text);
    }
    fflush(stdout);
  }
  exit(1);
}

/* Notes an operation and the bytes that it concerns. */
static void doing(long start, long end, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(current, sizeof current, format, arguments);
  va_end(arguments);
  long number = atomic_fetch_add(&shared->done, 1);
  struct line *line = &shared->log[number % LOG_LINES];
  line->number = number;
  line->process = self;
  line->start = start;
  line->end = end;
  memcpy(line->text, current, sizeof current);
}

static void must(bool ok, const char *what) {
  if (!ok) fail(-1, "%s: %s", what, strerror(errno));
}

static void compare(const unsigned char *found, long start, long length) {
  if (memcmp(found, shared->expected + start, (size_t)length) == 0) return;
  long at = 0, count = 0;
  while (found[at] == shared->expected[start + at]) at++;
  for (long i = at; i < length; i++) count += found[i] != shared->expected[start + i];
  fail(start + at, "byte %ld is %02x instead of %02x; %ld of %ld bytes are wrong", start + at, found[at], shared->expected[start + at],
       count, length);
}

static void invent(unsigned char *out, long length) {
  uint64_t value = draw64() | 0x0101010101010101ull; // No zero bytes: a hole is told from data.
  for (long i = 0; i < length; i++) out[i] = (unsigned char)(value >> (8 * (i & 7))) | 1;
}

static void reopen(void) {
  static const int extra[] = {0, 0, O_SYNC, O_DSYNC, O_NOATIME, O_NONBLOCK};
  if (fd >= 0) must(close(fd) == 0, "close");
  if (direct_fd >= 0) close(direct_fd);
  fd = open(path, O_RDWR | O_CLOEXEC | extra[draw(6)]);
  must(fd >= 0, "open");
  direct_fd = draw(2) == 0 ? open(path, O_RDWR | O_CLOEXEC | O_DIRECT) : -1;
}

static void remap(void) {
  if (map != NULL) munmap(map, FILE_BYTES);
  map = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  must(map != MAP_FAILED, "mmap");
}

/* A range within one of our chunks and the file. @returns false if there is none just now. */
static bool draw_range(long *start, long *length) {
  long size = atomic_load(&shared->size);
  long chunk = self + process_count * draw(FILE_BYTES / CHUNK_BYTES / process_count);
  long from = chunk * CHUNK_BYTES, end = from + CHUNK_BYTES < size ? from + CHUNK_BYTES : size;
  if (end <= from) return false;
  *start = from + draw(end - from);
  if (draw(3) == 0) *start = *start / PAGE * PAGE;
  *length = 1 + draw(end - *start);
  if (draw(2) == 0 && *length > 300) *length = 1 + draw(300);
  return true;
}

static void own_step(void) {
  long start, length;
  if (!draw_range(&start, &length)) return;
  long end = start + length;
  unsigned char *expected = shared->expected + start;
  long which = draw(100);
  if (which < 22) {
    doing(start, end, "pread %ld+%ld", start, length);
    must(pread(fd, buffer, (size_t)length, start) == length, "pread");
    compare(buffer, start, length);
  } else if (which < 42) {
    doing(start, end, "pwrite %ld+%ld", start, length);
    invent(expected, length);
    must(pwrite(fd, expected, (size_t)length, start) == length, "pwrite");
  } else if (which < 46) {
    long half = length / 2;
    doing(start, end, "pwritev %ld+%ld", start, length);
    invent(expected, length);
    struct iovec parts[2] = {{expected, (size_t)half}, {expected + half, (size_t)(length - half)}};
    must(pwritev2(fd, parts, 2, start, draw(4) == 0 ? RWF_DSYNC : 0) == length, "pwritev2");
  } else if (which < 58) {
    doing(start, end, "load %ld+%ld", start, length);
    compare((unsigned char *)map + start, start, length);
  } else if (which < 70) {
    doing(start, end, "store %ld+%ld", start, length);
    invent(expected, length);
    memcpy(map + start, expected, (size_t)length);
    if (draw(4) == 0) must(msync(map + start / PAGE * PAGE, (size_t)(end - start / PAGE * PAGE), draw(2) ? MS_SYNC : MS_ASYNC) == 0, "msync");
  } else if (which < 76) {
    doing(start, end, "punch %ld+%ld", start, length);
    memset(expected, 0, (size_t)length);
    must(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, start, length) == 0, "punch");
  } else if (which < 80) {
    doing(start, end, "zero %ld+%ld", start, length);
    if (fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, start, length) == 0) memset(expected, 0, (size_t)length);
    else must(errno == EOPNOTSUPP, "zero");
  } else if (which < 84) {
    long to, room;
    if (!draw_range(&to, &room)) return;
    if (room > length) room = length;
    bool overlap = to < end && start < to + room;
    doing(to, to + room, "copy %ld+%ld to %ld", start, room, to);
    if (overlap) return;
    loff_t from = start, target = to;
    long copied = copy_file_range(fd, &from, fd, &target, (size_t)room, 0);
    must(copied > 0, "copy_file_range");
    memcpy(shared->expected + to, expected, (size_t)copied);
  } else if (which < 90 && direct_fd >= 0) {
    long first = start / PAGE * PAGE;
    doing(first, end, "direct read %ld", first);
    long got = pread(direct_fd, buffer, PAGE, first);
    must(got >= end - first || got == PAGE, "direct read");
    compare(buffer, first, got);
  } else if (which < 93) {
    doing(0, 0, "fsync");
    must((draw(2) ? fsync(fd) : fdatasync(fd)) == 0, "fsync");
  } else if (which < 95) {
    doing(0, 0, "drop %ld+%ld", start, length);
    posix_fadvise(fd, start, length, POSIX_FADV_DONTNEED);
  } else {
    doing(0, 0, "reopen");
    reopen();
    if (draw(2) == 0) remap();
  }
}

static void set_size(long size) {
  long before = atomic_load(&shared->size);
  if (size < before) memset(shared->expected + size, 0, (size_t)(before - size));
  atomic_store(&shared->size, size);
}

static void whole_step(void) {
  long size = atomic_load(&shared->size), which = draw(10);
  if (which < 3) {
    // Seldom to nothing: there would be little left to do for the others.
    long to = draw(8) == 0 ? draw(FILE_BYTES) : FILE_BYTES / 2 + draw(FILE_BYTES / 2);
    bool by_path = draw(2) == 0;
    doing(to < size ? to : size, FILE_BYTES, "%s to %ld", by_path ? "truncate" : "ftruncate", to);
    must((by_path ? truncate(path, to) : ftruncate(fd, to)) == 0, "truncate");
    set_size(to);
  } else if (which < 5) {
    long length = 1 + draw(9000);
    if (size + length > FILE_BYTES) return;
    doing(size, size + length, "append %ld+%ld", size, length);
    int appending = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    must(appending >= 0, "open");
    invent(shared->expected + size, length);
    must(write(appending, shared->expected + size, (size_t)length) == length, "append");
    must(lseek(appending, 0, SEEK_CUR) == size + length, "position after appending");
    close(appending);
    atomic_store(&shared->size, size + length);
  } else if (which < 6) {
    long start = size + draw(30000), length = 1 + draw(9000);
    if (start + length > FILE_BYTES) return;
    doing(size, start + length, "pwrite beyond the end %ld+%ld", start, length);
    invent(shared->expected + start, length);
    must(pwrite(fd, shared->expected + start, (size_t)length, start) == length, "pwrite");
    atomic_store(&shared->size, start + length);
  } else if (which < 7) {
    long end = size + draw(100000);
    if (end <= size || end > FILE_BYTES) return;
    doing(size, end, "allocate to %ld", end);
    must(fallocate(fd, 0, size, end - size) == 0, "fallocate");
    atomic_store(&shared->size, end);
  } else if (which < 9 && direct_fd >= 0 && size >= 2 * PAGE) {
    long pages = 1 + draw(8), start = draw(size / PAGE) * PAGE;
    if (start + pages * PAGE > size) pages = 1;
    doing(start, start + pages * PAGE, "direct write %ld+%ld", start, pages * PAGE);
    invent(buffer, pages * PAGE);
    must(pwrite(direct_fd, buffer, (size_t)(pages * PAGE), start) == pages * PAGE, "direct write");
    memcpy(shared->expected + start, buffer, (size_t)(pages * PAGE));
  } else if (which < 9) {
    doing(0, FILE_BYTES, "open with O_TRUNC, write");
    if (draw(6) != 0) return;
    int emptied = open(path, O_RDWR | O_TRUNC | O_CLOEXEC);
    must(emptied >= 0, "open");
    set_size(0);
    long length = FILE_BYTES - draw(CHUNK_BYTES);
    for (long at = 0; at < length; at += CHUNK_BYTES) {
      long part = length - at < CHUNK_BYTES ? length - at : CHUNK_BYTES;
      invent(shared->expected + at, part);
      must(write(emptied, shared->expected + at, (size_t)part) == part, "write");
    }
    close(emptied);
    atomic_store(&shared->size, length);
  } else {
    struct stat info;
    doing(0, 0, "compare everything");
    must(fstat(fd, &info) == 0, "fstat");
    if (info.st_size != size) fail(-1, "the size is %ld instead of %ld", (long)info.st_size, size);
    must(pread(fd, buffer, FILE_BYTES, 0) == size, "pread of everything");
    compare(buffer, 0, size);
    if (draw(4) == 0) compare((unsigned char *)map, 0, size);
  }
}

static void work(uint64_t seed, long operations, time_t end) {
  random_state = seed * 1000003 + (uint64_t)self * 7919;
  if (posix_memalign((void **)&buffer, PAGE, FILE_BYTES + PAGE) != 0) exit(3);
  reopen();
  remap();
  while (atomic_load(&shared->done) < operations && time(NULL) < end && atomic_load(&shared->failures) == 0) {
    if (draw(40) == 0) {
      pthread_rwlock_wrlock(&shared->lock);
      whole_step();
    } else {
      pthread_rwlock_rdlock(&shared->lock);
      own_step();
    }
    pthread_rwlock_unlock(&shared->lock);
  }
}

static void on_fault(int signal) {
  (void)signal;
  fail(-1, "SIGBUS");
}

int main(int argc, char **argv) {
  uint64_t seed = (uint64_t)time(NULL);
  long operations = 20000, seconds = 3600;
  if (argc < 2) return 2;
  path = argv[1];
  for (int i = 2; i + 1 < argc; i += 2) {
    long value = atol(argv[i + 1]);
    if (strcmp(argv[i], "--seed") == 0) seed = (uint64_t)value;
    else if (strcmp(argv[i], "--operations") == 0) operations = value;
    else if (strcmp(argv[i], "--seconds") == 0) seconds = value;
    else if (strcmp(argv[i], "--processes") == 0) process_count = (int)value;
    else return fprintf(stderr, "exercise: what is %s?\n", argv[i]), 2;
  }
  shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pthread_rwlockattr_t attributes;
  pthread_rwlockattr_init(&attributes);
  pthread_rwlockattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
  pthread_rwlock_init(&shared->lock, &attributes);
  signal(SIGBUS, on_fault);
  int made = open(path, O_CREAT | O_RDWR | O_TRUNC, 0644);
  if (made < 0 || ftruncate(made, FILE_BYTES) != 0) return perror(path), 3;
  close(made);
  atomic_store(&shared->size, FILE_BYTES);
  time_t end = time(NULL) + seconds;
  pid_t pids[64];
  if (process_count > 64) process_count = 64;
  for (self = 0; self < process_count; self++) {
    if ((pids[self] = fork()) != 0) continue;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    work(seed, operations, end);
    exit(0);
  }
  int status, failures = 0;
  // A process that fails may hold the lock: the others are ended, and theirs is no failure.
  for (pid_t pid; (pid = wait(&status)) > 0;) {
    for (int i = 0; i < process_count; i++) pids[i] = pids[i] == pid ? 0 : pids[i];
    if (status == 0 || failures++ > 0) continue;
    for (int i = 0; i < process_count; i++) if (pids[i] > 0) kill(pids[i], SIGKILL);
  }
  printf("%s %ld operations of %d processes, seed %llu\n", failures == 0 ? "ok" : "FAIL", atomic_load(&shared->done),
         process_count, (unsigned long long)seed);
  return failures == 0 ? 0 : 1;
}

/*
 * The measuring loops of `npm run bench`. Each command does one thing as often as told, or for as long as told,
 * and prints nanoseconds per operation. In C, because an interpreter's own cost per call would hide the
 * difference between two file systems.
 *
 *   ops stat FILE MS              ops open FILE MS            ops create DIR COUNT   (prints create, unlink)
 *   ops seq-read FILE MS          ops seq-write FILE MS       ops mmap-read FILE MS  (ns per MiB)
 *   ops rand-read FILE COUNT      ops rand-write FILE COUNT
 *   ops lease FILE MS             ops refused FILE MS
 *   ops lease-among DIR FILES MS COUNT...   set+release, while COUNT leases are held on so many files of DIR
 *   ops exec PROGRAM ARGS...      time of a whole program
 *   ops started PROGRAM ARGS...   time until PROGRAM has printed the clock; made for `ops now` at its end
 *   ops now                       prints the monotonic clock
 *   ops forget MOUNT              drops what the kernel remembers of a mount's names and attributes
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../include/holdfast.h"

#define MIB (1024 * 1024)
#define PAGE 4096
/* The clock is read once per batch, so that reading it does not count. */
#define BATCH 32

static int64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t number(const char *text)
{
	char *end;
	int64_t value = strtoll(text, &end, 10);
	if (*end != '\0' || value <= 0) {
		fprintf(stderr, "not a positive number: %s\n", text);
		exit(2);
	}
	return value;
}

static void report(int64_t elapsed, int64_t count)
{
	printf("%.1f\n", (double)elapsed / (double)count);
}

static int open_file(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0644);
	if (fd < 0)
		die(path);
	return fd;
}

/* One operation of a loop that runs for a given time. */
typedef void operation(const char *path, int fd);

static void loop(operation *run, const char *path, int fd, int64_t ms)
{
	int64_t count = 0, start = now(), end = start + ms * 1000000, t;
	do {
		for (int i = 0; i < BATCH; i++)
			run(path, fd);
		count += BATCH;
		t = now();
	} while (t < end);
	report(t - start, count);
}

static void do_stat(const char *path, int fd)
{
	struct stat st;
	(void)fd;
	if (stat(path, &st) != 0)
		die(path);
}

static void do_open(const char *path, int fd)
{
	(void)fd;
	close(open_file(path, O_RDONLY));
}

static void take_lease(const char *path, int fd, uint64_t *id)
{
	struct holdfast_lease lease = {.mode = HOLDFAST_LEASE_READ, .flags = HOLDFAST_LEASE_EXCLUSIVE};
	if (ioctl(fd, HOLDFAST_SETLEASE, &lease) != 0)
		die(path);
	*id = lease.id;
}

static void do_lease(const char *path, int fd)
{
	uint64_t id;
	take_lease(path, fd, &id);
	if (ioctl(fd, HOLDFAST_RELEASE, &id) != 0)
		die(path);
}

enum { AMONG_FILES_MAX = 10000, RANGE_BYTES = 4096, PASSES_AMONG = 5 };

/* Normal read leases of a range each, side by side, through one descriptor for each file. */
static void hold_more(const char *directory, int files, int64_t from, int64_t to, int *fds)
{
	for (int64_t i = from; i < to; i++) {
		char path[4096];
		int which = (int)(i % files);
		struct holdfast_lease lease = {.mode = HOLDFAST_LEASE_READ,
					       .start = (uint64_t)(i / files) * RANGE_BYTES,
					       .length = RANGE_BYTES};
		snprintf(path, sizeof path, "%s/held-%d", directory, which);
		if (fds[which] < 0)
			fds[which] = open_file(path, O_RDWR | O_CREAT);
		if (ioctl(fds[which], HOLDFAST_SETLEASE, &lease) != 0)
			die(path);
	}
}

/* Set and release on one of those files, through a descriptor of its own. */
static void lease_among(const char *directory, int files, int64_t ms, char **counts)
{
	static int fds[AMONG_FILES_MAX];
	struct rlimit limit = {files + 1000, files + 1000};
	char path[4096];
	int64_t held = 0;
	if (files > AMONG_FILES_MAX || setrlimit(RLIMIT_NOFILE, &limit) != 0)
		die("setrlimit");
	for (int i = 0; i < files; i++)
		fds[i] = -1;
	snprintf(path, sizeof path, "%s/held-0", directory);
	int fd = open_file(path, O_RDWR | O_CREAT);
	for (; *counts != NULL; counts++) {
		int64_t count = number(*counts), best = INT64_MAX;
		hold_more(directory, files, held, count, fds);
		held = count;
		for (int pass = 0; pass < PASSES_AMONG; pass++) {
			int64_t done = 0, start = now(), t;
			do {
				uint64_t id;
				struct holdfast_lease lease = {.mode = HOLDFAST_LEASE_READ};
				if (ioctl(fd, HOLDFAST_SETLEASE, &lease) != 0)
					die("SETLEASE");
				id = lease.id;
				if (ioctl(fd, HOLDFAST_RELEASE, &id) != 0)
					die("RELEASE");
				done++;
				t = now();
			} while (t < start + ms * 1000000);
			if ((t - start) / done < best)
				best = (t - start) / done;
		}
		report(best, 1);
	}
}

static void do_refused(const char *path, int fd)
{
	(void)fd;
	if (truncate(path, 0) == 0 || errno != ETXTBSY) {
		fprintf(stderr, "%s: truncate was not refused with ETXTBSY: %s\n", path, strerror(errno));
		exit(1);
	}
}

/* Another process holds the lease: the holder itself would get EDEADLK. */
static void refused(const char *path, int64_t ms)
{
	int ready[2];
	char byte;
	if (pipe2(ready, O_CLOEXEC) != 0)
		die("pipe");
	pid_t holder = fork();
	if (holder == 0) {
		uint64_t id;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		take_lease(path, open_file(path, O_RDWR), &id);
		if (write(ready[1], "x", 1) != 1)
			die("write");
		pause();
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		exit(1); /* The holder has said why. */
	loop(do_refused, path, -1, ms);
	kill(holder, SIGKILL);
	waitpid(holder, NULL, 0);
}

static void create(const char *directory, int64_t count)
{
	char name[32];
	if (chdir(directory) != 0)
		die(directory);
	int64_t start = now();
	for (int64_t i = 0; i < count; i++) {
		snprintf(name, sizeof name, "f%06" PRId64, i);
		close(open_file(name, O_WRONLY | O_CREAT | O_EXCL));
	}
	int64_t middle = now();
	for (int64_t i = 0; i < count; i++) {
		snprintf(name, sizeof name, "f%06" PRId64, i);
		if (unlink(name) != 0)
			die(name);
	}
	int64_t end = now();
	report(middle - start, count);
	report(end - middle, count);
}

static int64_t size_of(int fd)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		die("fstat");
	return st.st_size;
}

static char *buffer(void)
{
	char *bytes = aligned_alloc(PAGE, MIB);
	if (bytes == NULL)
		die("aligned_alloc");
	memset(bytes, 'h', MIB);
	return bytes;
}

typedef ssize_t transfer(int fd, char *bytes, size_t size, off_t offset);

static ssize_t do_read(int fd, char *bytes, size_t size, off_t offset)
{
	return pread(fd, bytes, size, offset);
}

static ssize_t do_write(int fd, char *bytes, size_t size, off_t offset)
{
	return pwrite(fd, bytes, size, offset);
}

static void one(transfer *run, int fd, char *bytes, size_t size, off_t offset)
{
	if (run(fd, bytes, size, offset) != (ssize_t)size)
		die("short transfer");
}

/* One pass over the file, a MiB at a time. */
static int64_t sequential(transfer *run, int fd, int64_t size)
{
	char *bytes = buffer();
	int64_t start = now();
	for (int64_t offset = 0; offset + MIB <= size; offset += MIB)
		one(run, fd, bytes, MIB, offset);
	int64_t elapsed = now() - start;
	free(bytes);
	return elapsed;
}

/* 4 KiB at places that are the same in every run. The first pass fills whatever caches there are. */
static void random_access(transfer *run, const char *path, int64_t count)
{
	int fd = open_file(path, O_RDWR);
	int64_t pages = size_of(fd) / PAGE;
	char *bytes = buffer();
	uint64_t state = 0x9e3779b97f4a7c15;
	sequential(do_read, fd, size_of(fd));
	int64_t start = now();
	for (int64_t i = 0; i < count; i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		one(run, fd, bytes, PAGE, (off_t)(state % (uint64_t)pages) * PAGE);
	}
	report(now() - start, count);
}

static int64_t mapped(int fd, int64_t size)
{
	char *bytes = buffer();
	int64_t start = now();
	char *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		die("mmap");
	for (int64_t offset = 0; offset + MIB <= size; offset += MIB) {
		memcpy(bytes, map + offset, MIB);
		/* Or the compiler leaves the copies out, because nobody looks at them. */
		__asm__ volatile("" : : "r"(bytes) : "memory");
	}
	int64_t elapsed = now() - start;
	munmap(map, size);
	free(bytes);
	return elapsed;
}

static int64_t read_all(int fd, int64_t size)
{
	return sequential(do_read, fd, size);
}

static int64_t write_all(int fd, int64_t size)
{
	return sequential(do_write, fd, size);
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

/*
 * Opens the file and goes over it once, again and again; reports the pass in the middle. Each pass has an open
 * of its own, because what a file system remembers of a file often ends with it.
 */
static void passes(int64_t pass(int fd, int64_t size), const char *path, int flags, int64_t ms)
{
	enum { PASSES_MAX = 200 };
	int64_t times[PASSES_MAX], size = 0, end = now() + ms * 1000000;
	int count = 0;
	do {
		int fd = open_file(path, flags);
		size = size_of(fd);
		times[count++] = pass(fd, size);
		close(fd);
	} while (count < PASSES_MAX && now() < end);
	qsort(times, count, sizeof times[0], compare);
	report(times[count / 2], size / MIB);
}

static void exec_or_die(char **argv)
{
	execvp(argv[0], argv);
	fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

static void check_exit(pid_t child, const char *name)
{
	int status;
	if (waitpid(child, &status, 0) != child)
		die("waitpid");
	if (status != 0) {
		fprintf(stderr, "%s: wait status %#x\n", name, status);
		exit(1);
	}
}

static void time_program(char **argv)
{
	int64_t start = now();
	pid_t child = fork();
	if (child == 0) {
		int null = open_file("/dev/null", O_WRONLY);
		dup2(null, 1);
		exec_or_die(argv);
	}
	check_exit(child, argv[0]);
	report(now() - start, 1);
}

static void time_start(char **argv)
{
	int output[2];
	char text[32] = "";
	size_t length = 0;
	if (pipe2(output, O_CLOEXEC) != 0)
		die("pipe");
	int64_t start = now();
	pid_t child = fork();
	if (child == 0) {
		dup2(output[1], 1);
		exec_or_die(argv);
	}
	close(output[1]);
	while (length < sizeof text - 1) {
		ssize_t got = read(output[0], text + length, sizeof text - 1 - length);
		if (got <= 0)
			break;
		length += (size_t)got;
		if (text[length - 1] == '\n')
			break;
	}
	check_exit(child, argv[0]);
	text[strcspn(text, "\n")] = '\0';
	report(number(text) - start, 1);
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";
	const char *path = argc > 2 ? argv[2] : "";
	const char *third = argc > 3 ? argv[3] : "";

	if (strcmp(command, "now") == 0) {
		printf("%" PRId64 "\n", now());
	} else if (strcmp(command, "stat") == 0) {
		loop(do_stat, path, -1, number(third));
	} else if (strcmp(command, "open") == 0) {
		loop(do_open, path, -1, number(third));
	} else if (strcmp(command, "create") == 0) {
		create(path, number(third));
	} else if (strcmp(command, "seq-read") == 0) {
		passes(read_all, path, O_RDONLY, number(third));
	} else if (strcmp(command, "seq-write") == 0) {
		passes(write_all, path, O_WRONLY, number(third));
	} else if (strcmp(command, "mmap-read") == 0) {
		passes(mapped, path, O_RDONLY, number(third));
	} else if (strcmp(command, "rand-read") == 0) {
		random_access(do_read, path, number(third));
	} else if (strcmp(command, "rand-write") == 0) {
		random_access(do_write, path, number(third));
	} else if (strcmp(command, "lease") == 0) {
		loop(do_lease, path, open_file(path, O_RDWR), number(third));
	} else if (strcmp(command, "lease-among") == 0 && argc > 5) {
		lease_among(path, (int)number(third), number(argv[4]), argv + 5);
	} else if (strcmp(command, "refused") == 0) {
		refused(path, number(third));
	} else if (strcmp(command, "exec") == 0 && argc > 2) {
		time_program(argv + 2);
	} else if (strcmp(command, "started") == 0 && argc > 2) {
		time_start(argv + 2);
	} else if (strcmp(command, "forget") == 0) {
		/* A remount drops the unused names of the file system, and with them their attributes. */
		if (mount("none", path, NULL, MS_REMOUNT, NULL) != 0)
			die(path);
	} else {
		fprintf(stderr, "ops: unknown command '%s'\n", command);
		return 2;
	}
	return 0;
}

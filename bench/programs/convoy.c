/*
 * One process that is measured, and others that are in its way (bench/convoy.js).
 *
 *   convoy probe FILE MS     opens, closes and asks for the attributes of FILE, over and over with pauses; prints
 *                            how many times, and the median, 99th percentile and longest time in nanoseconds
 *   convoy fsync FILE        writes to FILE and syncs it, without pause, until it is killed
 *   convoy create DIR        creates files in DIR, writes to them, syncs and removes them
 *   convoy copy FROM TO      has the kernel copy FROM to TO
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SAMPLES_MAX (1 << 20)
#define PAUSE_NS 200000

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

static int open_or_die(const char *path, int flags)
{
	int fd = open(path, flags, 0644);
	if (fd < 0)
		die(path);
	return fd;
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

static void probe(const char *path, int64_t ms)
{
	static int64_t samples[SAMPLES_MAX];
	const struct timespec pause = { 0, PAUSE_NS };
	size_t count = 0;
	int64_t end = now() + ms * 1000000;
	while (now() < end && count < SAMPLES_MAX) {
		struct stat st;
		int64_t start = now();
		close(open_or_die(path, O_RDONLY));
		if (stat(path, &st) < 0)
			die(path);
		samples[count++] = now() - start;
		nanosleep(&pause, NULL);
	}
	qsort(samples, count, sizeof samples[0], compare);
	printf("%zu %" PRId64 " %" PRId64 " %" PRId64 "\n", count, samples[count / 2],
	       samples[count * 99 / 100], samples[count - 1]);
}

static void sync_one(int fd)
{
	char block[4096];
	memset(block, 'x', sizeof block);
	if (pwrite(fd, block, sizeof block, 0) < 0 || fsync(fd) < 0)
		die("fsync");
}

static void create(const char *directory)
{
	char path[4096];
	for (unsigned n = 0;; n++) {
		snprintf(path, sizeof path, "%s/created-%u", directory, n);
		int fd = open_or_die(path, O_CREAT | O_EXCL | O_WRONLY);
		sync_one(fd);
		close(fd);
		if (unlink(path) < 0)
			die(path);
	}
}

static void copy(const char *from, const char *to)
{
	for (;;) {
		int in = open_or_die(from, O_RDONLY), out = open_or_die(to, O_CREAT | O_TRUNC | O_WRONLY);
		ssize_t copied;
		while ((copied = copy_file_range(in, NULL, out, NULL, 1 << 30, 0)) > 0)
			;
		if (copied < 0)
			die("copy_file_range");
		close(in);
		close(out);
	}
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	if (argc == 4 && strcmp(what, "probe") == 0)
		probe(argv[2], atoi(argv[3]));
	else if (argc == 3 && strcmp(what, "fsync") == 0)
		for (int fd = open_or_die(argv[2], O_CREAT | O_WRONLY);;)
			sync_one(fd);
	else if (argc == 3 && strcmp(what, "create") == 0)
		create(argv[2]);
	else if (argc == 4 && strcmp(what, "copy") == 0)
		copy(argv[2], argv[3]);
	else
		return fprintf(stderr, "see the top of convoy.c\n"), 2;
	return 0;
}

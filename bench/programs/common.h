/*
 * What the measuring programs of `npm run bench` share: a clock, amounts, and one operation done again and again by
 * one or several processes. In C, because an interpreter's own cost per call would hide the difference between two
 * file systems. Every figure is printed as nanoseconds per operation, one line each.
 */
#ifndef HOLDFAST_BENCH_COMMON_H
#define HOLDFAST_BENCH_COMMON_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MIB (1024 * 1024)
#define PAGE 4096
/* The clock is read once per batch, so that reading it does not count. */
#define BATCH 32

static inline int64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static inline void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static inline int64_t number(const char *text)
{
	char *end;
	int64_t value = strtoll(text, &end, 10);
	if (*end != '\0' || value <= 0) {
		fprintf(stderr, "not a positive number: %s\n", text);
		exit(2);
	}
	return value;
}

static inline void report(int64_t elapsed, int64_t count)
{
	printf("%.1f\n", (double)elapsed / (double)count);
}

static inline int open_file(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0644);
	if (fd < 0)
		die(path);
	return fd;
}

static inline void check_exit(pid_t child, const char *name)
{
	int status;
	if (waitpid(child, &status, 0) != child)
		die("waitpid");
	if (status != 0) {
		fprintf(stderr, "%s: wait status %#x\n", name, status);
		exit(1);
	}
}

/* How much is done: as often as `count`, or, if that is 0, for so many milliseconds. */
struct amount {
	int64_t count, ms;
};

/* `100x` or `60ms`. */
static inline struct amount parse_amount(const char *text)
{
	char *unit;
	int64_t value = strtoll(text, &unit, 10);
	if (value > 0 && strcmp(unit, "x") == 0)
		return (struct amount){.count = value};
	if (value > 0 && strcmp(unit, "ms") == 0)
		return (struct amount){.ms = value};
	fprintf(stderr, "not an amount like 100x or 60ms: %s\n", text);
	exit(2);
}

/* What one process works on. */
struct work {
	const char *path;
	int process, processes;
	int fd, flags;
	char *bytes;
	int64_t size;
	uint64_t state;
};

struct operation {
	const char *name;
	/* Neither beginning nor end is measured; both may be missing. */
	void (*begin)(struct work *work);
	void (*run)(struct work *work, int64_t index);
	void (*end)(struct work *work);
	int flags;
};

struct span {
	int64_t start, end, count;
};

static inline struct span repeat(const struct operation *op, struct work *work, struct amount amount)
{
	struct span span = {.start = now()};
	do {
		int64_t batch = amount.count > 0 ? amount.count : BATCH;
		for (int64_t i = 0; i < batch; i++)
			op->run(work, span.count + i);
		span.count += batch;
		span.end = now();
	} while (amount.count == 0 && span.end < span.start + amount.ms * 1000000);
	return span;
}

static inline void work_as(const struct operation *op, struct work work, struct amount amount, int ready, int go, int result)
{
	char byte = 0;
	if (op->begin != NULL)
		op->begin(&work);
	if (write(ready, &byte, 1) != 1 || read(go, &byte, 1) != 0)
		die("starting together");
	struct span span = repeat(op, &work, amount);
	if (write(result, &span, sizeof span) != sizeof span)
		die("write");
	if (op->end != NULL)
		op->end(&work);
	exit(0);
}

/* Several processes start together; what counts is the time from the first start to the last end. */
static inline void together(const struct operation *op, struct work work, struct amount amount)
{
	int ready[2], go[2], result[2];
	char byte;
	struct span all = {.start = INT64_MAX}, span;
	pid_t children[64];
	if (work.processes > 64 || pipe2(ready, O_CLOEXEC) != 0 || pipe2(go, O_CLOEXEC) != 0 || pipe2(result, O_CLOEXEC) != 0)
		die("pipe");
	for (int i = 0; i < work.processes; i++) {
		children[i] = fork();
		if (children[i] == 0) {
			close(go[1]);
			work.process = i;
			work_as(op, work, amount, ready[1], go[0], result[1]);
		}
	}
	close(ready[1]);
	close(result[1]);
	for (int i = 0; i < work.processes; i++)
		if (read(ready[0], &byte, 1) != 1)
			exit(1); /* The child has said why. */
	close(go[1]);
	for (int i = 0; i < work.processes; i++) {
		if (read(result[0], &span, sizeof span) != sizeof span)
			exit(1);
		if (span.start < all.start)
			all.start = span.start;
		if (span.end > all.end)
			all.end = span.end;
		all.count += span.count;
	}
	for (int i = 0; i < work.processes; i++)
		check_exit(children[i], op->name);
	report(all.end - all.start, all.count);
}

/* PROGRAM COMMAND PATH AMOUNT [PROCESSES], for a command of the table; false if it is not there. */
static inline int operate(const struct operation *table, int argc, char **argv)
{
	if (argc < 4)
		return 0;
	for (const struct operation *op = table; op->name != NULL; op++) {
		if (strcmp(op->name, argv[1]) != 0)
			continue;
		struct amount amount = parse_amount(argv[3]);
		struct work work = {.path = argv[2], .fd = -1, .flags = op->flags, .processes = 1};
		if (argc > 4)
			work.processes = (int)number(argv[4]);
		if (work.processes > 1) {
			together(op, work, amount);
			return 1;
		}
		if (op->begin != NULL)
			op->begin(&work);
		struct span span = repeat(op, &work, amount);
		report(span.end - span.start, span.count);
		if (op->end != NULL)
			op->end(&work);
		return 1;
	}
	return 0;
}

static inline int unknown(char **argv)
{
	fprintf(stderr, "%s: no such command, or too few arguments: '%s'\n", argv[0], argv[1] == NULL ? "" : argv[1]);
	return 2;
}

#endif

/*
 * Many processes that hold a lease on one file, each by an open file description of its own, and one breaker:
 * `manyholders FILE COUNT`.
 *
 * Every holder takes a normal lease on the whole file, and counts how often it is woken with POLLPRI. When all have
 * been told, they are let go one after the other, and the breaker's truncate must be through as soon as the last
 * one has released. Prints `told N most M early E` and what it took: how many were told, how often the one who was
 * told most often, and how many releases the truncate did not wait for.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../include/holdfast.h"

enum { HOLDERS_MAX = 4096, TIMEOUT_MS = 100000 };

/* What all processes see. Each holder writes its own places only. */
static struct {
	volatile int isReady[HOLDERS_MAX];
	volatile int toldCount[HOLDERS_MAX];
	volatile int isReleased[HOLDERS_MAX];
	volatile int isTruncated;
} *shared;

/* One byte lets a holder release, a second one lets it end. */
static int orders[HOLDERS_MAX];

static void die(const char *what)
{
	fprintf(stderr, "manyholders: %s: %s\n", what, strerror(errno));
	exit(1);
}

static long long now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static void nap(void)
{
	usleep(500);
}

static int open_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		die(path);
	return fd;
}

static void watch(int epoll, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.fd = fd};
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
		die("epoll_ctl");
}

/* Edge-triggered: it counts wake-ups, where poll(2) would report the same state again and again. */
static void hold(const char *path, int index, int order)
{
	int fd = open_file(path), epoll = epoll_create1(EPOLL_CLOEXEC);
	struct holdfast_lease lease = {.mode = HOLDFAST_LEASE_READ};
	struct epoll_event event;
	char byte;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	watch(epoll, fd, EPOLLPRI | EPOLLET);
	watch(epoll, order, EPOLLIN);
	if (ioctl(fd, HOLDFAST_SETLEASE, &lease) != 0)
		die("SETLEASE");
	shared->isReady[index] = 1;
	for (;;) {
		if (epoll_wait(epoll, &event, 1, -1) != 1)
			die("epoll_wait");
		if (event.data.fd == fd) {
			shared->toldCount[index]++;
			continue;
		}
		/* Open until the end, so that it is the release that lets the change go ahead, and not a close. */
		if (read(order, &byte, 1) != 1 || shared->isReleased[index])
			_exit(0);
		if (ioctl(fd, HOLDFAST_RELEASE, &lease.id) != 0)
			die("RELEASE");
		shared->isReleased[index] = 1;
	}
}

static void tell(int index)
{
	if (write(orders[index], "x", 1) != 1)
		die("write");
}

static void wait_for_all(const char *what, volatile int *places, int count)
{
	long long deadline = now_ms() + TIMEOUT_MS;
	for (int index = 0; index < count; index++) {
		while (!places[index]) {
			if (now_ms() > deadline) {
				fprintf(stderr, "manyholders: %s: not all in time\n", what);
				exit(1);
			}
			nap();
		}
	}
}

static void truncate_file(const char *path)
{
	if (truncate(path, 0) != 0)
		die("truncate");
	shared->isTruncated = 1;
	_exit(0);
}

int main(int argc, char **argv)
{
	const char *path = argc > 2 ? argv[1] : "";
	int count = argc > 2 ? atoi(argv[2]) : 0, told = 0, most = 0, early = 0, status;
	if (count < 1 || count > HOLDERS_MAX)
		return 2;
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		die("mmap");
	long long begun = now_ms();
	for (int index = 0; index < count; index++) {
		int order[2];
		if (pipe2(order, O_CLOEXEC) != 0)
			die("pipe");
		pid_t child = fork();
		if (child < 0)
			die("fork");
		if (child == 0)
			hold(path, index, order[0]);
		close(order[0]);
		orders[index] = order[1];
	}
	wait_for_all("taking a lease", shared->isReady, count);
	long long start = now_ms();
	pid_t breaker = fork();
	if (breaker == 0)
		truncate_file(path);
	wait_for_all("being told", shared->toldCount, count);
	long long toldAt = now_ms();
	for (int index = 0; index < count; index++) {
		early += shared->isTruncated;
		tell(index);
		wait_for_all("releasing", &shared->isReleased[index], 1);
	}
	if (waitpid(breaker, &status, 0) != breaker || status != 0) {
		fprintf(stderr, "manyholders: the truncate ended with status %#x\n", status);
		return 1;
	}
	long long end = now_ms();
	for (int index = 0; index < count; index++) {
		tell(index);
		told += shared->toldCount[index] > 0;
		if (shared->toldCount[index] > most)
			most = shared->toldCount[index];
	}
	while (wait(NULL) > 0)
		;
	printf("told %d most %d early %d taken-ms %lld told-ms %lld released-ms %lld\n", told, most, early,
	       start - begun, toldAt - start, end - toldAt);
	return 0;
}

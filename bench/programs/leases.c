/*
 * Leases, on Holdfast's mounts alone.
 *
 *   leases lease FILE AMOUNT       set and released
 *   leases refused FILE AMOUNT     truncate of a file that another process has a lease on
 *   leases among DIR FILES MS COUNT...   set and released, while COUNT leases are held on so many files of DIR
 */
#include "common.h"
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "../../include/holdfast.h"

enum { AMONG_FILES_MAX = 10000, RANGE_BYTES = 4096, PASSES_AMONG = 5 };

static void take_lease(const char *path, int fd, uint64_t *id)
{
	struct holdfast_lease lease = {.mode = HOLDFAST_LEASE_READ, .flags = HOLDFAST_LEASE_EXCLUSIVE};
	if (ioctl(fd, HOLDFAST_SETLEASE, &lease) != 0)
		die(path);
	*id = lease.id;
}

static void begin_lease(struct work *work)
{
	work->fd = open_file(work->path, O_RDWR);
}

static void do_lease(struct work *work, int64_t index)
{
	uint64_t id;
	(void)index;
	take_lease(work->path, work->fd, &id);
	if (ioctl(work->fd, HOLDFAST_RELEASE, &id) != 0)
		die(work->path);
}

static pid_t holder;

/* Another process holds the lease: the holder itself would get EDEADLK. */
static void begin_refused(struct work *work)
{
	int ready[2];
	char byte;
	if (pipe2(ready, O_CLOEXEC) != 0)
		die("pipe");
	holder = fork();
	if (holder == 0) {
		uint64_t id;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		take_lease(work->path, open_file(work->path, O_RDWR), &id);
		if (write(ready[1], "x", 1) != 1)
			die("write");
		pause();
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		exit(1); /* The holder has said why. */
}

static void do_refused(struct work *work, int64_t index)
{
	(void)index;
	if (truncate(work->path, 0) == 0 || errno != ETXTBSY) {
		fprintf(stderr, "%s: truncate was not refused with ETXTBSY: %s\n", work->path, strerror(errno));
		exit(1);
	}
}

static void end_refused(struct work *work)
{
	(void)work;
	kill(holder, SIGKILL);
	waitpid(holder, NULL, 0);
}

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

static const struct operation OPERATIONS[] = {
	{"lease", begin_lease, do_lease, NULL, 0},
	{"refused", begin_refused, do_refused, end_refused, 0},
	{0},
};

int main(int argc, char **argv)
{
	if (operate(OPERATIONS, argc, argv))
		return 0;
	if (argc > 5 && strcmp(argv[1], "among") == 0) {
		lease_among(argv[2], (int)number(argv[3]), number(argv[4]), argv + 5);
		return 0;
	}
	return unknown(argv);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold FILE: use a mapped file, and let go of it when somebody wants to take bytes of it away.
 *
 * A normal read lease makes a truncate or a hole wait until we have stopped using the file. Without it the
 * next access to the mapping would be a SIGBUS.
 */
#include <holdfast.h>

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(const char *what)
{
	perror(what);
	return 1;
}

/* Who is it that wants to change the file? A line of the event stream would say more. */
static void tell(const struct holdfast_lease *lease)
{
	printf("lease %llu is breaking: %u ms to let go\n", (unsigned long long)lease->id, lease->break_ms);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct holdfast_lease lease;
	struct stat status;

	if (argc != 2) {
		fprintf(stderr, "usage: hold FILE\n");
		return 2;
	}
	int fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fail(argv[1]);

	/* The lease comes first: from here on the size cannot shrink under us. */
	holdfast_lease_init(&lease, HOLDFAST_LEASE_READ, 0);
	if (holdfast_lease_set(fd, &lease) != 0)
		return fail(errno == ENOTTY ? "not a file on a Holdfast mount" : "SETLEASE");
	if (lease.flags & HOLDFAST_LEASE_NOTIFY_ONLY)
		printf("nobody will wait for us: only the owner of the file may delay others\n");
	if (fstat(fd, &status) != 0)
		return fail("fstat");
	const unsigned char *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (bytes == MAP_FAILED)
		return fail("mmap");
	printf("holding %s, lease %llu, first byte '%c'\n", argv[1], (unsigned long long)lease.id, bytes[0]);
	fflush(stdout);

	/* POLLPRI: a break has begun. POLLERR, which poll always reports: it is over, and we were too slow. */
	struct pollfd entry = { .fd = fd, .events = POLLPRI };
	while (poll(&entry, 1, -1) < 0)
		if (errno != EINTR)
			return fail("poll");

	memset(&lease, 0, sizeof lease);
	if (holdfast_lease_next(fd, &lease) != 0)
		return fail("GETLEASE");
	if (lease.state == HOLDFAST_STATE_REVOKED)
		printf("lease %llu was revoked\n", (unsigned long long)lease.id);
	else
		tell(&lease);

	/* Stop using the bytes first, then say so. */
	munmap((void *)bytes, (size_t)status.st_size);
	if (holdfast_release(fd, lease.id) != 0)
		return fail("RELEASE");
	printf("let go\n");
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signal FILE: be told of a break by a signal that carries the number of the descriptor.
 *
 * For programs whose main loop waits for signals rather than in poll(2). Unlike the signal of fcntl(F_SETLEASE),
 * every process that has the descriptor can choose one for itself.
 */
#include <holdfast.h>

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static int fail(const char *what)
{
	perror(what);
	return 1;
}

int main(int argc, char **argv)
{
	siginfo_t info;
	sigset_t signals;
	__u64 lease;

	if (argc != 2) {
		fprintf(stderr, "usage: signal FILE\n");
		return 2;
	}
	/* Blocked, so that it waits in the queue until sigwaitinfo takes it, with its value. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &signals, NULL);

	int fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fail(argv[1]);
	if (holdfast_lease_whole(fd, HOLDFAST_LEASE_READ, 0, &lease) != 0)
		return fail(errno == ENOTTY ? "not a file on a Holdfast mount" : "SETLEASE");
	if (holdfast_own(fd, lease, SIGRTMIN, fd) != 0)
		return fail("SETOWN");
	printf("holding %s on descriptor %d\n", argv[1], fd);
	fflush(stdout);

	while (sigwaitinfo(&signals, &info) < 0)
		if (errno != EINTR)
			return fail("sigwaitinfo");
	printf("told by signal SIGRTMIN+%d, value %d\n", info.si_signo - SIGRTMIN, info.si_value.sival_int);
	if (holdfast_release(info.si_value.sival_int, lease) != 0)
		return fail("RELEASE");
	printf("let go\n");
	return 0;
}

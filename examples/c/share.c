/* SPDX-License-Identifier: Apache-2.0 */
/*
 * share FILE: pinned pages that belong to a descriptor, and that descriptor in another process.
 *
 * A server takes an exclusive lease, pins a page through a pin context, as a device driver would for memory it
 * registers, and sends the context to a worker. The page stays where it is until the last copy of the context is
 * closed, although the server gives up everything it has.
 */
#include <holdfast.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096 };

static _Noreturn void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void say(const char *text)
{
	printf("%s\n", text);
	fflush(stdout);
}

static void send_fd(int socket_fd, int fd)
{
	char byte = 0, control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec data = { &byte, 1 };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control,
				  .msg_controllen = sizeof control };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof fd);
	if (sendmsg(socket_fd, &message, 0) != 1)
		fail("sendmsg");
}

static int receive_fd(int socket_fd)
{
	char byte, control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec data = { &byte, 1 };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control,
				  .msg_controllen = sizeof control };
	struct cmsghdr *header;
	int fd = -1;

	if (recvmsg(socket_fd, &message, 0) != 1)
		fail("recvmsg");
	header = CMSG_FIRSTHDR(&message);
	if (header == NULL || header->cmsg_type != SCM_RIGHTS) {
		errno = EBADMSG;
		fail("recvmsg");
	}
	memcpy(&fd, CMSG_DATA(header), sizeof fd);
	return fd;
}

/* What would a truncate to nothing come to? Asking changes nothing. */
static void ask(const char *file)
{
	struct holdfast_query query;
	int fd = open(file, O_RDONLY);

	if (fd < 0 || holdfast_query_change(fd, HOLDFAST_QUERY_TRUNCATE, 0, 0, &query) != 0)
		fail(file);
	if (query.error == 0)
		say("a truncate would go ahead");
	else
		printf("a truncate would fail: %s, because of lease %llu\n", strerror(query.error),
		       (unsigned long long)query.lease);
	fflush(stdout);
	close(fd);
}

/* Has the context and nothing else: no descriptor of the file, no right to it. Lets go when it is told to. */
static int worker(int socket_fd)
{
	int context = receive_fd(socket_fd);
	char byte;

	say("worker: has the pin context");
	if (write(socket_fd, "", 1) != 1 || read(socket_fd, &byte, 1) != 1)
		fail("worker");
	close(context);
	say("worker: closed the pin context");
	return 0;
}

int main(int argc, char **argv)
{
	__u64 lease, pin;
	int sockets[2], context, fd, status;
	char byte;
	pid_t child;

	if (argc != 2) {
		fprintf(stderr, "usage: share FILE\n");
		return 2;
	}
	/* The worker is born before there is anything that it could inherit. */
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) != 0)
		fail("socketpair");
	child = fork();
	if (child < 0)
		fail("fork");
	if (child == 0) {
		close(sockets[0]);
		return worker(sockets[1]);
	}
	close(sockets[1]);

	fd = open(argv[1], O_RDWR | O_CLOEXEC);
	if (fd < 0)
		fail(argv[1]);
	if (holdfast_lease_whole(fd, HOLDFAST_LEASE_READ, HOLDFAST_LEASE_EXCLUSIVE, &lease) != 0)
		fail(errno == ENOTTY ? "not a file on a Holdfast mount" : "SETLEASE");
	context = holdfast_open(fd, "pinctx", O_RDWR | O_CLOEXEC);
	if (context < 0)
		fail("pinctx");
	if (holdfast_pin_range(context, lease, 0, PAGE, &pin) != 0)
		fail("PIN");
	printf("lease %llu, pin %llu of %d bytes\n", (unsigned long long)lease, (unsigned long long)pin, PAGE);

	/* A lease cannot be given back while it is pinned. */
	if (holdfast_release(fd, lease) != 0)
		printf("release: %s\n", strerror(errno));
	fflush(stdout);

	send_fd(sockets[0], context);
	if (read(sockets[0], &byte, 1) != 1)
		fail("worker");
	close(context);
	close(fd);
	say("server: closed file and pin context");
	ask(argv[1]);
	if (write(sockets[0], "", 1) != 1 || waitpid(child, &status, 0) != child)
		fail("worker");
	ask(argv[1]);
	return status == 0 ? 0 : 1;
}

/*
 * `terminal PROGRAM [ARGUMENT...]` runs PROGRAM at a pseudo-terminal of its own, as a terminal window does:
 * what arrives on standard input is typed, what the terminal shows goes to standard output. Ends with the
 * program's exit code, or 128+n.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc < 2)
		return 64;
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (master < 0 || grantpt(master) || unlockpt(master)) {
		perror("terminal: posix_openpt");
		return 71;
	}
	struct winsize size = { .ws_row = 33, .ws_col = 121 };
	ioctl(master, TIOCSWINSZ, &size);

	pid_t child = fork();
	if (child < 0)
		return 71;
	if (child == 0) {
		setsid();
		int slave = open(ptsname(master), O_RDWR);
		if (slave < 0 || ioctl(slave, TIOCSCTTY, 0))
			_exit(71);
		for (int fd = 0; fd < 3; fd++)
			dup2(slave, fd);
		if (slave > 2)
			close(slave);
		execvp(argv[1], argv + 1);
		perror(argv[1]);
		_exit(127);
	}

	struct pollfd ends[2] = { { .fd = 0, .events = POLLIN }, { .fd = master, .events = POLLIN } };
	for (;;) {
		char bytes[4096];

		if (poll(ends, 2, -1) < 0 && errno != EINTR)
			break;
		if (ends[0].revents) {
			ssize_t count = read(0, bytes, sizeof bytes);

			if (count > 0 && write(master, bytes, (size_t)count) < 0)
				break;
			if (count <= 0)
				ends[0].fd = -1;
		}
		if (ends[1].revents) {
			ssize_t count = read(master, bytes, sizeof bytes);

			/* EIO: nobody has the terminal open any more. */
			if (count <= 0)
				break;
			if (write(1, bytes, (size_t)count) < 0)
				break;
		}
	}
	int status;
	if (waitpid(child, &status, 0) < 0)
		return 71;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

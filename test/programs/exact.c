/*
 * Starts a program in an odd but lawful state, byte for byte: `exact SETTING... -- PROGRAM [ARGUMENT...]`.
 * Node and shells cannot do this: they normalize environments, signal dispositions and limits on the way.
 *
 *   environment=FILE   the environment is the NUL-terminated strings of FILE, in that order
 *   arguments=FILE     NUL-terminated strings of FILE follow the arguments given here
 *   ignore=N default=N block=N      signal N
 *   limit=RESOURCE:SOFT[:HARD]      numbers of setrlimit(2); without HARD it stays as it is
 *   open=FD:FLAGS:PATH              FLAGS as a decimal number; FD gets a description of its own
 *   dup=FROM:TO close=FD seek=FD:OFFSET
 *   umask=OCTAL nice=N oom=N personality=HEX deathsignal=N nonewprivs=1 subreaper=1
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void fail(const char *what)
{
	fprintf(stderr, "exact: %s: %s\n", what, strerror(errno));
	exit(125);
}

/* The NUL-terminated strings of a file, after `count` pointers that the caller fills in. */
static char **strings(const char *path, size_t count)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;

	if (fd < 0 || fstat(fd, &status))
		fail(path);
	char *text = malloc((size_t)status.st_size + 1);
	if (!text || read(fd, text, (size_t)status.st_size) != status.st_size)
		fail(path);
	close(fd);
	char **list = calloc(count + (size_t)status.st_size + 1, sizeof *list);
	if (!list)
		fail("memory");
	for (char *at = text; at < text + status.st_size; at += strlen(at) + 1)
		list[count++] = at;
	return list;
}

static void apply(char *setting)
{
	char *value = strchr(setting, '=');

	if (!value) {
		errno = EINVAL;
		fail(setting);
	}
	*value++ = 0;
	int number = atoi(value);
	char *second = strchr(value, ':');
	int failed = 0;

	if (!strcmp(setting, "ignore"))
		failed = signal(number, SIG_IGN) == SIG_ERR;
	else if (!strcmp(setting, "default"))
		failed = signal(number, SIG_DFL) == SIG_ERR;
	else if (!strcmp(setting, "block")) {
		sigset_t set;

		sigemptyset(&set);
		sigaddset(&set, number);
		failed = sigprocmask(SIG_BLOCK, &set, NULL);
	} else if (!strcmp(setting, "limit")) {
		unsigned long long soft = 0, hard = 0;
		struct rlimit limit;

		failed = getrlimit(number, &limit);
		int given = sscanf(second, ":%llu:%llu", &soft, &hard);
		limit.rlim_cur = soft;
		if (given == 2)
			limit.rlim_max = hard;
		failed = failed || setrlimit(number, &limit);
	} else if (!strcmp(setting, "open")) {
		char *path = strchr(second + 1, ':') + 1;
		int fd = open(path, atoi(second + 1), 0666);

		failed = fd < 0 || (fd != number && (dup2(fd, number) < 0 || close(fd)));
	} else if (!strcmp(setting, "dup"))
		failed = dup2(number, atoi(second + 1)) < 0;
	else if (!strcmp(setting, "close"))
		failed = close(number);
	else if (!strcmp(setting, "seek"))
		failed = lseek(number, atoll(second + 1), SEEK_SET) < 0;
	else if (!strcmp(setting, "umask"))
		umask((mode_t)strtol(value, NULL, 8));
	else if (!strcmp(setting, "nice"))
		failed = setpriority(PRIO_PROCESS, 0, number);
	else if (!strcmp(setting, "oom")) {
		int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

		failed = fd < 0 || write(fd, value, strlen(value)) < 0 || close(fd);
	} else if (!strcmp(setting, "personality"))
		failed = personality(strtoul(value, NULL, 16)) < 0;
	else if (!strcmp(setting, "deathsignal"))
		failed = prctl(PR_SET_PDEATHSIG, number);
	else if (!strcmp(setting, "nonewprivs"))
		failed = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	else if (!strcmp(setting, "subreaper"))
		failed = prctl(PR_SET_CHILD_SUBREAPER, 1);
	else {
		errno = EINVAL;
		failed = 1;
	}
	if (failed)
		fail(setting);
}

int main(int argc, char **argv)
{
	extern char **environ;
	char **environment = environ, **arguments = NULL;
	const char *arguments_path = NULL;
	int at = 1;

	for (; at < argc && strcmp(argv[at], "--"); at++) {
		if (!strncmp(argv[at], "environment=", 12))
			environment = strings(argv[at] + 12, 0);
		else if (!strncmp(argv[at], "arguments=", 10))
			arguments_path = argv[at] + 10;
		else
			apply(argv[at]);
	}
	if (++at >= argc) {
		fprintf(stderr, "exact: no program\n");
		return 125;
	}
	arguments = argv + at;
	if (arguments_path) {
		size_t count = (size_t)(argc - at);

		arguments = strings(arguments_path, count);
		memcpy(arguments, argv + at, count * sizeof *arguments);
	}
	execve(argv[at], arguments, environment);
	fail(argv[at]);
	return 125;
}

/*
 * The time of whole programs.
 *
 *   timing exec PROGRAM ARGS...      from its start to its end; what it prints is dropped
 *   timing started PROGRAM ARGS...   until PROGRAM has printed the clock; made for `timing now` at its end
 *   timing now                       prints the monotonic clock
 */
#include "common.h"

static void exec_or_die(char **argv)
{
	execvp(argv[0], argv);
	fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
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
	if (argc == 2 && strcmp(argv[1], "now") == 0)
		printf("%" PRId64 "\n", now());
	else if (argc > 2 && strcmp(argv[1], "exec") == 0)
		time_program(argv + 2);
	else if (argc > 2 && strcmp(argv[1], "started") == 0)
		time_start(argv + 2);
	else
		return unknown(argv);
	return 0;
}

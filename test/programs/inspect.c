/*
 * Prints everything a program can find out about the way it was started: `inspect OUT [ARGUMENT...]` writes
 * one fact per line to OUT. Two runs that were started the same way write the same lines, apart from numbers
 * that are new in every run (pipe inodes, pids); the test that compares them knows those.
 *
 * OUT is opened last, so that it is not among the descriptors that are listed. Nothing is written to the
 * standard streams: they may be closed, or be what is being tested.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

extern char **environ;

static char *report;
static size_t used, room;

static void add(const void *bytes, size_t count)
{
	if (used + count > room) {
		room = (used + count) * 2;
		report = realloc(report, room);
		if (!report)
			_exit(70);
	}
	memcpy(report + used, bytes, count);
	used += count;
}

__attribute__((format(printf, 1, 2))) static void line(const char *format, ...)
{
	char text[8192];
	va_list arguments;

	va_start(arguments, format);
	int count = vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	add(text, count < (int)sizeof text ? (size_t)count : sizeof text - 1);
	add("\n", 1);
}

/* Bytes as hexadecimal digits: argument and environment strings may hold anything but NUL. */
static void bytes(const char *label, size_t index, const char *value)
{
	static const char digits[] = "0123456789abcdef";
	char label_text[64];

	add(label_text, (size_t)snprintf(label_text, sizeof label_text, "%s %zu ", label, index));
	for (; *value; value++) {
		unsigned char byte = (unsigned char)*value;
		char pair[2] = { digits[byte >> 4], digits[byte & 15] };

		add(pair, 2);
	}
	add("\n", 1);
}

static void link_target(const char *label, const char *path)
{
	char target[4096];
	ssize_t length = readlink(path, target, sizeof target - 1);

	target[length < 0 ? 0 : length] = 0;
	line("%s %s", label, target);
}

static void descriptors(void)
{
	for (int fd = 0; fd < 4096; fd++) {
		char path[64], target[4096];
		struct stat status;
		int descriptor_flags = fcntl(fd, F_GETFD);

		if (descriptor_flags < 0)
			continue;
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		ssize_t length = readlink(path, target, sizeof target - 1);
		target[length < 0 ? 0 : length] = 0;
		int status_flags = fcntl(fd, F_GETFL);
		off_t offset = lseek(fd, 0, SEEK_CUR);
		if (fstat(fd, &status))
			memset(&status, 0, sizeof status);
		line("fd %d cloexec=%d flags=%o offset=%lld type=%o owner=%d signal=%d %s", fd, descriptor_flags,
		     status_flags, (long long)offset, status.st_mode & S_IFMT, fcntl(fd, F_GETOWN),
		     fcntl(fd, F_GETSIG), target);
	}
}

static void terminal(int fd)
{
	struct termios settings;
	struct winsize size;

	if (tcgetattr(fd, &settings)) {
		line("terminal %d none", fd);
		return;
	}
	memset(&size, 0, sizeof size);
	ioctl(fd, TIOCGWINSZ, &size);
	line("terminal %d iflag=%o oflag=%o cflag=%o lflag=%o speed=%u/%u size=%ux%u foreground=%d session=%d", fd,
	     settings.c_iflag, settings.c_oflag, settings.c_cflag, settings.c_lflag, cfgetispeed(&settings),
	     cfgetospeed(&settings), size.ws_row, size.ws_col, tcgetpgrp(fd), tcgetsid(fd));
	for (int i = 0; i < NCCS; i++)
		line("terminal %d cc %d %d", fd, i, settings.c_cc[i]);
}

static void signals(void)
{
	sigset_t blocked, pending;

	sigprocmask(SIG_SETMASK, NULL, &blocked);
	sigpending(&pending);
	for (int signo = 1; signo <= SIGRTMAX; signo++) {
		struct sigaction action;

		if (sigaction(signo, NULL, &action))
			continue;
		line("signal %d %s%s%s", signo,
		     action.sa_handler == SIG_IGN ? "ignored" : action.sa_handler == SIG_DFL ? "default" : "handled",
		     sigismember(&blocked, signo) == 1 ? " blocked" : "",
		     sigismember(&pending, signo) == 1 ? " pending" : "");
	}
	stack_t stack;
	if (!sigaltstack(NULL, &stack))
		line("signal stack %s", stack.ss_flags & SS_DISABLE ? "none" : "set");
}

/* The lines of a file of /proc/self whose names are listed, in the file's own order. */
static void proc_lines(const char *path, const char *const *names)
{
	char text[512];
	FILE *file = fopen(path, "re");

	if (!file)
		return;
	while (fgets(text, sizeof text, file)) {
		text[strcspn(text, "\n")] = 0;
		for (size_t i = 0; names[i]; i++)
			if (!strncmp(text, names[i], strlen(names[i])) && text[strlen(names[i])] == ':')
				line("proc %s", text);
	}
	fclose(file);
}

static void proc_value(const char *path)
{
	char text[512] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	ssize_t count = read(fd, text, sizeof text - 1);
	close(fd);
	text[count < 0 ? 0 : count] = 0;
	for (char *byte = text; *byte; byte++)
		if (*byte == '\n')
			*byte = byte[1] ? '|' : 0;
	line("%s %s", path, text);
}

static void limits(void)
{
	for (int resource = 0; resource < RLIM_NLIMITS; resource++) {
		struct rlimit limit;

		if (!getrlimit(resource, &limit))
			line("limit %d %lld %lld", resource, (long long)limit.rlim_cur, (long long)limit.rlim_max);
	}
}

static void timers(void)
{
	for (int which = ITIMER_REAL; which <= ITIMER_PROF; which++) {
		struct itimerval timer;

		if (!getitimer(which, &timer))
			line("timer %d %s", which, timer.it_value.tv_sec || timer.it_value.tv_usec ? "running" : "off");
	}
}

static void scheduling(void)
{
	cpu_set_t processors;
	struct sched_param parameters = { 0 };

	errno = 0;
	line("nice %d", getpriority(PRIO_PROCESS, 0));
	sched_getparam(0, &parameters);
	line("scheduler %d %d", sched_getscheduler(0), parameters.sched_priority);
	line("io priority %ld", syscall(SYS_ioprio_get, 1, 0));
	if (!sched_getaffinity(0, sizeof processors, &processors))
		for (int cpu = 0; cpu < 64; cpu++)
			if (CPU_ISSET(cpu, &processors))
				line("processor %d", cpu);
	line("timer slack %d", prctl(PR_GET_TIMERSLACK));
}

int main(int argc, char **argv)
{
	static const char *const status_names[] = { "Umask", "Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff",
		"CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters", "Threads", "Cpus_allowed_list",
		"Mems_allowed_list", "CoreDumping", "THP_enabled", "SpeculationIndirectBranch", NULL };
	static const char *const namespaces[] = { "cgroup", "ipc", "mnt", "net", "pid", "pid_for_children", "time",
		"time_for_children", "user", "uts", NULL };

	if (argc < 2)
		return 64;
	descriptors();
	signals();
	limits();
	timers();
	scheduling();
	for (int i = 0; i < argc; i++)
		bytes("argument", (size_t)i, argv[i]);
	for (size_t i = 0; environ[i]; i++)
		bytes("environment", i, environ[i]);

	line("pid %d", getpid());
	line("parent %d", getppid());
	line("group %d", getpgrp());
	line("session %d", getsid(0));
	/* A child that COMMAND never started would confuse its wait(2). */
	siginfo_t child;
	memset(&child, 0, sizeof child);
	int waited = waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT | __WALL);
	line("children %s", waited < 0 && errno == ECHILD ? "none" : "some");

	for (int fd = 0; fd < 3; fd++)
		terminal(fd);
	int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	line("controlling terminal %s", tty < 0 ? "none" : "yes");
	if (tty >= 0) {
		line("foreground group %d", tcgetpgrp(tty));
		close(tty);
	}

	mode_t mask = umask(0);
	umask(mask);
	line("umask %03o", mask);
	link_target("cwd", "/proc/self/cwd");
	link_target("root", "/proc/self/root");
	link_target("program", "/proc/self/exe");
	line("personality %x", personality(0xffffffff));
	line("no new privileges %d", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	line("dumpable %d", prctl(PR_GET_DUMPABLE));
	line("securebits %d", prctl(PR_GET_SECUREBITS));
	line("keep capabilities %d", prctl(PR_GET_KEEPCAPS));
	int subreaper = -1, death_signal = -1;
	prctl(PR_GET_CHILD_SUBREAPER, &subreaper);
	prctl(PR_GET_PDEATHSIG, &death_signal);
	line("subreaper %d", subreaper);
	line("parent death signal %d", death_signal);
	proc_lines("/proc/self/status", status_names);
	proc_value("/proc/self/comm");
	proc_value("/proc/self/oom_score_adj");
	proc_value("/proc/self/coredump_filter");
	proc_value("/proc/self/loginuid");
	proc_value("/proc/self/sessionid");
	proc_value("/proc/self/cgroup");
	for (size_t i = 0; namespaces[i]; i++) {
		char path[64], label[64];

		snprintf(path, sizeof path, "/proc/self/ns/%s", namespaces[i]);
		snprintf(label, sizeof label, "namespace %s", namespaces[i]);
		link_target(label, path);
	}

	int out = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (out < 0)
		return 73;
	for (size_t done = 0; done < used;) {
		ssize_t count = write(out, report + done, used - done);

		if (count < 0)
			return 74;
		done += (size_t)count;
	}
	return close(out) ? 74 : 0;
}

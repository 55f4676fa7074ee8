/*
 * A process that a test steers from outside, one command a line: `leasectl DIRECTORY NAME`.
 *
 * It listens at DIRECTORY/NAME.sock; the test connects, sends a line, and reads the answer: `ok RESULT...`, or
 * `error ENAME`. A command may block (that is what many tests are about); the answer comes when it returns.
 * Descriptors travel between such processes through DIRECTORY/NAME.fds. The process's own descriptors lie
 * above 200 and are close-on-exec, so that what a test opens gets the numbers it would get anywhere.
 *
 * SIGUSR1 is caught without SA_RESTART: it interrupts a blocked command (EINTR) and does nothing else. `catch SIGNO`
 * records a signal with what came with it, without interrupting anything; `caught` tells and forgets what came.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FIRST_OWN_FD = 200, LINE_MAX_BYTES = 65536, WORDS_MAX = 16, MAPPINGS_MAX = 64 };

static const char *directory, *program;
static char name[64];
static int listener = -1, connection = -1, descriptors = -1;
static char answer[LINE_MAX_BYTES];

static struct {
	unsigned char *address;
	size_t length;
} mappings[MAPPINGS_MAX];

static sigjmp_buf bus_error;

static void on_bus_error(int signo)
{
	(void)signo;
	siglongjmp(bus_error, 1);
}

static void on_interrupt(int signo)
{
	(void)signo;
}

static struct {
	int signo, code, value, pid, uid;
} caught[64];
static volatile sig_atomic_t caught_count;

static void on_caught(int signo, siginfo_t *info, void *context)
{
	(void)context;
	if (caught_count == sizeof caught / sizeof *caught)
		return;
	caught[caught_count].signo = signo;
	caught[caught_count].code = info->si_code;
	caught[caught_count].value = info->si_value.sival_int;
	caught[caught_count].pid = info->si_pid;
	caught[caught_count].uid = (int)info->si_uid;
	caught_count++;
}

/* Moves a descriptor out of the way of those the test asks for. */
static int own(int fd)
{
	int moved = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_OWN_FD);

	close(fd);
	return moved;
}

static void address_of(struct sockaddr_un *address, const char *who, const char *suffix)
{
	memset(address, 0, sizeof *address);
	address->sun_family = AF_UNIX;
	snprintf(address->sun_path, sizeof address->sun_path, "%s/%s.%s", directory, who, suffix);
}

static int bound(int type, const char *suffix)
{
	struct sockaddr_un address;
	int fd = own(socket(AF_UNIX, type | SOCK_CLOEXEC, 0));

	address_of(&address, name, suffix);
	unlink(address.sun_path);
	if (bind(fd, (struct sockaddr *)&address, sizeof address)) {
		perror(address.sun_path);
		_exit(71);
	}
	/* Processes of other users may send here. */
	chmod(address.sun_path, 0777);
	return fd;
}

/* The .sock comes last and appears only when it listens: once it is there, the process can be talked to. */
static void listen_as(const char *new_name)
{
	struct sockaddr_un early, final;

	snprintf(name, sizeof name, "%s", new_name);
	descriptors = bound(SOCK_DGRAM, "fds");
	listener = bound(SOCK_STREAM, "early");
	listen(listener, 8);
	address_of(&early, name, "early");
	address_of(&final, name, "sock");
	rename(early.sun_path, final.sun_path);
}

static int ok(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int ok(const char *format, ...)
{
	va_list arguments;
	int start = snprintf(answer, sizeof answer, "ok ");

	va_start(arguments, format);
	vsnprintf(answer + start, sizeof answer - (size_t)start, format, arguments);
	va_end(arguments);
	return 0;
}

static int failed(void)
{
	const char *error = strerrorname_np(errno);

	snprintf(answer, sizeof answer, "error %s", error ? error : "UNKNOWN");
	return 0;
}

/* The usual shape of a system call: a number, or -1 and errno. */
static int result(long value)
{
	return value < 0 ? failed() : ok("%ld", value);
}

static long long number(const char *word)
{
	return strtoll(word, NULL, 0);
}

static int open_flags(char *words)
{
	static const struct {
		const char *word;
		int flag;
	} table[] = { { "rdonly", O_RDONLY }, { "wronly", O_WRONLY }, { "rdwr", O_RDWR }, { "creat", O_CREAT },
		      { "excl", O_EXCL }, { "trunc", O_TRUNC }, { "append", O_APPEND }, { "nonblock", O_NONBLOCK },
		      { "cloexec", O_CLOEXEC }, { "path", O_PATH }, { "direct", O_DIRECT }, { "dsync", O_DSYNC } };
	int flags = 0;

	for (char *word = strtok(words, "|"); word; word = strtok(NULL, "|"))
		for (size_t i = 0; i < sizeof table / sizeof *table; i++)
			if (!strcmp(word, table[i].word))
				flags |= table[i].flag;
	return flags;
}

static int from_hex(const char *text, unsigned char *bytes, size_t room)
{
	size_t count = strlen(text) / 2;

	if (count > room)
		return -1;
	for (size_t i = 0; i < count; i++) {
		char pair[3] = { text[2 * i], text[2 * i + 1], 0 };

		bytes[i] = (unsigned char)strtoul(pair, NULL, 16);
	}
	return (int)count;
}

static int ok_hex(long value, const unsigned char *bytes, size_t count)
{
	int start = snprintf(answer, sizeof answer, "ok %ld ", value);

	for (size_t i = 0; i < count && (size_t)start + 2 * i + 2 < sizeof answer; i++)
		sprintf(answer + start + 2 * i, "%02x", bytes[i]);
	return 0;
}

/* The buffer is larger than any request's argument: a wrong size must not become our own crash. */
static int do_ioctl(int fd, unsigned long request, const char *hex)
{
	static unsigned char buffer[32768];

	memset(buffer, 0, sizeof buffer);
	int count = from_hex(hex, buffer, sizeof buffer);
	if (count < 0) {
		errno = E2BIG;
		return failed();
	}
	int value = ioctl(fd, request, buffer);
	return value < 0 ? failed() : ok_hex(value, buffer, (size_t)count);
}

static int do_mmap(int fd, off_t offset, size_t length, const char *kind)
{
	int slot = 0;
	int protection = strchr(kind, 'w') ? PROT_READ | PROT_WRITE : PROT_READ;
	int flags = strchr(kind, 'p') ? MAP_PRIVATE : MAP_SHARED;

	while (slot < MAPPINGS_MAX - 1 && mappings[slot].address)
		slot++;
	void *address = mmap(NULL, length, protection, flags, fd, offset);
	if (address == MAP_FAILED)
		return failed();
	mappings[slot].address = address;
	mappings[slot].length = length;
	return ok("%d", slot);
}

/* Reads (or stores) one byte of a mapping; `sigbus` when the file has lost the page. */
static int touch(int slot, size_t offset, int value)
{
	struct sigaction action = { .sa_handler = on_bus_error }, before;

	sigaction(SIGBUS, &action, &before);
	if (sigsetjmp(bus_error, 1)) {
		sigaction(SIGBUS, &before, NULL);
		return ok("sigbus");
	}
	volatile unsigned char *byte = mappings[slot].address + offset;
	if (value >= 0)
		*byte = (unsigned char)value;
	int seen = *byte;
	sigaction(SIGBUS, &before, NULL);
	return ok("%d", seen);
}

static int send_fd(int fd, const char *to)
{
	struct sockaddr_un address;
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, byte = 'x';
	struct iovec data = { &byte, 1 };
	struct msghdr message = { .msg_name = &address, .msg_namelen = sizeof address, .msg_iov = &data,
				  .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	address_of(&address, to, "fds");
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof fd);
	return result(sendmsg(descriptors, &message, 0));
}

static int receive_fd(void)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, byte;
	struct iovec data = { &byte, 1 };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control,
				  .msg_controllen = sizeof control };
	int fd;

	if (recvmsg(descriptors, &message, 0) < 0)
		return failed();
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	if (!header)
		return ok("none");
	memcpy(&fd, CMSG_DATA(header), sizeof fd);
	return ok("%d", fd);
}

static int do_fork(const char *child_name)
{
	pid_t child = fork();

	if (child < 0)
		return failed();
	if (child)
		return ok("%d", child);
	close(connection);
	close(listener);
	close(descriptors);
	listen_as(child_name);
	connection = own(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
	return 1; /* Nothing to answer: the question was not put to this process. */
}

/*
 * Waiting calls are never restarted by the kernel. Was this one interrupted by nothing but a signal that `catch`
 * records? Then it goes on; `before` is how many there were, and becomes how many there are.
 */
static int goes_on(int count, int *before)
{
	int had = *before;

	*before = caught_count;
	return count < 0 && errno == EINTR && caught_count > had;
}

static int do_poll(int fd, short events, int timeout)
{
	struct pollfd entry = { .fd = fd, .events = events };
	int count, before = caught_count;

	do
		count = poll(&entry, 1, timeout);
	while (goes_on(count, &before));

	return count < 0 ? failed() : ok("%d", count ? entry.revents : 0);
}

/* Exceptional conditions, which are what poll(2) calls POLLPRI: 1 if there is one within the time, else 0. */
static int do_select(int fd, int timeout)
{
	struct timeval patience = { timeout / 1000, timeout % 1000 * 1000 };
	fd_set exceptional;
	int count, before = caught_count;

	do {
		FD_ZERO(&exceptional);
		FD_SET(fd, &exceptional);
		count = select(fd + 1, NULL, NULL, &exceptional, timeout < 0 ? NULL : &patience);
	} while (goes_on(count, &before));
	return count < 0 ? failed() : ok("%d", count && FD_ISSET(fd, &exceptional) ? 1 : 0);
}

/* Waits in an epoll of its own; the events it was woken with, 0 if the time is over. */
static int do_epoll(int fd, unsigned events, int timeout)
{
	struct epoll_event event = { .events = events };
	int set = epoll_create1(EPOLL_CLOEXEC);
	int count = -1, before = caught_count;

	if (set >= 0 && !epoll_ctl(set, EPOLL_CTL_ADD, fd, &event))
		do
			count = epoll_wait(set, &event, 1, timeout);
		while (goes_on(count, &before));
	if (count < 0)
		failed();
	close(set);
	return count < 0 ? 0 : ok("%u", count ? event.events : 0);
}

static int do_catch(int signo)
{
	struct sigaction action = { .sa_sigaction = on_caught, .sa_flags = SA_SIGINFO | SA_RESTART };

	return result(sigaction(signo, &action, NULL));
}

/* SIGNO:CODE:VALUE:PID:UID of each signal that has come, in order. */
static int tell_caught(void)
{
	int length = snprintf(answer, sizeof answer, "ok %d", (int)caught_count);

	for (int i = 0; i < caught_count; i++)
		length += snprintf(answer + length, sizeof answer - (size_t)length, " %d:%d:%d:%d:%d", caught[i].signo,
				   caught[i].code, caught[i].value, caught[i].pid, caught[i].uid);
	caught_count = 0;
	return 0;
}

static int do_read(int fd, off_t offset, size_t length)
{
	static unsigned char buffer[16384];

	if (length > sizeof buffer)
		length = sizeof buffer;
	ssize_t count = offset < 0 ? read(fd, buffer, length) : pread(fd, buffer, length, offset);
	return count < 0 ? failed() : ok_hex(count, buffer, (size_t)count);
}

static int do_write(int fd, off_t offset, const char *hex)
{
	static unsigned char buffer[16384];
	int count = from_hex(hex, buffer, sizeof buffer);

	return result(offset < 0 ? write(fd, buffer, (size_t)count) : pwrite(fd, buffer, (size_t)count, offset));
}

static int copy_range(int from, off_t from_offset, int to, off_t to_offset, size_t length)
{
	return result(copy_file_range(from, &from_offset, to, &to_offset, length, 0));
}

static int close_all(void)
{
	for (int fd = 3; fd < FIRST_OWN_FD; fd++)
		close(fd);
	return ok("0");
}

static int status_of(int failed_call, const struct stat *status)
{
	if (failed_call)
		return failed();
	return ok("%lld %llu %o %u %u %llu", (long long)status->st_size, (unsigned long long)status->st_ino,
		  status->st_mode, status->st_uid, (unsigned)status->st_nlink, (unsigned long long)status->st_dev);
}

static int run(char **word, int count);

static struct {
	char **word;
	int count;
	int value;
} threaded;

static void *in_thread(void *unused)
{
	(void)unused;
	threaded.value = run(threaded.word, threaded.count);
	return NULL;
}

/* Another thread of the same process: the kernel tells the daemon the thread's id, not the process's. */
static int run_in_thread(char **word, int count)
{
	pthread_t thread;

	threaded.word = word;
	threaded.count = count;
	if (pthread_create(&thread, NULL, in_thread, NULL))
		return ok("no thread");
	pthread_join(thread, NULL);
	return threaded.value;
}

/* As another user, without root's groups and capabilities. */
static int become(uid_t uid, gid_t gid)
{
	if (setgroups(0, NULL) || setresgid(gid, gid, gid))
		return failed();
	return result(setresuid(uid, uid, uid));
}

static int run(char **word, int count)
{
	struct stat status;
	const char *verb = word[0];
	/* Missing words read as "0", so that a row can be written short. */
	for (int i = count; i < WORDS_MAX; i++)
		word[i] = "0";
#define IS(text) (!strcmp(verb, text))
#define N(i) number(word[i])
	if (IS("pid"))
		return ok("%d", getpid());
	if (IS("open"))
		return result(open(word[1], open_flags(word[2]), 0644));
	if (IS("close"))
		return result(close((int)N(1)));
	if (IS("closeall"))
		return close_all();
	if (IS("dup"))
		return result(dup((int)N(1)));
	if (IS("dup2"))
		return result(dup2((int)N(1), (int)N(2)));
	if (IS("fork"))
		return do_fork(word[1]);
	if (IS("wait"))
		return result(waitpid((pid_t)N(1), NULL, 0));
	if (IS("sendfd"))
		return send_fd((int)N(1), word[2]);
	if (IS("recvfd"))
		return receive_fd();
	if (IS("mmap"))
		return do_mmap((int)N(1), N(2), (size_t)N(3), word[4]);
	if (IS("munmap")) {
		int slot = (int)N(1);
		int value = munmap(mappings[slot].address, mappings[slot].length);

		mappings[slot].address = NULL;
		return result(value);
	}
	if (IS("unmappart"))
		return result(munmap(mappings[N(1)].address + N(2), (size_t)N(3)));
	if (IS("touch"))
		return touch((int)N(1), (size_t)N(2), -1);
	if (IS("poke"))
		return touch((int)N(1), (size_t)N(2), (int)N(3));
	if (IS("read"))
		return do_read((int)N(1), N(2), (size_t)N(3));
	if (IS("write"))
		return do_write((int)N(1), N(2), word[3]);
	if (IS("ftruncate"))
		return result(ftruncate((int)N(1), N(2)));
	if (IS("truncate"))
		return result(truncate(word[1], N(2)));
	if (IS("fallocate"))
		return result(fallocate((int)N(1), (int)N(2), N(3), N(4)));
	if (IS("copyrange"))
		return copy_range((int)N(1), N(2), (int)N(3), N(4), (size_t)N(5));
	if (IS("unlink"))
		return result(unlink(word[1]));
	if (IS("rename"))
		return result(rename(word[1], word[2]));
	if (IS("link"))
		return result(link(word[1], word[2]));
	if (IS("chmod"))
		return result(chmod(word[1], (mode_t)strtol(word[2], NULL, 8)));
	if (IS("fsync"))
		return result(fsync((int)N(1)));
	if (IS("stat"))
		return status_of(stat(word[1], &status), &status);
	if (IS("fstat"))
		return status_of(fstat((int)N(1), &status), &status);
	if (IS("poll"))
		return do_poll((int)N(1), (short)N(2), (int)N(3));
	if (IS("select"))
		return do_select((int)N(1), (int)N(2));
	if (IS("epoll"))
		return do_epoll((int)N(1), (unsigned)N(2), (int)N(3));
	if (IS("catch"))
		return do_catch((int)N(1));
	if (IS("caught"))
		return tell_caught();
	if (IS("kill"))
		return result(kill((pid_t)N(1), (int)N(2)));
	if (IS("fcntl"))
		return result(fcntl((int)N(1), (int)N(2), (long)N(3)));
	if (IS("setresuid"))
		return result(setresuid((uid_t)N(1), (uid_t)N(2), (uid_t)N(3)));
	if (IS("ioctl"))
		return do_ioctl((int)N(1), strtoul(word[2], NULL, 0), count > 3 ? word[3] : "");
	if (IS("become"))
		return become((uid_t)N(1), (gid_t)N(2));
	if (IS("thread"))
		return run_in_thread(word + 1, count - 1);
	if (IS("exec")) {
		const char *path = count > 2 ? word[2] : program;

		execl(path, path, directory, word[1], (char *)NULL);
		return failed();
	}
	if (IS("exit"))
		_exit((int)N(1));
	errno = ENOSYS;
	return failed();
}

/* One line without its newline; false at the end of the connection. */
static int read_line(char *line)
{
	size_t length = 0;

	while (length < LINE_MAX_BYTES - 1) {
		ssize_t count = read(connection, line + length, 1);

		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			return 0;
		if (line[length] == '\n')
			break;
		length++;
	}
	line[length] = 0;
	return 1;
}

int main(int argc, char **argv)
{
	static char line[LINE_MAX_BYTES];
	char *words[WORDS_MAX + 1];
	struct sigaction interrupt = { .sa_handler = on_interrupt };

	if (argc != 3)
		return 64;
	program = argv[0];
	directory = argv[1];
	sigaction(SIGUSR1, &interrupt, NULL);
	signal(SIGPIPE, SIG_IGN);
	listen_as(argv[2]);
	connection = own(accept4(listener, NULL, NULL, SOCK_CLOEXEC));

	/* The end of the connection is the end of the process: a test that fails leaves nothing running. */
	while (connection >= 0 && read_line(line)) {
		int count = 0;

		for (char *at = strtok(line, " "); at && count < WORDS_MAX; at = strtok(NULL, " "))
			words[count++] = at;
		if (!count || run(words, count))
			continue;
		strcat(answer, "\n");
		if (write(connection, answer, strlen(answer)) < 0)
			break;
	}
	return 0;
}

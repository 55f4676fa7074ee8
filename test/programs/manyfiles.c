/*
 * Large trees, and many users of one.
 *
 *     manyfiles make DIR DIRECTORIES FILES     DIRECTORIES directories in DIR with FILES empty files each
 *     manyfiles wide DIR FILES                 FILES empty files in DIR
 *     manyfiles churn DIR MS                   creates and removes files in DIR for a time; "churned COUNT"
 *     manyfiles list DIR NAME FILES            lists DIR; "listed COUNT": those whose name begins with NAME, each once
 *     manyfiles open DIR COUNT                 opens COUNT files of DIR at once; "opened COUNT", or how many and
 *                                              which errno ended it; holds them until its input ends
 *     manyfiles processes DIR COUNT            COUNT processes at once, of which each opens, reads and looks at a file
 *     manyfiles probe FILE MS                  opens and closes FILE again and again; "slowest US"
 *
 * Prints what it did, or what failed, and ends with 1 then.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void fail(const char *what)
{
	printf("%s: %s\n", what, strerrorname_np(errno));
	exit(1);
}

static double now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

static void fill(int dir, long count)
{
	char name[64];
	for (long i = 0; i < count; i++) {
		snprintf(name, sizeof name, "file-%07ld.txt", i);
		int fd = openat(dir, name, O_CREAT | O_WRONLY, 0644);
		if (fd < 0)
			fail(name);
		close(fd);
	}
}

static int open_dir(const char *path)
{
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		fail(path);
	int fd = open(path, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		fail(path);
	return fd;
}

static void make(const char *root, long directories, long files)
{
	char path[4096];
	for (long d = 0; d < directories; d++) {
		snprintf(path, sizeof path, "%s/d%05ld", root, d);
		int dir = open_dir(path);
		fill(dir, files);
		close(dir);
	}
}

static void churn(const char *root, long ms)
{
	int dir = open_dir(root);
	char name[64];
	long count = 0;
	for (double end = now_us() + ms * 1e3; now_us() < end; count++) {
		snprintf(name, sizeof name, "churn-%ld", count);
		int fd = openat(dir, name, O_CREAT | O_EXCL | O_WRONLY, 0644);
		if (fd < 0)
			fail(name);
		close(fd);
		if (unlinkat(dir, name, 0) < 0)
			fail(name);
	}
	printf("churned %ld\n", count);
}

static void list(const char *root, const char *start, long files)
{
	char *seen = calloc(files, 1);
	DIR *dir = opendir(root);
	if (dir == NULL)
		fail(root);
	long count = 0;
	for (struct dirent *entry; errno = 0, (entry = readdir(dir)) != NULL;) {
		if (strncmp(entry->d_name, start, strlen(start)) != 0)
			continue;
		long number = atol(entry->d_name + strlen(start));
		if (number < 0 || number >= files || seen[number]++) {
			printf("%s was listed twice, or is not there\n", entry->d_name);
			exit(1);
		}
		count++;
	}
	if (errno != 0)
		fail("readdir");
	closedir(dir);
	printf("listed %ld\n", count);
}

static void open_many(const char *root, long count)
{
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	char path[4096];
	long opened = 0;
	for (; opened < count; opened++) {
		snprintf(path, sizeof path, "%s/file-%07ld.txt", root, opened);
		if (open(path, O_RDWR) < 0) {
			printf("opened %ld, then %s\n", opened, strerrorname_np(errno));
			break;
		}
	}
	if (opened == count)
		printf("opened %ld\n", opened);
	fflush(stdout);
	while (read(0, path, sizeof path) > 0)
		;
}

static int use(const char *root, long number)
{
	char path[4096];
	struct stat st;
	snprintf(path, sizeof path, "%s/file-%07ld.txt", root, number);
	int fd = open(path, O_RDONLY);
	return fd < 0 || read(fd, path, sizeof path) < 0 || fstat(fd, &st) < 0 ? errno : 0;
}

/* All are there until the last has done its work: they wait for the end of a pipe. */
static void processes(const char *root, long count)
{
	int done[2], end[2];
	if (pipe(done) < 0 || pipe(end) < 0)
		fail("pipe");
	for (long i = 0; i < count; i++) {
		pid_t child = fork();
		if (child < 0)
			fail("fork");
		if (child > 0)
			continue;
		close(end[1]);
		unsigned char error = use(root, i);
		if (write(done[1], &error, 1) == 1 && read(end[0], &error, 1) < 0)
			_exit(1);
		_exit(0);
	}
	long failed = 0;
	for (long i = 0; i < count; i++) {
		unsigned char error;
		if (read(done[0], &error, 1) != 1)
			fail("read");
		if (error != 0) {
			printf("a process: %s\n", strerrorname_np(error));
			failed++;
		}
	}
	close(end[1]);
	while (wait(NULL) > 0)
		;
	printf("processes %ld failed %ld\n", count, failed);
}

static void probe(const char *path, long ms)
{
	double slowest = 0;
	for (double end = now_us() + ms * 1e3, start; (start = now_us()) < end;) {
		int fd = open(path, O_RDONLY);
		if (fd < 0)
			fail(path);
		close(fd);
		double took = now_us() - start;
		if (took > slowest)
			slowest = took;
	}
	printf("slowest %.0f\n", slowest);
}

int main(int argc, char **argv)
{
	const char *what = argc > 3 ? argv[1] : "";
	if (strcmp(what, "make") == 0 && argc == 5)
		make(argv[2], atol(argv[3]), atol(argv[4]));
	else if (strcmp(what, "wide") == 0)
		fill(open_dir(argv[2]), atol(argv[3]));
	else if (strcmp(what, "churn") == 0)
		churn(argv[2], atol(argv[3]));
	else if (strcmp(what, "list") == 0 && argc == 5)
		list(argv[2], argv[3], atol(argv[4]));
	else if (strcmp(what, "open") == 0)
		open_many(argv[2], atol(argv[3]));
	else if (strcmp(what, "processes") == 0)
		processes(argv[2], atol(argv[3]));
	else if (strcmp(what, "probe") == 0)
		probe(argv[2], atol(argv[3]));
	else
		return 2;
	return 0;
}

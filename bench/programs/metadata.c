/*
 * Names and attributes.
 *
 *   metadata stat FILE AMOUNT          metadata open FILE AMOUNT [PROCESSES]      open and close
 *   metadata read DIR AMOUNT           open, read and close of 1,000 files in turn
 *   metadata stat-each DIR AMOUNT      another file each time
 *   metadata create|write|rename|unlink|unlink-renamed DIR AMOUNT [PROCESSES]   another file each time: what
 *                                      one has made the other takes
 *   metadata list|list-stat DIR AMOUNT   one operation is one listing, without or with a stat of each entry
 */
#include "common.h"
#include <dirent.h>

enum { SMALL_FILES = 1000, NAME_MAX_LENGTH = 32 };

static const char *name_of(int64_t index)
{
	static char name[NAME_MAX_LENGTH];
	snprintf(name, sizeof name, "f%06" PRId64, index);
	return name;
}

/* Each of several processes works in a directory of its own. */
static void enter(struct work *work)
{
	char own[NAME_MAX_LENGTH];
	if (chdir(work->path) != 0)
		die(work->path);
	work->bytes = calloc(1, PAGE);
	if (work->processes == 1)
		return;
	snprintf(own, sizeof own, "process-%d", work->process);
	if ((mkdir(own, 0755) != 0 && errno != EEXIST) || chdir(own) != 0)
		die(own);
}

static void leave(struct work *work)
{
	char own[NAME_MAX_LENGTH];
	snprintf(own, sizeof own, "process-%d", work->process);
	if (work->processes > 1 && (chdir("..") != 0 || rmdir(own) != 0))
		die(own);
}

static void do_stat(struct work *work, int64_t index)
{
	struct stat st;
	(void)index;
	if (stat(work->path, &st) != 0)
		die(work->path);
}

/* As hot, but the kernel must ask: the least that a request costs. */
static void do_ask(struct work *work, int64_t index)
{
	struct statx st;
	(void)index;
	if (statx(AT_FDCWD, work->path, AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &st) != 0)
		die(work->path);
}

static void do_open(struct work *work, int64_t index)
{
	(void)index;
	close(open_file(work->path, O_RDONLY));
}

static void do_read(struct work *work, int64_t index)
{
	int fd = open_file(name_of(index % SMALL_FILES), O_RDONLY);
	if (read(fd, work->bytes, PAGE) <= 0)
		die("read");
	close(fd);
}

static void do_stat_each(struct work *work, int64_t index)
{
	struct stat st;
	(void)work;
	if (stat(name_of(index), &st) != 0)
		die(name_of(index));
}

static void do_create(struct work *work, int64_t index)
{
	(void)work;
	close(open_file(name_of(index), O_WRONLY | O_CREAT | O_EXCL));
}

static void do_write(struct work *work, int64_t index)
{
	int fd = open_file(name_of(index), O_WRONLY | O_CREAT | O_EXCL);
	if (write(fd, work->bytes, PAGE) != PAGE)
		die("write");
	close(fd);
}

static void do_rename(struct work *work, int64_t index)
{
	char other[NAME_MAX_LENGTH];
	(void)work;
	snprintf(other, sizeof other, "r%06" PRId64, index);
	if (rename(name_of(index), other) != 0)
		die(other);
}

static void do_unlink(struct work *work, int64_t index)
{
	char other[NAME_MAX_LENGTH];
	snprintf(other, sizeof other, "%c%06" PRId64, work->flags == 0 ? 'f' : 'r', index);
	if (unlink(other) != 0)
		die(other);
}

static void list(const char *path, int with_stat)
{
	struct stat st;
	struct dirent *entry;
	DIR *directory = opendir(path);
	if (directory == NULL)
		die(path);
	while ((entry = readdir(directory)) != NULL)
		if (with_stat && fstatat(dirfd(directory), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			die(entry->d_name);
	closedir(directory);
}

static void do_list(struct work *work, int64_t index)
{
	(void)index;
	list(work->path, 0);
}

static void do_list_stat(struct work *work, int64_t index)
{
	(void)index;
	list(work->path, 1);
}

static const struct operation OPERATIONS[] = {
	{"stat", NULL, do_stat, NULL, 0},
	{"ask", NULL, do_ask, NULL, 0},
	{"open", NULL, do_open, NULL, 0},
	{"read", enter, do_read, NULL, 0},
	{"stat-each", enter, do_stat_each, NULL, 0},
	{"create", enter, do_create, NULL, 0},
	{"write", enter, do_write, NULL, 0},
	{"rename", enter, do_rename, NULL, 0},
	{"unlink", enter, do_unlink, leave, 0},
	{"unlink-renamed", enter, do_unlink, leave, 1},
	{"list", NULL, do_list, NULL, 0},
	{"list-stat", NULL, do_list_stat, NULL, 0},
	{0},
};

int main(int argc, char **argv)
{
	return operate(OPERATIONS, argc, argv) ? 0 : unknown(argv);
}

/*
 * What is in files. Each command may end in -direct, for O_DIRECT.
 *
 *   data seq-read|seq-write FILE AMOUNT          ns per MiB; one of the amount is a pass over the file
 *   data mmap-first|mmap-again FILE AMOUNT       ns per MiB of a mapping that is new, or has been read before
 *   data rand-read|rand-write FILE AMOUNT [PROCESSES]   4 KiB at a time
 *   data sync-write FILE AMOUNT [PROCESSES]      4 KiB and fsync; each process has a file of its own beside FILE
 */
#include "common.h"
#include <sys/mman.h>

static int64_t size_of(int fd)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		die("fstat");
	return st.st_size;
}

static char *buffer(void)
{
	char *bytes = aligned_alloc(PAGE, MIB);
	if (bytes == NULL)
		die("aligned_alloc");
	memset(bytes, 'h', MIB);
	return bytes;
}

static void check(ssize_t transferred, ssize_t size)
{
	if (transferred != size)
		die("short transfer");
}

/* A pass over the file that `work` has open. */
typedef void pass(struct work *work);

static void read_all(struct work *work)
{
	for (int64_t offset = 0; offset + MIB <= work->size; offset += MIB)
		check(pread(work->fd, work->bytes, MIB, offset), MIB);
}

static void write_all(struct work *work)
{
	for (int64_t offset = 0; offset + MIB <= work->size; offset += MIB)
		check(pwrite(work->fd, work->bytes, MIB, offset), MIB);
}

static char *map_all(struct work *work)
{
	char *map = mmap(NULL, work->size, PROT_READ, MAP_SHARED, work->fd, 0);
	if (map == MAP_FAILED)
		die("mmap");
	return map;
}

static void copy_all(struct work *work, const char *map)
{
	for (int64_t offset = 0; offset + MIB <= work->size; offset += MIB) {
		memcpy(work->bytes, map + offset, MIB);
		/* Or the compiler leaves the copies out, because nobody looks at them. */
		__asm__ volatile("" : : "r"(work->bytes) : "memory");
	}
}

static void map_first(struct work *work)
{
	char *map = map_all(work);
	copy_all(work, map);
	munmap(map, work->size);
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

/*
 * Opens the file and goes over it once, again and again; reports the pass in the middle. Each pass has an open
 * of its own, because what a file system remembers of a file often ends with it.
 */
static void passes(pass run, const char *path, int flags, struct amount amount)
{
	enum { PASSES_MAX = 200 };
	int64_t times[PASSES_MAX], end = now() + amount.ms * 1000000;
	struct work work = {.bytes = buffer()};
	int count = 0;
	do {
		work.fd = open_file(path, flags);
		work.size = size_of(work.fd);
		int64_t start = now();
		run(&work);
		times[count++] = now() - start;
		close(work.fd);
	} while (count < PASSES_MAX && (amount.count > 0 ? count < amount.count : now() < end));
	qsort(times, count, sizeof times[0], compare);
	report(times[count / 2], work.size / MIB);
}

static void begin_again(struct work *work)
{
	work->bytes = buffer();
	work->fd = open_file(work->path, O_RDONLY);
	work->size = size_of(work->fd);
}

/* The first copy is not measured: it touches every page of the mapping. */
static void map_again(const char *path, struct amount amount)
{
	struct work work = {.path = path};
	int64_t count = 0, start, end;
	begin_again(&work);
	char *map = map_all(&work);
	copy_all(&work, map);
	start = now();
	do {
		copy_all(&work, map);
		count++;
		end = now();
	} while (amount.count > 0 ? count < amount.count : end < start + amount.ms * 1000000);
	report(end - start, count * (work.size / MIB));
}

/* The places are the same in every run. The first pass fills whatever caches there are. */
static void begin_random(struct work *work)
{
	work->fd = open_file(work->path, O_RDWR | work->flags);
	work->size = size_of(work->fd);
	work->bytes = buffer();
	work->state = 0x9e3779b97f4a7c15 + (uint64_t)work->process;
	if ((work->flags & O_DIRECT) == 0)
		read_all(work);
}

static off_t next_place(struct work *work)
{
	work->state ^= work->state << 13;
	work->state ^= work->state >> 7;
	work->state ^= work->state << 17;
	return (off_t)(work->state % (uint64_t)(work->size / PAGE)) * PAGE;
}

static void do_rand_read(struct work *work, int64_t index)
{
	(void)index;
	check(pread(work->fd, work->bytes, PAGE, next_place(work)), PAGE);
}

static void do_rand_write(struct work *work, int64_t index)
{
	(void)index;
	check(pwrite(work->fd, work->bytes, PAGE, next_place(work)), PAGE);
}

static void begin_sync(struct work *work)
{
	char path[4096];
	snprintf(path, sizeof path, "%s-%d", work->path, work->process);
	work->bytes = buffer();
	work->fd = open_file(path, O_RDWR | O_CREAT | work->flags);
}

/* Within one MiB: from the second time round nothing is allocated any more. */
static void do_sync_write(struct work *work, int64_t index)
{
	check(pwrite(work->fd, work->bytes, PAGE, (index * PAGE) % MIB), PAGE);
	if (fsync(work->fd) != 0)
		die("fsync");
}

static const struct operation OPERATIONS[] = {
	{"rand-read", begin_random, do_rand_read, NULL, 0},
	{"rand-write", begin_random, do_rand_write, NULL, 0},
	{"rand-read-direct", begin_random, do_rand_read, NULL, O_DIRECT},
	{"rand-write-direct", begin_random, do_rand_write, NULL, O_DIRECT},
	{"sync-write", begin_sync, do_sync_write, NULL, 0},
	{"sync-write-direct", begin_sync, do_sync_write, NULL, O_DIRECT},
	{0},
};

static const struct {
	const char *name;
	pass *run;
	int flags;
} PASSES[] = {
	{"seq-read", read_all, O_RDONLY},
	{"seq-write", write_all, O_WRONLY},
	{"seq-read-direct", read_all, O_RDONLY | O_DIRECT},
	{"seq-write-direct", write_all, O_WRONLY | O_DIRECT},
	{"mmap-first", map_first, O_RDONLY},
};

int main(int argc, char **argv)
{
	if (operate(OPERATIONS, argc, argv))
		return 0;
	if (argc == 4 && strcmp(argv[1], "mmap-again") == 0) {
		map_again(argv[2], parse_amount(argv[3]));
		return 0;
	}
	for (size_t i = 0; argc == 4 && i < sizeof PASSES / sizeof PASSES[0]; i++) {
		if (strcmp(argv[1], PASSES[i].name) == 0) {
			passes(PASSES[i].run, argv[2], PASSES[i].flags, parse_amount(argv[3]));
			return 0;
		}
	}
	return unknown(argv);
}

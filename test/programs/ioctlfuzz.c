/*
 * Random requests from several processes, each with what it may come to: `ioctlfuzz MODE DIRECTORY CONTROL SEED
 * PROCESSES STEPS`.
 *
 * MODE is `any` (also requests that succeed: each process keeps books of its leases and pins, and what the mount
 * says must agree with them) or `bad` (only requests that must fail; the parent takes leases and pins, says `ready`,
 * waits for a line on standard input, says `done`, waits again: so the test can compare what is reported).
 *
 * The first answer that is not allowed is printed, with seed, process and step, and ends the program with 1.
 */
#define _GNU_SOURCE
#include "../../include/holdfast.h"

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FILES = 6, CONTEXTS = 2, OTHERS_MAX = 24, LEASES_MAX = 24, PINS_MAX = 48, PROCESSES_MAX = 16, PAGE = 4096,
       ERRNOS_MAX = 134 };

static const __u64 SAFE = (1ull << 53) - 1, OFFSET_MAX = (1ull << 63) - 1;
static const unsigned long REQUESTS[] = { HOLDFAST_SETLEASE, HOLDFAST_RELEASE, HOLDFAST_GETLEASE, HOLDFAST_SETOWN,
					  HOLDFAST_PIN,	     HOLDFAST_UNPIN,   HOLDFAST_QUERY,	  HOLDFAST_INFO };

/* The errnos that an answer may have; 0 is success. */
struct set {
	int count;
	int errnos[10];
};

struct own_lease {
	__u64 id, start, end; /* end: UINT64_MAX for "to the end" */
	uint32_t mode, flags;
	int ofd, file;
	bool is_owner, is_parent_owner;
};

struct own_pin {
	__u64 id, lease, start, end;
	int holder; /* -1: this process; else a context; -2: somebody else */
	uint32_t count;
};

enum kind { ON_FILE, ON_CONTEXT, ON_OTHER };

struct target {
	enum kind kind;
	int fd;
	int index; /* of file, context or other */
	const char *name;
	struct set allowed; /* ON_OTHER */
};

/* An open file description has the number of the first descriptor for it. */
static int files[FILES], ofd_of[FILES], file_of[FILES];
static int contexts[CONTEXTS];
static struct target others[OTHERS_MAX];
static int other_count;
static struct own_lease leases[LEASES_MAX];
static struct own_pin pins[PINS_MAX];
static int lease_count, pin_count;
/* The newest lease and pin of every process, for the others to try. */
static volatile __u64 *shared;
/* How often each request came to what, in all processes: a run that tried nothing would not fail either. */
static volatile unsigned (*tally)[ERRNOS_MAX];
static char *edge; /* the last page before one that is not mapped */
static char *read_only;
static const char *directory, *control;
static __u64 seed, state;
static int process, step;
static bool only_bad;

static __u64 random64(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1dull;
}

static unsigned below(unsigned limit)
{
	return (unsigned)(random64() >> 33) % limit;
}

static bool chance(unsigned percent)
{
	return below(100) < percent;
}

static void die(const char *what)
{
	printf("HOLDFAST_SEED=%llu process %d step %d: %s: %s\n", (unsigned long long)seed, process, step, what,
	       strerrorname_np(errno));
	fflush(stdout);
	_exit(1);
}

static struct set only(int errno_value)
{
	return (struct set){ 1, { errno_value } };
}

static void allow(struct set *set, int errno_value)
{
	set->errnos[set->count++] = errno_value;
}

static bool has(const struct set *set, int errno_value)
{
	for (int i = 0; i < set->count; i++)
		if (set->errnos[i] == errno_value)
			return true;
	return false;
}

static __u64 odd(void)
{
	static const __u64 values[] = { 0,
					   1,
					   2,
					   3,
					   PAGE - 1,
					   PAGE,
					   65536,
					   0x7fffffff,
					   0x80000000,
					   0xffffffff,
					   0x100000000,
					   (1ull << 53) - 2,
					   (1ull << 53) - 1,
					   1ull << 53,
					   (1ull << 53) + 1,
					   (1ull << 63) - 1,
					   1ull << 63,
					   UINT64_MAX - PAGE,
					   UINT64_MAX };
	unsigned which = below(sizeof values / sizeof *values + 3);

	if (which < sizeof values / sizeof *values)
		return values[which];
	return which % 2 ? random64() : random64() & 0xffff;
}

static bool range_of(__u64 start, __u64 length, __u64 *end)
{
	if (start > SAFE)
		return false;
	if (length && (start + length < start || start + length - 1 > OFFSET_MAX))
		return false;
	*end = length && start + length <= SAFE ? start + length : UINT64_MAX;
	return true;
}

static struct own_lease *lease_of(int ofd, __u64 id)
{
	for (int i = 0; i < lease_count; i++)
		if (leases[i].id == id && (ofd < 0 || leases[i].ofd == ofd))
			return &leases[i];
	return NULL;
}

static int pins_under(__u64 lease)
{
	int count = 0;

	for (int i = 0; i < pin_count; i++)
		count += pins[i].lease == lease;
	return count;
}

static struct own_pin *pin_of(int holder, __u64 id)
{
	for (int i = 0; i < pin_count; i++)
		if (pins[i].holder == holder && pins[i].id == id)
			return &pins[i];
	return NULL;
}

/* The lease that GETLEASE has to name. */
static struct own_lease *lease_after(int ofd, __u64 id)
{
	struct own_lease *found = NULL;

	for (int i = 0; i < lease_count; i++)
		if (leases[i].ofd == ofd && leases[i].id > id && (!found || leases[i].id < found->id))
			found = &leases[i];
	return found;
}

static bool all_zero(const void *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (((const char *)bytes)[i])
			return false;
	return true;
}

static struct set expect_setlease(int file, const struct holdfast_lease *lease)
{
	uint32_t known = HOLDFAST_LEASE_EXCLUSIVE | HOLDFAST_LEASE_WAIT | HOLDFAST_LEASE_START;
	struct set set = { 0 };
	struct own_lease *own;
	__u64 end;

	if (lease->mode != HOLDFAST_LEASE_READ && lease->mode != HOLDFAST_LEASE_WRITE)
		return only(EINVAL);
	if (lease->flags & ~known || !all_zero(lease->reserved, sizeof lease->reserved))
		return only(EINVAL);
	if (lease->flags & HOLDFAST_LEASE_WAIT && lease->flags & HOLDFAST_LEASE_START)
		return only(EINVAL);
	if (!range_of(lease->start, lease->length, &end))
		return only(EINVAL);
	own = lease_of(ofd_of[file], lease->id);
	if (lease->id && !own)
		return only(ENOENT);
	if (own && (lease->start || lease->length) && (lease->start != own->start || end != own->end))
		return only(EINVAL);
	if (own && own->flags & HOLDFAST_LEASE_EXCLUSIVE && !(lease->flags & HOLDFAST_LEASE_EXCLUSIVE) &&
	    pins_under(own->id))
		return only(EBUSY);
	allow(&set, 0);
	allow(&set, EAGAIN);
	allow(&set, ETXTBSY);
	if (lease->flags & HOLDFAST_LEASE_WAIT)
		allow(&set, EINTR);
	if (own && !(own->flags & HOLDFAST_LEASE_EXCLUSIVE))
		allow(&set, EPERM); /* It may have been revoked meanwhile. */
	return set;
}

static struct set expect_setown(int file, const struct holdfast_owner *owner)
{
	struct own_lease *own = lease_of(ofd_of[file], owner->lease);
	struct set set = { 0 };
	bool is_owner, is_refused; /* signals that nobody can catch, or that the C library needs */

	if (owner->op != HOLDFAST_OWNER_ADD && owner->op != HOLDFAST_OWNER_REMOVE)
		return only(EINVAL);
	if (owner->signo < 0 || owner->signo > 64)
		return only(EINVAL);
	is_refused = owner->signo == SIGKILL || owner->signo == SIGSTOP || owner->signo == 32 || owner->signo == 33;
	if (is_refused)
		allow(&set, EINVAL);
	if (owner->signo)
		allow(&set, EOPNOTSUPP);
	if (owner->pid < 0)
		allow(&set, EINVAL);
	if (!own) {
		allow(&set, ENOENT);
		return set;
	}
	if (owner->pid && owner->pid != getppid()) {
		allow(&set, EPERM);
		allow(&set, ESRCH);
		return set;
	}
	is_owner = owner->pid ? own->is_parent_owner : own->is_owner;
	if (owner->op == HOLDFAST_OWNER_REMOVE && !is_owner)
		allow(&set, ENOENT);
	else if (owner->op == HOLDFAST_OWNER_REMOVE || !is_refused)
		allow(&set, 0);
	return set;
}

static struct set expect_pin(const struct target *target, const struct holdfast_pin *pin)
{
	struct own_lease *own = lease_of(-1, pin->lease);
	struct set set = { 0 };
	__u64 end;

	if (pin->reserved || !range_of(pin->start, pin->length, &end))
		return only(EINVAL);
	if (!own) {
		allow(&set, ENOENT);
		allow(&set, EPERM); /* Another process's. */
		return set;
	}
	if (target->kind == ON_FILE && own->file != file_of[target->index])
		return only(ENOENT);
	if (!own->is_owner || !(own->flags & HOLDFAST_LEASE_EXCLUSIVE) || pin->start < own->start || end > own->end)
		return only(EPERM);
	allow(&set, 0);
	allow(&set, EAGAIN); /* Beneath a change that is being carried out. */
	return set;
}

static struct set expect_release(int file, __u64 id)
{
	if (id) {
		if (!lease_of(ofd_of[file], id))
			return only(ENOENT);
		return only(pins_under(id) ? EBUSY : 0);
	}
	for (int i = 0; i < lease_count; i++)
		if (leases[i].ofd == ofd_of[file] && pins_under(leases[i].id))
			return only(EBUSY);
	return only(0);
}

static struct set expect_query(const struct holdfast_query *query)
{
	__u64 end;

	if (query->op < HOLDFAST_QUERY_TRUNCATE || query->op > HOLDFAST_QUERY_ZERO || query->reserved)
		return only(EINVAL);
	return only(range_of(query->start, query->length, &end) ? 0 : EINVAL);
}

static struct set expect(const struct target *target, unsigned long request, const void *argument)
{
	__u64 id;

	if (target->kind == ON_OTHER)
		return target->allowed;
	memcpy(&id, argument, sizeof id);
	switch (request) {
	case HOLDFAST_PIN:
		return expect_pin(target, argument);
	case HOLDFAST_UNPIN:
		return only(pin_of(target->kind == ON_FILE ? -1 : target->index, id) ? 0 : ENOENT);
	case HOLDFAST_INFO:
		return only(0);
	}
	if (target->kind == ON_CONTEXT)
		return only(ENOTTY);
	switch (request) {
	case HOLDFAST_SETLEASE:
		return expect_setlease(target->index, argument);
	case HOLDFAST_RELEASE:
		return expect_release(target->index, id);
	case HOLDFAST_GETLEASE:
		if (!all_zero((const char *)argument + 44, 20))
			return only(EINVAL);
		return only(lease_after(ofd_of[target->index], id) ? 0 : ENOENT);
	case HOLDFAST_SETOWN:
		return expect_setown(target->index, argument);
	case HOLDFAST_QUERY:
		return expect_query(argument);
	}
	return only(ENOTTY);
}

static __u64 some_id(void)
{
	unsigned which = below(100);

	if (which < 65 && lease_count)
		return leases[below((unsigned)lease_count)].id;
	if (which < 80)
		return shared[below(PROCESSES_MAX)];
	return which < 84 ? 0 : odd();
}

static void some_range(__u64 *start, __u64 *length)
{
	*start = chance(20) ? odd() : PAGE * (__u64)below(8);
	*length = chance(20) ? odd() : PAGE * (__u64)below(8);
}

/* Fields that make sense more often than not: a request that is wrong in one place goes further than noise. */
static void fill(unsigned long request, unsigned char *argument)
{
	struct holdfast_lease *lease = (void *)argument;
	struct holdfast_owner *owner = (void *)argument;
	struct holdfast_pin *pin = (void *)argument;
	struct holdfast_query *query = (void *)argument;
	__u64 id;

	switch (_IOC_NR(request)) {
	case 1:
	case 3:
		lease->id = chance(50) ? 0 : some_id();
		some_range(&lease->start, &lease->length);
		if (lease->id && chance(70))
			lease->start = lease->length = 0;
		lease->mode = chance(8) ? (uint32_t)odd() : chance(85) ? HOLDFAST_LEASE_READ : HOLDFAST_LEASE_WRITE;
		lease->flags = chance(10) ? 1u << below(32) : chance(50) ? HOLDFAST_LEASE_EXCLUSIVE : 0;
		if (chance(4))
			lease->flags |= chance(50) ? HOLDFAST_LEASE_WAIT : HOLDFAST_LEASE_START;
		lease->state = chance(20) ? (uint32_t)odd() : 0;
		lease->pins = chance(20) ? (uint32_t)odd() : 0;
		lease->break_ms = chance(30) ? (uint32_t)odd() : 0;
		if (chance(8))
			lease->reserved[below(5)] = 1u << below(32);
		return;
	case 4:
		owner->lease = some_id();
		owner->op = chance(10) ? (uint32_t)odd() : 1 + below(2);
		owner->signo = chance(60) ? 0 : chance(50) ? (int)below(70) : (int)odd();
		owner->value = (int)random64();
		owner->pid = chance(60) ? 0 : chance(50) ? getppid() : (int)odd();
		return;
	case 5:
		pin->id = chance(20) ? odd() : 0;
		pin->lease = some_id();
		some_range(&pin->start, &pin->length);
		if (lease_count && chance(30)) {
			struct own_lease *own = &leases[below((unsigned)lease_count)];

			pin->lease = own->id;
			pin->start = own->start;
			pin->length = own->end == UINT64_MAX ? 0 : own->end - own->start;
		}
		pin->count = chance(20) ? (uint32_t)odd() : 0;
		pin->reserved = chance(8) ? 1u << below(32) : 0;
		return;
	case 7:
		some_range(&query->start, &query->length);
		query->op = chance(15) ? (uint32_t)odd() : 1 + below(3);
		query->reserved = chance(8) ? 1u << below(32) : 0;
		query->error = (int)random64();
		return;
	case 2:
	case 6:
		id = some_id();
		if (_IOC_NR(request) == 6 && pin_count && chance(70))
			id = pins[below((unsigned)pin_count)].id;
		memcpy(argument, &id, sizeof id);
		return;
	}
}

static void failed(const struct target *target, unsigned long request, const unsigned char *sent, int got,
		   const struct set *allowed, const char *why)
{
	printf("HOLDFAST_SEED=%llu process %d step %d: request %#lx on %s:", (unsigned long long)seed, process, step,
	       request, target->name);
	for (unsigned i = 0; i < _IOC_SIZE(request) && i < 64; i++)
		printf("%s%02x", i % 8 ? "" : " ", sent[i]);
	printf(": %s, allowed", got ? strerrorname_np(got) : "done");
	for (int i = 0; i < allowed->count; i++)
		printf(" %s", allowed->errnos[i] ? strerrorname_np(allowed->errnos[i]) : "done");
	printf("%s%s\n", *why ? "; " : "", why);
	fflush(stdout);
	_exit(1);
}

/* Enters a success in the books. @returns what is wrong with the answer, empty if nothing is. */
static const char *note(const struct target *target, unsigned long request, const unsigned char *sent,
			const unsigned char *answer)
{
	const struct holdfast_lease *lease = (const void *)answer, *asked = (const void *)sent;
	const struct holdfast_owner *owner = (const void *)sent;
	const struct holdfast_pin *pin = (const void *)answer;
	const struct holdfast_query *query = (const void *)answer;
	const struct holdfast_info *info = (const void *)answer;
	int holder = target->kind == ON_FILE ? -1 : target->index, ofd = target->kind == ON_FILE ? ofd_of[target->index] : -1;
	struct own_lease *own;
	struct own_pin *pinned;
	__u64 id, end;

	memcpy(&id, sent, sizeof id);
	switch (request) {
	case HOLDFAST_SETLEASE:
		own = lease_of(ofd, lease->id);
		if (asked->id ? lease->id != asked->id : own != NULL)
			return "another id";
		if (!own) {
			own = &leases[lease_count++];
			*own = (struct own_lease){ .id = lease->id, .start = asked->start, .ofd = ofd,
						   .file = file_of[target->index], .is_owner = true };
			range_of(asked->start, asked->length, &own->end);
			shared[process] = own->id;
		}
		own->mode = asked->mode;
		own->flags = asked->flags & HOLDFAST_LEASE_EXCLUSIVE;
		/* fall through */
	case HOLDFAST_GETLEASE:
		own = request == HOLDFAST_GETLEASE ? lease_after(ofd, id) : lease_of(ofd, lease->id);
		range_of(lease->start, lease->length, &end);
		if (lease->id != own->id || lease->start != own->start || end != own->end)
			return "another lease, or another range";
		if (lease->mode != own->mode || lease->flags != own->flags)
			return "another mode or level";
		if (lease->state < HOLDFAST_STATE_ACTIVE || lease->state > HOLDFAST_STATE_REVOKED)
			return "no such state";
		if (lease->pins != (uint32_t)pins_under(own->id))
			return "another number of pins";
		return all_zero(lease->reserved, sizeof lease->reserved) ? "" : "reserved words in an answer";
	case HOLDFAST_RELEASE:
		for (int i = lease_count - 1; i >= 0; i--)
			if (leases[i].ofd == ofd && (!id || leases[i].id == id))
				leases[i] = leases[--lease_count];
		return "";
	case HOLDFAST_SETOWN:
		own = lease_of(ofd, owner->lease);
		*(owner->pid ? &own->is_parent_owner : &own->is_owner) = owner->op == HOLDFAST_OWNER_ADD;
		return "";
	case HOLDFAST_PIN:
		pinned = pin_of(holder, pin->id);
		if (!pinned) {
			pinned = &pins[pin_count++];
			*pinned = (struct own_pin){ .id = pin->id, .lease = pin->lease, .start = pin->start, .holder = holder };
			range_of(pin->start, pin->length, &pinned->end);
		}
		return pin->count == ++pinned->count ? "" : "another count";
	case HOLDFAST_UNPIN:
		pinned = pin_of(holder, id);
		if (!--pinned->count)
			*pinned = pins[--pin_count];
		return "";
	case HOLDFAST_QUERY:
		if (query->error && query->error != ETXTBSY && query->error != EDEADLK && query->error != EAGAIN)
			return "no such answer of QUERY";
		return !query->error == !query->lease && !query->command[15] ? "" : "half an answer of QUERY";
	case HOLDFAST_INFO:
		return info->version == 1 && !strcmp(info->control, control) ? "" : "another INFO";
	}
	return "a success without a meaning";
}

/* Room is made before it is needed, by requests that must succeed. */
static void make_room(void)
{
	while (pin_count > PINS_MAX - 2) {
		struct own_pin *last = &pins[pin_count - 1];

		if (holdfast_unpin(last->holder < 0 ? files[0] : contexts[last->holder], last->id))
			die("UNPIN");
		if (!--last->count)
			pin_count--;
	}
	for (int i = lease_count - 1; lease_count > LEASES_MAX - 2 && i >= 0; i--) {
		if (pins_under(leases[i].id))
			continue;
		if (holdfast_release(files[leases[i].ofd], leases[i].id))
			die("RELEASE");
		leases[i] = leases[--lease_count];
	}
}

static struct target some_target(void)
{
	unsigned which = below(100), index;

	if (which < 75) {
		index = below(FILES);
		return (struct target){ .kind = ON_FILE, .fd = files[index], .index = (int)index, .name = "a file" };
	}
	if (which < 88) {
		index = below(CONTEXTS);
		return (struct target){ .kind = ON_CONTEXT, .fd = contexts[index], .index = (int)index,
					.name = "a pin context" };
	}
	return others[below((unsigned)other_count)];
}

static unsigned long some_request(void)
{
	unsigned long request = REQUESTS[below(8)];
	unsigned which = below(20);

	if (which == 0)
		return (request & ~(0x3ffful << 16)) | (unsigned long)(below(2) ? below(256) : below(16384)) << 16;
	if (which == 1)
		return (request & ~(3ul << 30)) | (unsigned long)below(4) << 30;
	if (which == 2)
		return (request & ~0xfful) | below(256);
	if (which == 3) /* as a 32-bit program with smaller fields would write it */
		return _IOC(_IOC_DIR(request), 'H', _IOC_NR(request), _IOC_SIZE(request) / 2);
	return request;
}

static int number_of(unsigned long request)
{
	int number = 0;

	while (number < 8 && REQUESTS[number] != request)
		number++;
	return number;
}

/* One line for each request: its name, then how often which errno. */
static void print_tally(void)
{
	static const char *const names[] = { "SETLEASE", "RELEASE", "GETLEASE", "SETOWN", "PIN",
					     "UNPIN",	 "QUERY",   "INFO",	"OTHER" };

	for (int number = 0; number <= 8; number++) {
		printf("%s", names[number]);
		for (int value = 0; value < ERRNOS_MAX; value++)
			if (tally[number][value])
				printf(" %s=%u", value ? strerrorname_np(value) : "done", tally[number][value]);
		printf("\n");
	}
}

/* A pointer that cannot hold the argument: every byte of it is out of reach, or only the last. */
static void *bad_pointer(unsigned size)
{
	switch (below(5)) {
	case 0:
		return NULL;
	case 1:
		return (void *)(uintptr_t)0xffff888000000000ull;
	case 2:
		return (void *)(uintptr_t)UINTPTR_MAX;
	case 3:
		return edge + PAGE;
	default:
		return edge + PAGE - size + 1;
	}
}

static void one_request(void)
{
	static unsigned char sent[16384] __attribute__((aligned(8)));
	static unsigned char buffer[16384] __attribute__((aligned(8)));
	struct target target = some_target();
	unsigned long request = some_request();
	unsigned size = _IOC_SIZE(request);
	void *pointer = buffer;
	struct set allowed;
	const char *wrong;
	int got;

	memset(sent, 0, sizeof sent);
	fill(request, sent);
	if (chance(5))
		for (unsigned i = 0; i < size; i++)
			sent[i] = (unsigned char)random64();
	if (!memcmp(&request, &REQUESTS[0], sizeof request) && only_bad)
		((struct holdfast_lease *)sent)->flags &= ~(uint32_t)(HOLDFAST_LEASE_WAIT | HOLDFAST_LEASE_START);
	memcpy(buffer, sent, sizeof buffer);

	allowed = expect(&target, request, sent);
	if (size && chance(6)) {
		pointer = bad_pointer(size);
		if (target.kind != ON_OTHER && _IOC_DIR(request) != _IOC_NONE) {
			/* What is read is read before anybody is asked; what is only written, after. */
			if (_IOC_DIR(request) & _IOC_WRITE || has(&allowed, 0))
				allowed = only(EFAULT);
		} else
			allow(&allowed, EFAULT);
	} else if ((request == HOLDFAST_GETLEASE || request == HOLDFAST_QUERY) && chance(5)) {
		mprotect(read_only, PAGE, PROT_READ | PROT_WRITE);
		memcpy(read_only, sent, size);
		mprotect(read_only, PAGE, PROT_READ);
		pointer = read_only;
		if (target.kind != ON_OTHER && has(&allowed, 0))
			allowed = only(EFAULT);
	} else if (size <= PAGE && chance(10)) {
		pointer = edge + PAGE - size; /* not a byte more than announced */
		memcpy(pointer, sent, size);
	}
	if (only_bad && (has(&allowed, 0) || has(&allowed, EAGAIN)))
		return;

	got = ioctl(target.fd, request, pointer) == 0 ? 0 : errno;
	__atomic_fetch_add(&tally[number_of(request)][got % ERRNOS_MAX], 1, __ATOMIC_RELAXED);
	if (!has(&allowed, got))
		failed(&target, request, sent, got, &allowed, "");
	if (got == 0 && target.kind != ON_OTHER) {
		wrong = note(&target, request, sent, pointer);
		if (*wrong)
			failed(&target, request, sent, got, &allowed, wrong);
	} else if (pointer == buffer && memcmp(buffer, sent, sizeof buffer))
		failed(&target, request, sent, got, &allowed, "a failure wrote into the argument");
}

/* Changes of the files themselves, so that leases are broken and refuse. The descriptor does not wait. */
static void one_change(void)
{
	int fd = files[4 + below(2)], got = 0;
	struct pollfd entry = { .fd = fd, .events = POLLIN | POLLPRI };

	switch (below(4)) {
	case 0:
		got = ftruncate(fd, (off_t)below(16) * PAGE);
		break;
	case 1:
		got = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)below(8) * PAGE, PAGE);
		break;
	case 2:
		got = pwrite(fd, "x", 1, (off_t)below(16) * PAGE) == 1 ? 0 : -1;
		break;
	case 3:
		if (poll(&entry, 1, 0) < 1 || !(entry.revents & POLLIN) || entry.revents & POLLNVAL)
			die("poll");
	}
	if (got && errno != EAGAIN && errno != ETXTBSY && errno != EDEADLK)
		die("a change of a file");
}

static int must(int fd, const char *what)
{
	if (fd < 0)
		die(what);
	return fd;
}

static void add_other(const char *name, int fd, int errno_value, int or_errno)
{
	struct target *other = &others[other_count++];

	*other = (struct target){ .kind = ON_OTHER, .fd = fd, .name = name, .allowed = only(errno_value) };
	if (or_errno)
		allow(&other->allowed, or_errno);
}

static int at(const char *place, const char *name, int flags)
{
	char path[4096];

	snprintf(path, sizeof path, "%s/%s", place, name);
	return must(open(path, flags), path);
}

/* Everything that is not a file of the mount; none of them may take a request for one of its own. */
static void open_others(void)
{
	int sockets[2];

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), "socketpair");
	other_count = 0;
	add_other("a closed descriptor", 999, EBADF, 0);
	add_other("descriptor -1", -1, EBADF, 0);
	add_other("an O_PATH descriptor", at(directory, "a", O_PATH), EBADF, 0);
	add_other("a symlink", at(directory, "link", O_PATH | O_NOFOLLOW), EBADF, 0);
	add_other("a directory", at(directory, "", O_RDONLY | O_DIRECTORY), ENOTTY, 0);
	add_other("a fifo", at(directory, "fifo", O_RDWR), ENOTTY, 0);
	add_other("a device", must(open("/dev/null", O_RDWR), "/dev/null"), ENOTTY, 0);
	add_other("/dev/zero", must(open("/dev/zero", O_RDWR), "/dev/zero"), ENOTTY, 0);
	add_other("/proc", must(open("/proc/self/maps", O_RDONLY), "/proc"), ENOTTY, 0);
	add_other("a memfd", must(memfd_create("x", 0), "memfd"), ENOTTY, 0);
	add_other("a socket", sockets[0], ENOTTY, EINVAL);
	add_other("version", at(control, "version", O_RDONLY), ENOTTY, 0);
	add_other("leases", at(control, "leases", O_RDONLY), ENOTTY, 0);
	add_other("events", at(control, "events", O_RDONLY), ENOTTY, 0);
	add_other("ctl", at(control, "ctl", O_RDWR), ENOTTY, 0);
	add_other("pins", at(control, "pins", O_RDONLY | O_DIRECTORY), ENOTTY, 0);
	add_other("the control directory", at(control, "", O_RDONLY | O_DIRECTORY), ENOTTY, 0);
}

static void open_files(void)
{
	static const struct {
		const char *name;
		int flags, file;
	} table[FILES] = { { "a", O_RDWR, 0 },
			   { "a", O_RDONLY, 0 },
			   { NULL, 0, 0 },
			   { "b", O_RDWR, 1 },
			   { "b", O_RDWR | O_NONBLOCK, 1 },
			   { "a", O_RDWR | O_NONBLOCK, 0 } };

	for (int i = 0; i < FILES; i++) {
		files[i] = table[i].name ? at(directory, table[i].name, table[i].flags) : must(dup(files[0]), "dup");
		ofd_of[i] = table[i].name ? i : 0;
		file_of[i] = table[i].file;
	}
	for (int i = 0; i < CONTEXTS; i++)
		contexts[i] = at(control, "pinctx", O_RDWR);
}

/* What the requests of `bad` must leave alone; the children have the descriptors, but are no owners. */
static void hold_something(void)
{
	for (int i = 0; i < FILES; i++) {
		struct holdfast_lease lease;
		uint32_t flags = i % 2 ? 0 : HOLDFAST_LEASE_EXCLUSIVE;
		__u64 pin;

		holdfast_lease_init(&lease, HOLDFAST_LEASE_READ, flags);
		lease.start = (__u64)i * PAGE;
		must(holdfast_lease_set(files[i], &lease), "SETLEASE");
		leases[lease_count++] = (struct own_lease){ .id = lease.id, .start = lease.start, .end = UINT64_MAX,
							    .mode = HOLDFAST_LEASE_READ, .flags = flags, .ofd = ofd_of[i],
							    .file = file_of[i], .is_parent_owner = true };
		if (i != 2)
			continue;
		must(holdfast_pin_range(files[i], lease.id, lease.start, PAGE, &pin), "PIN");
		pins[pin_count++] = (struct own_pin){ .id = pin, .lease = lease.id, .holder = -2, .count = 1 };
		must(holdfast_pin_range(contexts[0], lease.id, lease.start, PAGE, &pin), "PIN");
		pins[pin_count++] = (struct own_pin){ .id = pin, .lease = lease.id, .holder = 0, .count = 1 };
	}
}

static void on_alarm(int signo)
{
	(void)signo;
}

static int child(int steps)
{
	struct sigaction action = { .sa_handler = on_alarm };
	sigset_t alarm_only;
	struct itimerval often = { .it_interval = { .tv_usec = 20000 }, .it_value = { .tv_usec = 20000 } };

	state = (seed + 1) * 0x9e3779b97f4a7c15ull + (__u64)process * 0xbf58476d1ce4e5b9ull;
	/* The alarm ends the waits of WAIT. */
	sigaction(SIGALRM, &action, NULL);
	sigemptyset(&alarm_only);
	sigaddset(&alarm_only, SIGALRM);
	sigprocmask(SIG_UNBLOCK, &alarm_only, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	if (!only_bad)
		open_files();
	open_others();
	for (step = 0; step < steps; step++) {
		if (!only_bad)
			make_room();
		if (!only_bad && chance(4))
			one_change();
		else
			one_request();
	}
	return 0;
}

static void wait_for_line(const char *said)
{
	char byte;

	printf("%s\n", said);
	fflush(stdout);
	while (read(0, &byte, 1) == 1 && byte != '\n')
		;
}

int main(int argc, char **argv)
{
	sigset_t all;
	int bad_count = 0, status;

	if (argc != 7)
		return 64;
	only_bad = !strcmp(argv[1], "bad");
	directory = argv[2];
	control = argv[3];
	seed = strtoull(argv[4], NULL, 0);
	int processes = atoi(argv[5]), steps = atoi(argv[6]);

	/* SETOWN may ask for any signal, for us or our children: none of them is to arrive. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	tally = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	edge = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	read_only = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(edge + PAGE, PAGE, PROT_NONE);
	if (only_bad) {
		process = -1;
		open_files();
		hold_something();
		wait_for_line("ready");
	}
	fflush(stdout);
	for (process = 0; process < processes; process++)
		if (fork() == 0)
			_exit(child(steps));
	for (int i = 0; i < processes; i++)
		bad_count += wait(&status) < 0 || status != 0;
	if (bad_count) {
		printf("HOLDFAST_SEED=%llu: %d of %d processes failed\n", (unsigned long long)seed, bad_count, processes);
		return 1;
	}
	print_tally();
	if (only_bad)
		wait_for_line("done");
	else
		printf("done\n");
	return 0;
}

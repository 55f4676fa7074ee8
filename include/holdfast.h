/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layout leases and pins for programs in C, C++ and every language that can call ioctl(2).
 *
 * Open a file on a Holdfast mount and ask on its descriptor:
 *
 *     __u64 lease;
 *     if (holdfast_lease_whole(fd, HOLDFAST_LEASE_READ, HOLDFAST_LEASE_EXCLUSIVE, &lease) == 0)
 *             ...  nobody takes bytes of this file away until holdfast_release() or the last close
 *
 * Reserved fields and unknown flag bits must be zero, else EINVAL. On a file that is not Holdfast's every
 * request fails with ENOTTY. What leases and pins promise: docs/SEMANTICS.md. The functions at the end are
 * short ways to write the ioctls; the structs and numbers are the interface, and are enough by themselves.
 */
#ifndef HOLDFAST_H
#define HOLDFAST_H

#include <errno.h>
#include <fcntl.h>
#include <linux/ioctl.h>
#include <linux/types.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

/* holdfast_lease.mode */
#define HOLDFAST_LEASE_READ 1  /* tell me of layout changes, or forbid them */
#define HOLDFAST_LEASE_WRITE 2 /* I alone change this layout */

/* holdfast_lease.flags */
#define HOLDFAST_LEASE_EXCLUSIVE 1   /* in, out: cannot be broken: changes fail with ETXTBSY */
#define HOLDFAST_LEASE_WAIT 2        /* in: wait until conflicting leases are gone */
#define HOLDFAST_LEASE_START 4       /* in: break conflicting leases, do not wait; POLLPRI tells when to retry */
#define HOLDFAST_LEASE_NOTIFY_ONLY 8 /* out: its owners are told of changes, but nobody waits for them */

/* holdfast_lease.state */
#define HOLDFAST_STATE_ACTIVE 1
#define HOLDFAST_STATE_BREAKING 2
#define HOLDFAST_STATE_ZOMBIE 3
#define HOLDFAST_STATE_REVOKED 4

struct holdfast_lease {
	__u64 id;       /* in: 0 for a new lease, else the one to change; out: its id */
	__u64 start;    /* bytes; fixed once the lease is taken */
	__u64 length;   /* bytes; 0 to the end of the file, wherever that is */
	__u32 mode;     /* HOLDFAST_LEASE_READ or HOLDFAST_LEASE_WRITE */
	__u32 flags;    /* HOLDFAST_LEASE_EXCLUSIVE ... */
	__u32 state;    /* out: HOLDFAST_STATE_... */
	__u32 pins;     /* out: how many pins need it */
	__u32 break_ms; /* in: break time, 0 for the mount's; out: what is left of it while breaking */
	__u32 reserved[5];
};

/* holdfast_owner.op */
#define HOLDFAST_OWNER_ADD 1 /* or change its signal */
#define HOLDFAST_OWNER_REMOVE 2

struct holdfast_owner {
	__u64 lease;
	__u32 op;
	__s32 signo; /* sent when the lease is broken; 0 for none */
	__s32 value; /* arrives as si_value.sival_int; put the descriptor number there */
	__s32 pid;   /* 0 for the caller, else the pid of the caller's parent */
};

struct holdfast_pin {
	__u64 id;    /* out */
	__u64 lease; /* an active exclusive lease that covers the range */
	__u64 start;
	__u64 length; /* bytes; 0 to the end */
	__u32 count;  /* out: how many unpins it takes */
	__u32 reserved;
};

/* holdfast_query.op */
#define HOLDFAST_QUERY_TRUNCATE 1
#define HOLDFAST_QUERY_PUNCH 2
#define HOLDFAST_QUERY_ZERO 3

struct holdfast_query {
	__u64 start;
	__u64 length;
	__u32 op;
	__s32 error; /* out: 0, ETXTBSY, EDEADLK, or EAGAIN for "would wait" */
	__u64 lease; /* out: because of which lease */
	__s32 pid;   /* out: one of its owners, 0 if there is none */
	__u32 reserved;
	char command[16]; /* out: its name */
};

struct holdfast_info {
	__u32 version;
	__u32 features; /* HOLDFAST_FEATURE_... */
	__u64 mount;
	char control[112]; /* the control directory, a string */
};

#define HOLDFAST_FEATURE_PASSTHROUGH 1 /* reads, writes and mappings go past the daemon */
#define HOLDFAST_FEATURE_WAIT 2        /* HOLDFAST_LEASE_WAIT */
#define HOLDFAST_FEATURE_START 4       /* HOLDFAST_LEASE_START */
#define HOLDFAST_FEATURE_QUERY 8       /* HOLDFAST_QUERY */

#define HOLDFAST_SETLEASE _IOWR('H', 1, struct holdfast_lease)
#define HOLDFAST_RELEASE _IOW('H', 2, __u64) /* a lease id; 0: all leases of this open file description */
#define HOLDFAST_GETLEASE _IOWR('H', 3, struct holdfast_lease) /* the one with the next id; ENOENT after the last */
#define HOLDFAST_SETOWN _IOW('H', 4, struct holdfast_owner)
#define HOLDFAST_PIN _IOWR('H', 5, struct holdfast_pin) /* on a file: for the process; on pinctx: for that */
#define HOLDFAST_UNPIN _IOW('H', 6, __u64)              /* a pin id; on any file of the mount, or the pinctx */
#define HOLDFAST_QUERY _IOWR('H', 7, struct holdfast_query)
#define HOLDFAST_INFO _IOR('H', 8, struct holdfast_info)

/*
 * The functions return what the system call below them does: 0 (holdfast_open: a descriptor), or -1 with the
 * reason in errno. `fd` is a file on a Holdfast mount, open in any mode.
 */

/* A lease to fill in further (start, length, break_ms) and to take with holdfast_lease_set. */
static inline void holdfast_lease_init(struct holdfast_lease *lease, __u32 mode, __u32 flags)
{
	memset(lease, 0, sizeof *lease);
	lease->mode = mode;
	lease->flags = flags;
}

/* Takes a lease (id 0) or changes mode and level of one; `lease` then says what it has become. */
static inline int holdfast_lease_set(int fd, struct holdfast_lease *lease)
{
	return ioctl(fd, HOLDFAST_SETLEASE, lease);
}

/* Takes a lease on the whole file, however long it becomes. */
static inline int holdfast_lease_whole(int fd, __u32 mode, __u32 flags, __u64 *id)
{
	struct holdfast_lease lease;

	holdfast_lease_init(&lease, mode, flags);
	if (holdfast_lease_set(fd, &lease) != 0)
		return -1;
	*id = lease.id;
	return 0;
}

/* Changes mode and level of a lease, in one step; its range stays. */
static inline int holdfast_lease_change(int fd, __u64 id, __u32 mode, __u32 flags)
{
	struct holdfast_lease lease;

	holdfast_lease_init(&lease, mode, flags);
	lease.id = id;
	return holdfast_lease_set(fd, &lease);
}

/*
 * The lease of this open file description that follows `lease->id`: from a zeroed struct on, call it until it
 * fails with ENOENT.
 */
static inline int holdfast_lease_next(int fd, struct holdfast_lease *lease)
{
	return ioctl(fd, HOLDFAST_GETLEASE, lease);
}

/* Gives up a lease; id 0: all leases of this open file description, or none of them. */
static inline int holdfast_release(int fd, __u64 id)
{
	return ioctl(fd, HOLDFAST_RELEASE, &id);
}

/*
 * The calling process becomes an owner, or chooses another signal (0: none). `value` arrives in
 * si_value.sival_int; the number of the descriptor is a good one.
 */
static inline int holdfast_own(int fd, __u64 lease, int signo, int value)
{
	struct holdfast_owner owner;

	memset(&owner, 0, sizeof owner);
	owner.lease = lease;
	owner.op = HOLDFAST_OWNER_ADD;
	owner.signo = signo;
	owner.value = value;
	return ioctl(fd, HOLDFAST_SETOWN, &owner);
}

/* The calling process is no owner any more; the lease stays. */
static inline int holdfast_disown(int fd, __u64 lease)
{
	struct holdfast_owner owner;

	memset(&owner, 0, sizeof owner);
	owner.lease = lease;
	owner.op = HOLDFAST_OWNER_REMOVE;
	return ioctl(fd, HOLDFAST_SETOWN, &owner);
}

/*
 * Pins bytes under an exclusive lease that covers them; length 0 is "to the end". `fd` is the leased file (the
 * pin is the process's) or a pin context, see holdfast_open.
 */
static inline int holdfast_pin_range(int fd, __u64 lease, __u64 start, __u64 length, __u64 *id)
{
	struct holdfast_pin pin;

	memset(&pin, 0, sizeof pin);
	pin.lease = lease;
	pin.start = start;
	pin.length = length;
	if (ioctl(fd, HOLDFAST_PIN, &pin) != 0)
		return -1;
	*id = pin.id;
	return 0;
}

/* Undoes one holdfast_pin_range, on any file of the mount or on the pin context. */
static inline int holdfast_unpin(int fd, __u64 pin)
{
	return ioctl(fd, HOLDFAST_UNPIN, &pin);
}

/* Would this change (HOLDFAST_QUERY_...) go ahead? See query->error. To ask about a truncate to N: start N. */
static inline int holdfast_query_change(int fd, __u32 op, __u64 start, __u64 length, struct holdfast_query *query)
{
	memset(query, 0, sizeof *query);
	query->op = op;
	query->start = start;
	query->length = length;
	return ioctl(fd, HOLDFAST_QUERY, query);
}

static inline int holdfast_info_get(int fd, struct holdfast_info *info)
{
	memset(info, 0, sizeof *info);
	return ioctl(fd, HOLDFAST_INFO, info);
}

/*
 * Opens a file of the control directory that belongs to `fd`'s mount: "pinctx" (O_RDWR) for a new pin context,
 * "events" (O_RDONLY) to be told what happens. Give O_CLOEXEC where it must not be inherited.
 */
static inline int holdfast_open(int fd, const char *name, int flags)
{
	struct holdfast_info info;
	char path[sizeof info.control + 32];
	int length;

	if (holdfast_info_get(fd, &info) != 0)
		return -1;
	length = snprintf(path, sizeof path, "%.*s/%s", (int)sizeof info.control, info.control, name);
	if (length < 0 || (size_t)length >= sizeof path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return open(path, flags);
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layout leases and pins for programs in C, C++ and every language that can call ioctl(2).
 *
 * Open a file on a Holdfast mount and ask on its descriptor:
 *
 *     struct holdfast_lease lease = { .mode = HOLDFAST_LEASE_READ, .flags = HOLDFAST_LEASE_EXCLUSIVE };
 *     if (ioctl(fd, HOLDFAST_SETLEASE, &lease) == 0)
 *             ...  nobody takes bytes of this file away until HOLDFAST_RELEASE or the last close
 *
 * Reserved fields and unknown flag bits must be zero, else EINVAL. On a file that is not Holdfast's every
 * request fails with ENOTTY. What leases and pins promise: docs/SEMANTICS.md.
 */
#ifndef HOLDFAST_H
#define HOLDFAST_H

#include <linux/ioctl.h>
#include <linux/types.h>

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

#endif

/**
 * Constants of FUSE 7.45 under their C names (include/uapi/linux/fuse.h), grouped as the protocol uses them.
 * Tested against `test/data/fuse-protocol.json`. 64-bit values are bigint.
 */

/** The protocol version spoken here. */
export const FUSE_KERNEL_VERSION = 7
export const FUSE_KERNEL_MINOR_VERSION = 45
/**
 * The oldest minor accepted: 7.31 is Linux 5.4. Since 7.28 a request can carry up to 1 MiB (FUSE_MAX_PAGES), and
 * since 7.23 all structs that Holdfast answers with have their present size.
 */
export const OLDEST_MINOR_VERSION = 31
/** The nodeid of the root, which may be a directory or a regular file. */
export const FUSE_ROOT_ID = 1
/** Set in `unique` of a request that is sent again after FUSE_NOTIFY_RESEND (7.40). */
export const FUSE_UNIQUE_RESEND = 0x8000_0000_0000_0000n
/** `uid` and `gid` of a caller that the mount's id mapping does not know (FUSE_ALLOW_IDMAP). */
export const FUSE_INVALID_UIDGID = 0xffff_ffff

/** INIT flags as one value: bits 0-31 travel in `flags`, 32-63 in `flags2` (with FUSE_INIT_EXT). */
export const INIT_FLAGS = {
  FUSE_ASYNC_READ: 1n << 0n,
  FUSE_POSIX_LOCKS: 1n << 1n,
  FUSE_FILE_OPS: 1n << 2n,
  FUSE_ATOMIC_O_TRUNC: 1n << 3n,
  FUSE_EXPORT_SUPPORT: 1n << 4n,
  FUSE_BIG_WRITES: 1n << 5n,
  FUSE_DONT_MASK: 1n << 6n,
  FUSE_SPLICE_WRITE: 1n << 7n,
  FUSE_SPLICE_MOVE: 1n << 8n,
  FUSE_SPLICE_READ: 1n << 9n,
  FUSE_FLOCK_LOCKS: 1n << 10n,
  FUSE_HAS_IOCTL_DIR: 1n << 11n,
  FUSE_AUTO_INVAL_DATA: 1n << 12n,
  FUSE_DO_READDIRPLUS: 1n << 13n,
  FUSE_READDIRPLUS_AUTO: 1n << 14n,
  FUSE_ASYNC_DIO: 1n << 15n,
  FUSE_WRITEBACK_CACHE: 1n << 16n,
  FUSE_NO_OPEN_SUPPORT: 1n << 17n,
  FUSE_PARALLEL_DIROPS: 1n << 18n,
  FUSE_HANDLE_KILLPRIV: 1n << 19n,
  FUSE_POSIX_ACL: 1n << 20n,
  FUSE_ABORT_ERROR: 1n << 21n,
  FUSE_MAX_PAGES: 1n << 22n,
  FUSE_CACHE_SYMLINKS: 1n << 23n,
  FUSE_NO_OPENDIR_SUPPORT: 1n << 24n,
  FUSE_EXPLICIT_INVAL_DATA: 1n << 25n,
  FUSE_MAP_ALIGNMENT: 1n << 26n,
  FUSE_SUBMOUNTS: 1n << 27n,
  FUSE_HANDLE_KILLPRIV_V2: 1n << 28n,
  FUSE_SETXATTR_EXT: 1n << 29n,
  FUSE_INIT_EXT: 1n << 30n,
  FUSE_INIT_RESERVED: 1n << 31n,
  FUSE_SECURITY_CTX: 1n << 32n,
  FUSE_HAS_INODE_DAX: 1n << 33n,
  FUSE_CREATE_SUPP_GROUP: 1n << 34n,
  FUSE_HAS_EXPIRE_ONLY: 1n << 35n,
  FUSE_DIRECT_IO_ALLOW_MMAP: 1n << 36n,
  FUSE_PASSTHROUGH: 1n << 37n,
  FUSE_NO_EXPORT_SUPPORT: 1n << 38n,
  FUSE_HAS_RESEND: 1n << 39n,
  FUSE_ALLOW_IDMAP: 1n << 40n,
  FUSE_OVER_IO_URING: 1n << 41n,
  FUSE_REQUEST_TIMEOUT: 1n << 42n,
} as const

/** Flags of an OPEN, CREATE or OPENDIR reply. */
export const FOPEN_FLAGS = {
  FOPEN_DIRECT_IO: 1,
  FOPEN_KEEP_CACHE: 2,
  FOPEN_NONSEEKABLE: 4,
  FOPEN_CACHE_DIR: 8,
  FOPEN_STREAM: 16,
  FOPEN_NOFLUSH: 32,
  FOPEN_PARALLEL_DIRECT_WRITES: 64,
  FOPEN_PASSTHROUGH: 128,
} as const

/** Which fields of SETATTR count. */
export const FATTR_FLAGS = {
  FATTR_MODE: 1,
  FATTR_UID: 2,
  FATTR_GID: 4,
  FATTR_SIZE: 8,
  FATTR_ATIME: 16,
  FATTR_MTIME: 32,
  FATTR_FH: 64,
  FATTR_ATIME_NOW: 128,
  FATTR_MTIME_NOW: 256,
  FATTR_LOCKOWNER: 512,
  FATTR_CTIME: 1024,
  FATTR_KILL_SUIDGID: 2048,
} as const

/** GETATTR and STATX. */
export const GETATTR_FLAGS = {
  FUSE_GETATTR_FH: 1,
} as const

/** OPEN and CREATE requests. */
export const OPEN_IN_FLAGS = {
  FUSE_OPEN_KILL_SUIDGID: 1,
} as const

/** RELEASE and RELEASEDIR. */
export const RELEASE_FLAGS = {
  FUSE_RELEASE_FLUSH: 1,
  FUSE_RELEASE_FLOCK_UNLOCK: 2,
} as const

/** GETLK, SETLK and SETLKW. */
export const LOCK_FLAGS = {
  FUSE_LK_FLOCK: 1,
} as const

/** READ. */
export const READ_FLAGS = {
  FUSE_READ_LOCKOWNER: 2,
} as const

/** WRITE. */
export const WRITE_FLAGS = {
  FUSE_WRITE_CACHE: 1,
  FUSE_WRITE_LOCKOWNER: 2,
  FUSE_WRITE_KILL_SUIDGID: 4,
} as const

/** FSYNC and FSYNCDIR. */
export const FSYNC_FLAGS = {
  FUSE_FSYNC_FDATASYNC: 1,
} as const

/** SETXATTR, with FUSE_SETXATTR_EXT. */
export const SETXATTR_FLAGS = {
  FUSE_SETXATTR_ACL_KILL_SGID: 1,
} as const

/** IOCTL. */
export const IOCTL_FLAGS = {
  FUSE_IOCTL_COMPAT: 1,
  FUSE_IOCTL_UNRESTRICTED: 2,
  FUSE_IOCTL_RETRY: 4,
  FUSE_IOCTL_32BIT: 8,
  FUSE_IOCTL_DIR: 16,
  FUSE_IOCTL_COMPAT_X32: 32,
} as const

/** POLL. */
export const POLL_FLAGS = {
  FUSE_POLL_SCHEDULE_NOTIFY: 1,
} as const

/** `fuse_attr.flags`. */
export const ATTR_FLAGS = {
  FUSE_ATTR_SUBMOUNT: 1,
  FUSE_ATTR_DAX: 2,
} as const

/** FUSE_NOTIFY_INVAL_ENTRY. */
export const INVAL_ENTRY_FLAGS = {
  FUSE_EXPIRE_ONLY: 1,
} as const

/** Codes of notifications, in `error` of the reply header. */
export const NOTIFY_CODES = {
  FUSE_NOTIFY_POLL: 1,
  FUSE_NOTIFY_INVAL_INODE: 2,
  FUSE_NOTIFY_INVAL_ENTRY: 3,
  FUSE_NOTIFY_STORE: 4,
  FUSE_NOTIFY_RETRIEVE: 5,
  FUSE_NOTIFY_DELETE: 6,
  FUSE_NOTIFY_RESEND: 7,
  FUSE_NOTIFY_INC_EPOCH: 8,
  FUSE_NOTIFY_PRUNE: 9,
} as const

/** Sizes: the smallest read buffer, sizes of structs in older minors, limits, and room in a ring entry. */
export const SIZES = {
  FUSE_IOCTL_MAX_IOV: 256,
  FUSE_MIN_READ_BUFFER: 8192,
  FUSE_COMPAT_ENTRY_OUT_SIZE: 120,
  FUSE_COMPAT_ATTR_OUT_SIZE: 96,
  FUSE_COMPAT_MKNOD_IN_SIZE: 8,
  FUSE_COMPAT_WRITE_IN_SIZE: 24,
  FUSE_COMPAT_STATFS_SIZE: 48,
  FUSE_COMPAT_SETXATTR_IN_SIZE: 8,
  FUSE_COMPAT_INIT_OUT_SIZE: 8,
  FUSE_COMPAT_22_INIT_OUT_SIZE: 24,
  FUSE_URING_IN_OUT_HEADER_SZ: 128,
  FUSE_URING_OP_IN_OUT_SZ: 128,
} as const

/** Requests of ioctl(2) on the device. */
export const DEVICE_IOCTLS = {
  FUSE_DEV_IOC_CLONE: 0x8004e500,
  FUSE_DEV_IOC_BACKING_OPEN: 0x4010e501,
  FUSE_DEV_IOC_BACKING_CLOSE: 0x4004e502,
} as const

/** Types in `fuse_ext_header`; those up to FUSE_MAX_NR_SECCTX are a `fuse_secctx_header`. */
export const EXTENSION_TYPES = {
  FUSE_MAX_NR_SECCTX: 31,
  FUSE_EXT_GROUPS: 32,
} as const

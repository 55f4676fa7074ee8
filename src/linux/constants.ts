/** Constants of the system interface, under their C names. Values of x86-64 and arm64 unless split. */
const arm = process.arch === 'arm64'

export const AT_FDCWD = -100
export const AT_EMPTY_PATH = 0x1000
export const AT_HANDLE_FID = 0x200
export const AT_SYMLINK_NOFOLLOW = 0x100
export const AT_SYMLINK_FOLLOW = 0x400
export const AT_REMOVEDIR = 0x200
export const AT_NO_AUTOMOUNT = 0x800
export const AT_STATX_SYNC_AS_STAT = 0

export const O_RDONLY = 0
export const O_WRONLY = 1
export const O_RDWR = 2
export const O_ACCMODE = 3
export const O_CREAT = 0o100
export const O_EXCL = 0o200
export const O_NOCTTY = 0o400
export const O_TRUNC = 0o1000
export const O_APPEND = 0o2000
export const O_NONBLOCK = 0o4000
export const O_DSYNC = 0o10000
export const O_DIRECT = arm ? 0o200000 : 0o40000
export const O_LARGEFILE = arm ? 0o400000 : 0o100000
export const O_DIRECTORY = arm ? 0o40000 : 0o200000
export const O_NOFOLLOW = arm ? 0o100000 : 0o400000
export const O_NOATIME = 0o1000000
export const O_CLOEXEC = 0o2000000
export const O_SYNC = 0o4010000
export const O_PATH = 0o10000000
/** Without O_DIRECTORY, which open(2) wants beside it. */
export const __O_TMPFILE = 0o20000000

export const S_IFMT = 0o170000
export const S_IFSOCK = 0o140000
export const S_IFLNK = 0o120000
export const S_IFREG = 0o100000
export const S_IFBLK = 0o060000
export const S_IFDIR = 0o040000
export const S_IFCHR = 0o020000
export const S_IFIFO = 0o010000
export const S_ISUID = 0o4000
export const S_ISGID = 0o2000
export const S_ISVTX = 0o1000

export const RENAME_NOREPLACE = 1
export const RENAME_EXCHANGE = 2
export const RENAME_WHITEOUT = 4

export const FALLOC_FL_KEEP_SIZE = 0x01
export const FALLOC_FL_PUNCH_HOLE = 0x02
export const FALLOC_FL_COLLAPSE_RANGE = 0x08
export const FALLOC_FL_ZERO_RANGE = 0x10
export const FALLOC_FL_INSERT_RANGE = 0x20
export const FALLOC_FL_UNSHARE_RANGE = 0x40
export const FALLOC_FL_WRITE_ZEROES = 0x80

export const SEEK_SET = 0
export const SEEK_CUR = 1
export const SEEK_END = 2
export const SEEK_DATA = 3
export const SEEK_HOLE = 4

export const UTIME_NOW = 0x3fffffff
export const UTIME_OMIT = 0x3ffffffe

export const F_DUPFD = 0
export const F_GETFD = 1
export const F_SETFD = 2
export const F_GETFL = 3
export const F_SETFL = 4
export const F_SETSIG = 10
export const F_OFD_GETLK = 36
export const F_OFD_SETLK = 37
export const F_SETLEASE = 1024
export const F_GETLEASE = 1025
export const F_DUPFD_CLOEXEC = 1030
export const F_RDLCK = 0
export const F_WRLCK = 1
export const F_UNLCK = 2
export const FD_CLOEXEC = 1

export const SIGKILL = 9
export const SIGUSR1 = 10
export const SIGUSR2 = 12
export const SIGCONT = 18
export const SIGSTOP = 19
export const SIGURG = 23
export const SIGIO = 29

export const LOCK_SH = 1
export const LOCK_EX = 2
export const LOCK_NB = 4
export const LOCK_UN = 8

export const POLLIN = 0x001
export const POLLPRI = 0x002
export const POLLOUT = 0x004
export const POLLERR = 0x008
export const POLLHUP = 0x010
export const POLLNVAL = 0x020
export const POLLRDNORM = 0x040
export const POLLWRNORM = 0x100

export const MNT_FORCE = 1
export const MNT_DETACH = 2
export const UMOUNT_NOFOLLOW = 8

export const OPEN_TREE_CLONE = 1
export const OPEN_TREE_CLOEXEC = O_CLOEXEC
export const MOVE_MOUNT_F_EMPTY_PATH = 4
export const MOVE_MOUNT_T_EMPTY_PATH = 0x40

export const EFD_CLOEXEC = O_CLOEXEC
export const EFD_NONBLOCK = O_NONBLOCK

export const IN_MODIFY = 0x2
export const IN_ATTRIB = 0x4
export const IN_CLOSE_WRITE = 0x8
export const IN_CLOSE_NOWRITE = 0x10
export const IN_MOVE_SELF = 0x800
export const IN_CLOEXEC = O_CLOEXEC
export const IN_NONBLOCK = O_NONBLOCK

export const FAN_CLOEXEC = 1
export const FAN_NONBLOCK = 2
export const FAN_REPORT_FID = 0x200
export const FAN_MARK_ADD = 1
export const FAN_MARK_REMOVE = 2

export const RWF_NOWAIT = 8
export const RWF_APPEND = 16

export const POSIX_FADV_WILLNEED = 3

export const CAP_FOWNER = 3
export const CAP_FSETID = 4
export const CAP_KILL = 5
export const CAP_SYS_ADMIN = 21
export const CAP_SYS_RESOURCE = 24

export const MOUNT_ATTR_RDONLY = 1
export const MOUNT_ATTR_NOSUID = 2
export const MOUNT_ATTR_NODEV = 4
export const MOUNT_ATTR_NOEXEC = 8
export const RESOLVE_CACHED = 0x20

export const RLIMIT_NOFILE = 7

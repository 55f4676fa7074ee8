/**
 * System calls as they are: descriptors, NUL-terminated byte strings, results or negative errnos. The file
 * system uses these where a failure is an ordinary answer (a name that does not exist) and an exception
 * would cost more than the call. Everybody else takes the throwing forms of `files.ts` and its neighbours.
 */
import { bind, bindSyscall } from './libc.js'

type Bytes = Uint8Array
type Path = Uint8Array

export const openat = bind<[number, Path, number, number]>('openat', 'int', ['int', 'ptr', 'int', 'uint'])
export const close = bind<[number]>('close', 'int', ['int'])
export const read = bind<[number, Bytes, number]>('read', 'int64', ['int', 'ptr', 'uint64'])
export const write = bind<[number, Bytes, number]>('write', 'int64', ['int', 'ptr', 'uint64'])
/** The iovec array as pairs of address and length. */
export const writev = bind<[number, BigUint64Array, number]>('writev', 'int64', ['int', 'ptr', 'int'])
export const pread = bind<[number, Bytes, number, number]>('pread', 'int64', [
  'int',
  'ptr',
  'uint64',
  'int64',
])
export const pwrite = bind<[number, Bytes, number, number]>('pwrite', 'int64', [
  'int',
  'ptr',
  'uint64',
  'int64',
])
export const preadv2 = bind<[number, BigUint64Array, number, number, number]>('preadv2', 'int64', [
  'int',
  'ptr',
  'int',
  'int64',
  'int',
])
export const pwritev2 = bind<[number, BigUint64Array, number, number, number]>('pwritev2', 'int64', [
  'int',
  'ptr',
  'int',
  'int64',
  'int',
])
export const statx = bind<[number, Path, number, number, Bytes]>('statx', 'int', [
  'int',
  'ptr',
  'int',
  'uint',
  'ptr',
])
export const mkdirat = bind<[number, Path, number]>('mkdirat', 'int', ['int', 'ptr', 'uint'])
/** `rdev` as makedev(3) makes it. */
export const mknodat = bind<[number, Path, number, number]>('mknodat', 'int', [
  'int',
  'ptr',
  'uint',
  'uint64',
])
export const unlinkat = bind<[number, Path, number]>('unlinkat', 'int', ['int', 'ptr', 'int'])
export const renameat2 = bind<[number, Path, number, Path, number]>('renameat2', 'int', [
  'int',
  'ptr',
  'int',
  'ptr',
  'uint',
])
export const linkat = bind<[number, Path, number, Path, number]>('linkat', 'int', [
  'int',
  'ptr',
  'int',
  'ptr',
  'int',
])
export const symlinkat = bind<[Path, number, Path]>('symlinkat', 'int', ['ptr', 'int', 'ptr'])
export const readlinkat = bind<[number, Path, Bytes, number]>('readlinkat', 'int64', [
  'int',
  'ptr',
  'ptr',
  'uint64',
])
export const fchmodat = bind<[number, Path, number, number]>('fchmodat', 'int', ['int', 'ptr', 'uint', 'int'])
/** uid or gid 0xffffffff leaves it as it is. */
export const fchownat = bind<[number, Path, number, number, number]>('fchownat', 'int', [
  'int',
  'ptr',
  'uint',
  'uint',
  'int',
])
/** `times`: two struct timespec, 32 bytes. */
export const utimensat = bind<[number, Path | null, Bytes, number]>('utimensat', 'int', [
  'int',
  'ptr',
  'ptr',
  'int',
])
/** Needs no writable descriptor: the path may be one of /proc/self/fd that leads to an O_PATH descriptor. */
export const truncate = bind<[Path, number]>('truncate', 'int', ['ptr', 'int64'])
export const ftruncate = bind<[number, number]>('ftruncate', 'int', ['int', 'int64'])
export const fallocate = bind<[number, number, number, number]>('fallocate', 'int', [
  'int',
  'int',
  'int64',
  'int64',
])
export const lseek = bind<[number, number, number]>('lseek', 'int64', ['int', 'int64', 'int'])
/** Positions in directories are opaque 63-bit numbers (ext4's are hashes): a `number` would round them. */
export const lseekOpaque = bind<[number, bigint, number]>('lseek', 'int64', ['int', 'int64', 'int'])
/** Offsets are 8-byte buffers that the call reads and moves. */
export const copyFileRange = bind<[number, Bytes, number, Bytes, number, number]>(
  'copy_file_range',
  'int64',
  ['int', 'ptr', 'int', 'ptr', 'uint64', 'uint'],
)
/** Returns a positive errno. */
export const posixFadvise = bind<[number, number, number, number]>('posix_fadvise', 'int', [
  'int',
  'int64',
  'int64',
  'int',
])
export const fsync = bind<[number]>('fsync', 'int', ['int'])
export const fdatasync = bind<[number]>('fdatasync', 'int', ['int'])
export const syncfs = bind<[number]>('syncfs', 'int', ['int'])
/** `struct statfs`, 120 bytes. */
export const fstatfs = bind<[number, Bytes]>('fstatfs', 'int', ['int', 'ptr'])
export const getdents64 = bind<[number, Bytes, number]>('getdents64', 'int64', ['int', 'ptr', 'uint64'])
export const setxattr = bind<[Path, Path, Bytes, number, number]>('setxattr', 'int', [
  'ptr',
  'ptr',
  'ptr',
  'uint64',
  'int',
])
export const getxattr = bind<[Path, Path, Bytes | null, number]>('getxattr', 'int64', [
  'ptr',
  'ptr',
  'ptr',
  'uint64',
])
export const listxattr = bind<[Path, Bytes | null, number]>('listxattr', 'int64', ['ptr', 'ptr', 'uint64'])
/** Of a symlink itself, where the last name of the path is one. */
export const llistxattr = bind<[Path, Bytes | null, number]>('llistxattr', 'int64', ['ptr', 'ptr', 'uint64'])
export const removexattr = bind<[Path, Path]>('removexattr', 'int', ['ptr', 'ptr'])
/** `handle`: struct file_handle with room for 128 bytes; `mountId`: 4 bytes. */
export const nameToHandleAt = bind<[number, Path, Bytes, Bytes, number]>('name_to_handle_at', 'int', [
  'int',
  'ptr',
  'ptr',
  'ptr',
  'int',
])
export const openByHandleAt = bind<[number, Bytes, number]>('open_by_handle_at', 'int', ['int', 'ptr', 'int'])
export const fcntl = bind<[number, number, number]>('fcntl', 'int', ['int', 'int', 'int64'])
/** `lock`: struct flock, 32 bytes. */
export const fcntlLock = bind<[number, number, Bytes]>('fcntl', 'int', ['int', 'int', 'ptr'])
export const flock = bind<[number, number]>('flock', 'int', ['int', 'int'])
export const ioctl = bind<[number, number, Bytes]>('ioctl', 'int', ['int', 'uint64', 'ptr'])
/** `usage`: struct rusage, 144 bytes. */
export const getrusage = bind<[number, Bytes]>('getrusage', 'int', ['int', 'ptr'])
/** Of the calling thread. */
export const unshare = bind<[number]>('unshare', 'int', ['int'])
export const umask = bind<[number]>('umask', 'int', ['uint'])
/** `fds`: 8 bytes each, struct pollfd. */
export const poll = bind<[Bytes, number, number]>('poll', 'int', ['ptr', 'uint64', 'int'])
export const eventfd = bind<[number, number]>('eventfd', 'int', ['uint', 'int'])
export const pipe2 = bind<[Bytes, number]>('pipe2', 'int', ['ptr', 'int'])
export const dup3 = bind<[number, number, number]>('dup3', 'int', ['int', 'int', 'int'])
export const inotifyInit1 = bind<[number]>('inotify_init1', 'int', ['int'])
export const inotifyAddWatch = bind<[number, Path, number]>('inotify_add_watch', 'int', [
  'int',
  'ptr',
  'uint',
])
export const inotifyRmWatch = bind<[number, number]>('inotify_rm_watch', 'int', ['int', 'int'])
export const fanotifyInit = bind<[number, number]>('fanotify_init', 'int', ['uint', 'uint'])
export const fanotifyMark = bind<[number, number, number, number, Path]>('fanotify_mark', 'int', [
  'int',
  'uint',
  'uint64',
  'int',
  'ptr',
])
export const chdir = bind<[Path]>('chdir', 'int', ['ptr'])
export const setsid = bind<[]>('setsid', 'int', [])
export const kill = bind<[number, number]>('kill', 'int', ['int', 'int'])
export const getpid = bind<[]>('getpid', 'int', [])
export const getppid = bind<[]>('getppid', 'int', [])
/** Of the whole process: glibc tells all threads. */
export const setresuid = bind<[number, number, number]>('setresuid', 'int', ['uint', 'uint', 'uint'])
export const setresgid = bind<[number, number, number]>('setresgid', 'int', ['uint', 'uint', 'uint'])
export const prctl = bind<[number, number]>('prctl', 'int', ['int', 'uint64'])
/** See `forkProcess`, which is what makes it work in Node. */
export const fork = bind<[]>('fork', 'int', [])
export const exit = bind<[number]>('_exit', 'int', ['int'])
/** The arrays hold addresses, 0 at their end. */
export const execve = bind<[Path, BigUint64Array, BigUint64Array]>('execve', 'int', ['ptr', 'ptr', 'ptr'])
export const waitpid = bind<[number, Bytes | null, number]>('waitpid', 'int', ['int', 'ptr', 'int'])
/** `action`: struct sigaction of glibc, 152 bytes. */
export const sigaction = bind<[number, Bytes, Bytes | null]>('sigaction', 'int', ['int', 'ptr', 'ptr'])
/** Addresses come and go as numbers: user space ends below 2^53 on every architecture we know. */
export const mmap = bind<[null, number, number, number, number, number]>('mmap', 'int64', [
  'ptr',
  'uint64',
  'int',
  'int',
  'int',
  'int64',
])
export const munmap = bind<[number, number]>('munmap', 'int', ['uint64', 'uint64'])
export const mprotect = bind<[number, number, number]>('mprotect', 'int', ['uint64', 'uint64', 'int'])
export const madvise = bind<[number, number, number]>('madvise', 'int', ['uint64', 'uint64', 'int'])
export const socket = bind<[number, number, number]>('socket', 'int', ['int', 'int', 'int'])
/** `address`: struct sockaddr_un. */
export const bindSocket = bind<[number, Bytes, number]>('bind', 'int', ['int', 'ptr', 'uint'])
export const connect = bind<[number, Bytes, number]>('connect', 'int', ['int', 'ptr', 'uint'])
/** `message`: struct msghdr, 56 bytes. */
export const sendmsg = bind<[number, Bytes, number]>('sendmsg', 'int64', ['int', 'ptr', 'int'])
export const recvmsg = bind<[number, Bytes, number]>('recvmsg', 'int64', ['int', 'ptr', 'int'])
export const umount2 = bind<[Path, number]>('umount2', 'int', ['ptr', 'int'])
/** `limits`: two u64, soft and hard. */
export const prlimit = bind<[number, number, Bytes | null, Bytes | null]>('prlimit', 'int', [
  'int',
  'int',
  'ptr',
  'ptr',
])

/** `how`: struct open_how, 24 bytes. */
export const openat2 = bindSyscall<[number, Path, Uint8Array, number]>('openat2', [
  'int',
  'ptr',
  'ptr',
  'uint64',
])
export const openTree = bindSyscall<[number, Path, number]>('open_tree', ['int', 'ptr', 'uint'])
export const moveMount = bindSyscall<[number, Path, number, Path, number]>('move_mount', [
  'int',
  'ptr',
  'int',
  'ptr',
  'uint',
])
export const fsopen = bindSyscall<[Path, number]>('fsopen', ['ptr', 'uint'])
export const fsconfig = bindSyscall<[number, number, Path | null, Path | null, number]>('fsconfig', [
  'int',
  'uint',
  'ptr',
  'ptr',
  'int',
])
export const fsmount = bindSyscall<[number, number, number]>('fsmount', ['int', 'uint', 'uint'])
export const pidfdOpen = bindSyscall<[number, number]>('pidfd_open', ['int', 'uint'])
/** `info`: siginfo_t, 128 bytes; null sends what kill(2) would. */
export const pidfdSendSignal = bindSyscall<[number, number, Bytes | null, number]>('pidfd_send_signal', [
  'int',
  'int',
  'ptr',
  'uint',
])
/** These five change the calling thread only: glibc's wrappers of the same name change all threads. */
export const setfsuid = bindSyscall<[number]>('setfsuid', ['uint'])
export const setfsgid = bindSyscall<[number]>('setfsgid', ['uint'])
/** `groups`: u32 each. */
export const setgroups = bindSyscall<[number, Bytes | null]>('setgroups', ['uint64', 'ptr'])
export const capget = bindSyscall<[Bytes, Bytes]>('capget', ['ptr', 'ptr'])
export const capset = bindSyscall<[Bytes, Bytes]>('capset', ['ptr', 'ptr'])
export const epollCreate1 = bind<[number]>('epoll_create1', 'int', ['int'])
/** `event`: struct epoll_event, 12 bytes packed on x86-64, 16 elsewhere. */
export const epollCtl = bind<[number, number, number, Bytes]>('epoll_ctl', 'int', [
  'int',
  'int',
  'int',
  'ptr',
])
export const epollWait = bind<[number, Bytes, number, number]>('epoll_wait', 'int', [
  'int',
  'ptr',
  'int',
  'int',
])

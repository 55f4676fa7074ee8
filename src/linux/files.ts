/** File system calls that throw a LinuxError when they fail. Paths are bytes; descriptors are numbers. */
import { Errno } from '../lib/errno.js'
import * as c from './constants.js'
import { check, LinuxError } from './error.js'
import { cstr } from './libc.js'
import * as raw from './raw.js'
import { Statx } from './stat.js'

export type Path = string | Uint8Array

/** No path is longer, its NUL included. */
const PATH_MAX = 4096

/** Opens a path relative to `dirfd` (AT_FDCWD for the working directory); close-on-exec always. */
export function openat(dirfd: number, path: Path, flags: number, mode = 0): number {
  return check(raw.openat(dirfd, cstr(path), flags | c.O_CLOEXEC, mode), 'openat', path)
}

export function open(path: Path, flags: number, mode = 0): number {
  return openat(c.AT_FDCWD, path, flags, mode)
}

/** Opens again, with other flags, the file behind an O_PATH (or any other) descriptor of this process. */
export function reopen(fd: number, flags: number): number {
  return open(procFd(fd), flags)
}

/** The path by which /proc names one of our own descriptors. It never leads through a mount. */
export function procFd(fd: number): string {
  return `/proc/self/fd/${fd}`
}

/** Closing never fails in a way that a caller could repair; a wrong descriptor is our bug. */
export function close(fd: number): void {
  const result = raw.close(fd)
  if (result === -Errno.EBADF) throw new LinuxError(Errno.EBADF, 'close')
}

export function statPath(path: Path, options: { follow: boolean }): Statx {
  const flags = c.AT_NO_AUTOMOUNT | (options.follow ? 0 : c.AT_SYMLINK_NOFOLLOW)
  return new Statx().read(c.AT_FDCWD, cstr(path), flags)
}

export function statFd(fd: number): Statx {
  return new Statx().read(fd, cstr(''), c.AT_EMPTY_PATH)
}

/** The target of a symlink as bytes. */
export function readlink(path: Path): Buffer {
  for (let size = 256; ; size *= 4) {
    const buffer = Buffer.allocUnsafe(size)
    const length = check(raw.readlinkat(c.AT_FDCWD, cstr(path), buffer, size), 'readlink', path)
    if (length < size) return buffer.subarray(0, length)
  }
}

/** The target of the symlink behind an O_PATH descriptor; null if it is none. No file system is asked whether it is. */
export function readlinkFd(fd: number): Buffer | null {
  const buffer = Buffer.allocUnsafe(PATH_MAX)
  const length = raw.readlinkat(fd, cstr(''), buffer, buffer.length)
  return length < 0 ? null : buffer.subarray(0, length)
}

/** Reads a whole file, also one of /proc that reports no size. */
export function readAll(fd: number): Buffer {
  const parts: Buffer[] = []
  for (;;) {
    const buffer = Buffer.allocUnsafe(65536)
    const length = check(raw.read(fd, buffer, buffer.length), 'read')
    if (length === 0) return Buffer.concat(parts)
    parts.push(buffer.subarray(0, length))
  }
}

export function readFile(path: Path): Buffer {
  const fd = open(path, c.O_RDONLY)
  try {
    return readAll(fd)
  } finally {
    close(fd)
  }
}

/** Like `readFile`, but null if the file (or the process it belongs to) is not there any more. */
export function readFileIfAny(path: Path): Buffer | null {
  try {
    return readFile(path)
  } catch (error) {
    if (error instanceof LinuxError && (error.code === 'ENOENT' || error.code === 'ESRCH')) return null
    throw error
  }
}

/** Writes everything; waits for a descriptor that does not block, as a terminal or pipe of others may be. */
export function writeAll(fd: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) {
    const result = raw.write(fd, bytes.subarray(done), bytes.length - done)
    if (result === -Errno.EAGAIN) waitWritable(fd)
    else if (result !== -Errno.EINTR) done += check(result, 'write')
  }
}

function waitWritable(fd: number): void {
  const entry = Buffer.alloc(8)
  entry.writeInt32LE(fd, 0)
  entry.writeInt16LE(c.POLLOUT, 4)
  const result = raw.poll(entry, 1, -1)
  if (result !== -Errno.EINTR) check(result, 'poll')
}

/** A pipe, close-on-exec. */
export function pipe(): { readEnd: number; writeEnd: number } {
  const fds = Buffer.alloc(8)
  check(raw.pipe2(fds, c.O_CLOEXEC), 'pipe2')
  return { readEnd: fds.readInt32LE(0), writeEnd: fds.readInt32LE(4) }
}

/** A lock of this kind on the whole file, as struct flock. */
function wholeFile(type: number): Buffer {
  const lock = Buffer.alloc(32)
  lock.writeInt16LE(type, 0)
  return lock
}

/**
 * Takes a write lock of this open file description (fcntl(2), F_OFD_SETLK) without waiting. It goes with the
 * last descriptor. @returns false if somebody else has a lock.
 */
export function tryWriteLock(fd: number): boolean {
  const result = raw.fcntlLock(fd, c.F_OFD_SETLK, wholeFile(c.F_WRLCK))
  if (result === -Errno.EAGAIN || result === -Errno.EACCES) return false
  check(result, 'fcntl')
  return true
}

/**
 * Does somebody else hold a write lock? A descriptor for reading is enough to ask, and not enough to take a
 * write lock: whoever may only read the file cannot pretend.
 */
export function isWriteLocked(fd: number): boolean {
  const lock = wholeFile(c.F_RDLCK)
  check(raw.fcntlLock(fd, c.F_OFD_GETLK, lock), 'fcntl')
  return lock.readInt16LE(0) === c.F_WRLCK
}

/** The same lock as `lock`, if it can be had at once. */
export function tryLock(fd: number): boolean {
  const result = raw.flock(fd, c.LOCK_EX | c.LOCK_NB)
  if (result === -Errno.EAGAIN) return false
  check(result, 'flock')
  return true
}

/** Takes an advisory lock and waits for it. */
export function lock(fd: number): void {
  let result: number
  do result = raw.flock(fd, c.LOCK_EX)
  while (result === -Errno.EINTR)
  check(result, 'flock')
}

/**
 * Does anybody else have this file open? `fd` must be the only descriptor of a fresh read-only open: then a
 * momentary write lease can be had exactly when it is the only one in the whole system, descriptors in flight
 * and in io_uring tables included (fcntl(2), F_SETLEASE).
 * @returns null where the file system or our privileges do not allow to ask.
 */
export function isOpenElsewhere(fd: number): boolean | null {
  // Whoever opens the file in the moment between breaks the lease, and the signal for that would end us if it
  // were the usual SIGIO. SIGURG is ignored unless somebody asks for it.
  if (raw.fcntl(fd, c.F_SETSIG, c.SIGURG) < 0) return null
  const result = raw.fcntl(fd, c.F_SETLEASE, c.F_WRLCK)
  if (result === -Errno.EAGAIN) return true
  if (result < 0) return null
  check(raw.fcntl(fd, c.F_SETLEASE, c.F_UNLCK), 'fcntl')
  return false
}

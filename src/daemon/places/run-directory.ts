/** Where the run directory is, and whether what has its name is ours. */
import { accessSync, chmodSync, constants, lstatSync, mkdirSync, statSync } from 'node:fs'
import * as c from '../../linux/constants.js'
import { close, open, procFd, readAll, statFd } from '../../linux/files.js'
import { readNamespace } from '../../linux/processes.js'
import * as raw from '../../linux/raw.js'
import { isType, type Statx } from '../../linux/stat.js'

/**
 * `/run/holdfast` for root, `$XDG_RUNTIME_DIR/holdfast` for everybody else; a directory of the user's own in /tmp
 * where that is not set, or is not theirs (as after su, which keeps the variable).
 */
export function runDirectory(uid = process.geteuid?.() ?? 0): string {
  if (uid === 0) return '/run/holdfast'
  const bases = [process.env.XDG_RUNTIME_DIR ?? '', `/run/user/${uid}`]
  const base = bases.find((directory) => directory.startsWith('/') && isOwn(directory, uid))
  return base === undefined ? `/tmp/holdfast-${uid}` : `${base}/holdfast`
}

function isOwn(directory: string, uid: number): boolean {
  try {
    accessSync(directory, constants.W_OK | constants.X_OK)
    const stat = statSync(directory)
    return stat.isDirectory() && stat.uid === uid
  } catch {
    return false // Not there, or not for us: another place is looked for.
  }
}

/** Is the run directory in /tmp, because this session has no runtime directory? */
export function isMakeshift(directory = runDirectory()): boolean {
  return directory.startsWith('/tmp/')
}

/** The name of the run directory in /tmp has been taken by somebody else. */
export class RunDirectoryError extends Error {}

/** In /tmp anybody may take the name: what has it must be a directory that only we can put anything into. */
export function refuseForeign(stat: Statx, directory: string): void {
  if (!isMakeshift(directory)) return
  const problem = !isType(stat.mode, c.S_IFDIR)
    ? `is ${isType(stat.mode, c.S_IFLNK) ? 'a symlink' : 'no directory'}`
    : stat.uid !== process.geteuid?.()
      ? `belongs to uid ${stat.uid}`
      : (stat.mode & 0o022) !== 0
        ? 'can be written to by others'
        : null
  if (problem === null) return
  const advice = 'have it removed, or set XDG_RUNTIME_DIR to a directory of yours'
  throw new RunDirectoryError(`${directory}: it ${problem}, so Holdfast keeps nothing there: ${advice}`)
}

/**
 * Makes it where it is not there. Everybody must get through root's to the control directories, whatever the umask of
 * the first user of it. @returns a descriptor (O_PATH) of what was found to be ours.
 */
export function openRunDirectory(directory: string): number {
  const isThere = lstatSync(directory, { throwIfNoEntry: false }) !== undefined
  const isNew = !isThere && mkdirSync(directory, { recursive: true, mode: 0o755 }) !== undefined
  const fd = open(directory, c.O_PATH | (isMakeshift(directory) ? c.O_NOFOLLOW : 0))
  try {
    refuseForeign(statFd(fd), directory)
    if (isNew) chmodSync(procFd(fd), 0o755)
    return fd
  } catch (error) {
    close(fd)
    throw error
  }
}

/**
 * Says in a lock file who has the lock. Where there is no room for it, nobody will be told which process it is, and
 * that is all.
 */
export function notePid(lockFd: number): void {
  const bytes = Buffer.from(`${process.pid} ${readNamespace('self', 'pid')}\n`)
  forgetPid(lockFd)
  raw.pwrite(lockFd, bytes, bytes.length, 0)
}

/** To be called before the lock is let go: nobody has it then. */
export function forgetPid(lockFd: number): void {
  raw.ftruncate(lockFd, 0)
}

/** Who has the lock of this file; null if that is not known, or has no number in our pid namespace. */
export function notedPid(lockFd: number): number | null {
  const [pid = '', namespace] = readAll(lockFd).toString('latin1').trim().split(' ')
  return namespace === readNamespace('self', 'pid') ? Number(pid) : null
}

export function isGone(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}

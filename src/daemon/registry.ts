/**
 * The run directory: which engines there are. Engine N has the control directory `N/`, where its control
 * mount sits, and the file `N.lock`, which it keeps locked while it lives. A lock that can be had belongs to
 * an engine that is dead, whatever /proc or its mount say; asking never touches a mount and so never hangs. In
 * it stands the engine's pid, for people: nothing is decided by it.
 */
import {
  accessSync,
  chmodSync,
  constants,
  lstatSync,
  mkdirSync,
  readdirSync,
  rmdirSync,
  statSync,
  unlinkSync,
} from 'node:fs'
import * as c from '../linux/constants.js'
import { LinuxError } from '../linux/error.js'
import {
  close,
  isWriteLocked,
  lock,
  open,
  openat,
  procFd,
  readAll,
  statFd,
  statPath,
  tryLock,
  tryWriteLock,
} from '../linux/files.js'
import { FusermountError, removeMount } from '../linux/fusermount.js'
import { type MountInfo, readMounts } from '../linux/mounts.js'
import { readNamespace } from '../linux/processes.js'
import * as raw from '../linux/raw.js'
import { isType, type Statx } from '../linux/stat.js'

export const DATA_TYPE = 'fuse.holdfast'
export const CONTROL_TYPE = 'fuse.holdfast-control'

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
function refuseForeign(stat: Statx, directory: string): void {
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
function openRunDirectory(directory: string): number {
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

/** Held while somebody decides what to mount, so that two runs of one file do not both mount over it. */
export function withRunLock<T>(action: () => T, directory = runDirectory()): T {
  for (;;) {
    const fd = openRunLock(directory)
    try {
      if (!isRunLock(fd, directory)) continue
      try {
        return action()
      } finally {
        tidyUp(directory)
      }
    } finally {
      close(fd)
    }
  }
}

/** How often in a row the directory may be removed in the moment between making and using it. */
const REMOVED_MAX = 20

/** Waits for the lock, which may be of a file that has been removed by then: see `isRunLock`. */
function openRunLock(directory: string): number {
  for (let removedCount = 0; ; removedCount++) {
    let fd: number
    try {
      fd = makeRunLock(directory)
    } catch (error) {
      if (isGone(error) && removedCount < REMOVED_MAX) continue
      throw error
    }
    lock(fd)
    return fd
  }
}

function makeRunLock(directory: string): number {
  const directoryFd = openRunDirectory(directory)
  try {
    return openat(directoryFd, 'lock', c.O_RDWR | c.O_CREAT | c.O_NOFOLLOW, 0o600)
  } catch (error) {
    // The name alone says nothing to whoever reads the message.
    throw error instanceof LinuxError ? new LinuxError(error.errno, 'openat', `${directory}/lock`) : error
  } finally {
    close(directoryFd)
  }
}

function isGone(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}

/**
 * Only the file that has the name now is the lock. Its name goes while it is locked: whoever waited for it then has
 * the lock of a file that nobody else will ever open, and must ask for the new one. Somebody else may have put a
 * directory of theirs in the place of one that was removed; from now on only whoever has the lock removes ours.
 */
function isRunLock(fd: number, directory: string): boolean {
  try {
    refuseForeign(statPath(directory, { follow: false }), directory)
    return statPath(`${directory}/lock`, { follow: false }).ino === statFd(fd).ino
  } catch (error) {
    if (isGone(error)) return false
    throw error
  }
}

/**
 * Takes a run directory in /tmp away when nothing is left in it but the lock, which the caller has; the others go
 * with the session or the machine.
 */
function tidyUp(directory: string): void {
  if (!isMakeshift(directory)) return
  try {
    if (readdirSync(directory).some((name) => name !== 'lock')) return
    unlinkSync(`${directory}/lock`)
    rmdirSync(directory)
  } catch {
    // Somebody has begun anew in it: it is theirs to tidy up.
  }
}

/** A place of our own in the run directory, ours as long as this process lives or until `remove`. */
export interface Registration {
  readonly number: number
  /** The control directory. */
  readonly control: string
  /** Removes the place; the control mount must be gone. */
  remove(): void
}

/** Call it under `withRunLock`. */
export function register(directory = runDirectory()): Registration {
  for (let number = 0; ; number++) {
    const control = `${directory}/${number}`
    // Everybody may read it, and so ask whether the engine lives; only its owner may write.
    const lockFd = open(`${control}.lock`, c.O_RDWR | c.O_CREAT, 0o644)
    if (!tryWriteLock(lockFd)) {
      close(lockFd)
      continue
    }
    notePid(lockFd)
    mkdirSync(control, { recursive: true, mode: 0o755 })
    const remove = () => {
      removePlace(control)
      close(lockFd)
      tidyUpUnlocked(directory)
    }
    return { number, control, remove }
  }
}

/** Where there is no room for it, nobody will be told which process it is, and that is all. */
function notePid(lockFd: number): void {
  const bytes = Buffer.from(`${process.pid} ${readNamespace('self', 'pid')}\n`)
  raw.ftruncate(lockFd, 0)
  raw.write(lockFd, bytes, bytes.length)
}

/** The process behind a control directory; null if that is not known, or has no number in our pid namespace. */
export function enginePid(control: string): number | null {
  let fd: number
  try {
    fd = open(`${control}.lock`, c.O_RDONLY | c.O_NONBLOCK)
  } catch (error) {
    if (error instanceof LinuxError) return null
    throw error
  }
  try {
    const [pid = '', namespace] = readAll(fd).toString('latin1').trim().split(' ')
    return namespace === readNamespace('self', 'pid') ? Number(pid) : null
  } finally {
    close(fd)
  }
}

/**
 * The same without the lock. It is not waited for: who has it may be asking this engine something. They tidy up when
 * they are done.
 */
function tidyUpUnlocked(directory: string): void {
  if (!isMakeshift(directory)) return
  let fd: number
  try {
    fd = open(`${directory}/lock`, c.O_RDWR | c.O_NOFOLLOW)
  } catch {
    return // Nothing to tidy up, or nothing of ours.
  }
  try {
    if (tryLock(fd) && isRunLock(fd, directory)) tidyUp(directory)
  } catch (error) {
    if (!(error instanceof RunDirectoryError)) throw error
  } finally {
    close(fd)
  }
}

/** Is the engine behind this control directory alive? null: nothing is known of it. */
export function isAlive(control: string): boolean | null {
  let fd: number
  try {
    // An ordinary user chooses the source of a mount: it must not be able to keep us waiting.
    fd = open(`${control}.lock`, c.O_RDONLY | c.O_NONBLOCK)
  } catch (error) {
    if (error instanceof LinuxError && error.code === 'ENOENT') return null
    throw error
  }
  try {
    return isWriteLocked(fd)
  } finally {
    close(fd)
  }
}

/** Is it a mount of ours, data or control? Its source is the control directory of its engine. */
export function isHoldfast(mount: MountInfo): boolean {
  return mount.type === DATA_TYPE || mount.type === CONTROL_TYPE
}

/**
 * Whose mount is it: root's or our own? Of others nothing is to be learnt, and they could have given any name as its
 * source.
 */
function isTrusted(mount: MountInfo): boolean {
  const owner = ownerOf(mount)
  return owner === 0 || owner === process.geteuid?.()
}

/** Who mounted it. FUSE shows it in every mount's options. */
export function ownerOf(mount: MountInfo): number | null {
  const option = mount.superOptions.find((text) => text.startsWith('user_id='))
  return option === undefined ? null : Number(option.slice('user_id='.length))
}

/** Mounts of other users, which nobody else can look into, root included. */
export function foreignMounts(): { readonly mountpoint: Buffer; readonly uid: number }[] {
  return readMounts()
    .filter((mount) => mount.type === DATA_TYPE && !isTrusted(mount))
    .map((mount) => ({ mountpoint: mount.mountpoint, uid: ownerOf(mount) ?? -1 }))
}

/** Control directories of the engines that live, of those this user can see. */
export function liveEngines(mounts = readMounts()): string[] {
  const controls = new Set<string>()
  for (const mount of mounts) {
    if (mount.type === CONTROL_TYPE && isTrusted(mount)) controls.add(mount.source.toString())
  }
  return [...controls].filter((control) => {
    try {
      return isAlive(control) === true
    } catch {
      // Another user's run directory: not ours to look into, and not ours to report.
      return false
    }
  })
}

/**
 * Removes what engines left that were killed: their mounts, topmost first, and their places. What cannot be
 * removed stays, and fails nothing: any command may come across it.
 * @returns the mountpoints that were freed.
 */
export function removeDead(directory = runDirectory()): Buffer[] {
  const mayRemove = (mount: MountInfo) => ownerOf(mount) === process.geteuid?.()
  const deadMounts = () => readMounts().filter((mount) => mayRemove(mount) && isDead(mount))
  if (deadMounts().length === 0 && deadPlaces(directory).length === 0) return []
  // Looked at again under the lock: while we look and unmount, nobody puts a new mount where a dead one was.
  return withRunLock(() => {
    const freed: Buffer[] = []
    for (const mount of deadMounts().reverse()) {
      if (tryUnmount(mount.mountpoint) && mount.type === DATA_TYPE) freed.push(mount.mountpoint)
    }
    for (const control of deadPlaces(directory)) removePlace(control)
    return freed
  }, directory)
}

function isDead(mount: MountInfo): boolean {
  try {
    return isHoldfast(mount) && isAlive(mount.source.toString()) === false
  } catch {
    return false // Another user's, not ours to ask about.
  }
}

/** @returns false if this user may not, or somebody else was faster. */
function tryUnmount(mountpoint: Buffer): boolean {
  try {
    removeMount(mountpoint, { lazy: true })
    return true
  } catch (error) {
    if (error instanceof LinuxError || error instanceof FusermountError) return false
    throw error
  }
}

/** Places of engines that are dead, and whose mounts are gone. */
function deadPlaces(directory: string): string[] {
  let names: string[]
  try {
    refuseForeign(statPath(directory, { follow: false }), directory)
    names = readdirSync(directory)
  } catch {
    return [] // No run directory, or none of ours: we have left nothing here.
  }
  const locks = names.filter((name) => /^\d+\.lock$/.test(name))
  if (locks.length === 0) return []
  const mounts = readMounts().filter(isHoldfast)
  const mounted = new Set(mounts.map((mount) => mount.source.toString()))
  return locks
    .map((name) => `${directory}/${name.slice(0, -'.lock'.length)}`)
    .filter((control) => !mounted.has(control) && isAlive(control) === false)
}

/** The directory first: as long as the lock file is there, somebody can find out that the engine is dead. */
function removePlace(control: string): void {
  for (const remove of [() => rmdirSync(control), () => unlinkSync(`${control}.lock`)]) {
    try {
      remove()
    } catch (error) {
      if (!isGone(error)) return // It will be found dead again by the next command.
    }
  }
}

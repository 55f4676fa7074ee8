/**
 * The run directory: which engines there are. Engine N has the control directory `N/`, where its control
 * mount sits, and the file `N.lock`, which it keeps locked while it lives. A lock that can be had belongs to
 * an engine that is dead, whatever /proc or its mount say; asking never touches a mount and so never hangs.
 */
import { chmodSync, mkdirSync, readdirSync, rmdirSync, unlinkSync } from 'node:fs'
import * as c from '../linux/constants.js'
import { LinuxError } from '../linux/error.js'
import { close, isWriteLocked, lock, open, tryWriteLock } from '../linux/files.js'
import { type MountInfo, readMounts, unmount } from '../linux/mounts.js'

export const DATA_TYPE = 'fuse.holdfast'
export const CONTROL_TYPE = 'fuse.holdfast-control'

/** `/run/holdfast` for root, `$XDG_RUNTIME_DIR/holdfast` for everybody else. */
export function runDirectory(uid = process.getuid?.() ?? 0): string {
  if (uid === 0) return '/run/holdfast'
  return `${process.env.XDG_RUNTIME_DIR ?? `/run/user/${uid}`}/holdfast`
}

/** Held while somebody decides what to mount, so that two runs of one file do not both mount over it. */
export function withRunLock<T>(action: () => T, directory = runDirectory()): T {
  // Everybody must get through it to the control directories, whatever the umask of the first user of it.
  if (mkdirSync(directory, { recursive: true }) !== undefined) chmodSync(directory, 0o755)
  const fd = open(`${directory}/lock`, c.O_RDWR | c.O_CREAT, 0o600)
  try {
    lock(fd)
    return action()
  } finally {
    close(fd)
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
    mkdirSync(control, { recursive: true, mode: 0o755 })
    const remove = () => {
      removePlace(control)
      close(lockFd)
    }
    return { number, control, remove }
  }
}

/** Is the engine behind this control directory alive? null: nothing is known of it. */
export function isAlive(control: string): boolean | null {
  let fd: number
  try {
    fd = open(`${control}.lock`, c.O_RDONLY)
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

/** Control directories of the engines that live, of those this user can see. */
export function liveEngines(mounts = readMounts()): string[] {
  const controls = new Set<string>()
  for (const mount of mounts) {
    if (mount.type === CONTROL_TYPE) controls.add(mount.source.toString())
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
  const isRoot = process.getuid?.() === 0
  const mayRemove = ({ source }: MountInfo) => isRoot || source.toString().startsWith(`${directory}/`)
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
    unmount(mountpoint, c.MNT_DETACH)
    return true
  } catch (error) {
    if (error instanceof LinuxError) return false
    throw error
  }
}

/** Places of engines that are dead, and whose mounts are gone. */
function deadPlaces(directory: string): string[] {
  let names: string[]
  try {
    names = readdirSync(directory)
  } catch {
    return [] // No run directory: nobody has ever run here.
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
      const isGone = error instanceof Error && 'code' in error && error.code === 'ENOENT'
      if (!isGone) return // It will be found dead again by the next command.
    }
  }
}

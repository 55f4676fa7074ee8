/**
 * The run directory: which engines there are. Engine N has the control directory `N/`, where its control
 * mount sits, and the file `N.lock`, which it keeps locked while it lives. A lock that can be had belongs to
 * an engine that is dead, whatever /proc or its mount say; asking never touches a mount and so never hangs.
 */
import { mkdirSync, readdirSync, rmdirSync, unlinkSync } from 'node:fs'
import * as c from '../linux/constants.js'
import { LinuxError } from '../linux/error.js'
import { close, lock, open, readFileIfAny, tryLock, writeAll } from '../linux/files.js'
import { type MountInfo, readMounts, unmount } from '../linux/mounts.js'

export const DATA_TYPE = 'fuse.holdfast'
export const CONTROL_TYPE = 'fuse.holdfast-control'

/** `/run/holdfast` for root, `$XDG_RUNTIME_DIR/holdfast` for everybody else. */
export function runDirectory(uid = process.getuid?.() ?? 0): string {
  if (uid === 0) return '/run/holdfast'
  return `${process.env.XDG_RUNTIME_DIR ?? `/run/user/${uid}`}/holdfast`
}

/** Held while somebody decides what to mount, so that two runs of one file do not both mount over it. */
export function withRunLock<T>(action: () => T): T {
  const directory = runDirectory()
  mkdirSync(directory, { recursive: true, mode: 0o755 })
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
export function register(): Registration {
  const directory = runDirectory()
  for (let number = 0; ; number++) {
    const control = `${directory}/${number}`
    // Everybody may read it, and so ask whether the engine lives; only its owner may write.
    const lockFd = open(`${control}.lock`, c.O_RDWR | c.O_CREAT, 0o644)
    if (!tryLock(lockFd, 'exclusive')) {
      close(lockFd)
      continue
    }
    writeAll(lockFd, Buffer.from(`${process.pid}\n`))
    mkdirSync(control, { recursive: true, mode: 0o755 })
    const remove = () => {
      rmdirSync(control)
      unlinkSync(`${control}.lock`)
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
    return !tryLock(fd, 'shared')
  } finally {
    close(fd)
  }
}

export function enginePid(control: string): number | null {
  const bytes = readFileIfAny(`${control}.lock`)
  return bytes === null ? null : Number(bytes.toString('latin1').trim().split('\n').at(-1))
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
 * Removes what engines left that were killed: their mounts, topmost first, and their places.
 * @returns the mountpoints that were freed.
 */
export function removeDead(): Buffer[] {
  const freed: Buffer[] = []
  const isDead = (mount: MountInfo) => {
    try {
      return isHoldfast(mount) && isAlive(mount.source.toString()) === false
    } catch {
      return false
    }
  }
  for (const mount of readMounts().filter(isDead).reverse()) {
    if (!tryUnmount(mount.mountpoint)) continue
    if (mount.type === DATA_TYPE) freed.push(mount.mountpoint)
  }
  removeDeadPlaces()
  return freed
}

/** @returns false if this user may not. */
function tryUnmount(mountpoint: Buffer): boolean {
  try {
    unmount(mountpoint, c.MNT_DETACH)
    return true
  } catch (error) {
    if (error instanceof LinuxError && (error.code === 'EPERM' || error.code === 'EINVAL')) return false
    throw error
  }
}

function removeDeadPlaces(): void {
  const directory = runDirectory()
  let names: string[]
  try {
    names = readdirSync(directory)
  } catch {
    return // No run directory: nobody has ever run here.
  }
  const mounted = new Set(
    readMounts()
      .filter(isHoldfast)
      .map((mount) => mount.source.toString()),
  )
  for (const name of names) {
    const number = /^(\d+)\.lock$/.exec(name)?.[1]
    const control = `${directory}/${number}`
    if (number === undefined || mounted.has(control) || isAlive(control) !== false) continue
    rmdirSync(control)
    unlinkSync(`${control}.lock`)
  }
}

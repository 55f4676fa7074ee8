/**
 * The run directory: which engines there are. Engine N has the control directory `N/`, where its control
 * mount sits, and the file `N.lock`, which it keeps locked while it lives. A lock that can be had belongs to
 * an engine that is dead, whatever /proc or its mount say; asking never touches a mount and so never hangs. In
 * it stands the engine's pid, for people: nothing is decided by it.
 */
import { mkdirSync, readdirSync, rmdirSync, unlinkSync } from 'node:fs'
import * as c from '../../linux/constants.js'
import { LinuxError } from '../../linux/error.js'
import { close, isWriteLocked, open, statPath, tryWriteLock } from '../../linux/files.js'
import { FusermountError, removeMount } from '../../linux/fusermount.js'
import { type MountInfo, readMounts } from '../../linux/mounts.js'
import { isGone, notedPid, notePid, refuseForeign, runDirectory } from './run-directory.js'
import { tidyUpUnlocked, withRunLock } from './run-lock.js'

export const DATA_TYPE = 'fuse.holdfast'
export const CONTROL_TYPE = 'fuse.holdfast-control'

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
    return notedPid(fd)
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

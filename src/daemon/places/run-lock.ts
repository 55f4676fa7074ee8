/**
 * The lock of the run directory, `lock`: one command at a time decides what to mount and what to remove. In it stands
 * the pid of who has it, for people.
 */
import { readdirSync, rmdirSync, unlinkSync } from 'node:fs'
import * as c from '../../linux/constants.js'
import { LinuxError } from '../../linux/error.js'
import { close, lock, open, openat, statFd, statPath, tryLock } from '../../linux/files.js'
import { explainStop, readStatus } from '../../linux/processes.js'
import * as raw from '../../linux/raw.js'
import {
  forgetPid,
  isGone,
  isMakeshift,
  notedPid,
  notePid,
  openRunDirectory,
  RunDirectoryError,
  refuseForeign,
  runDirectory,
} from './run-directory.js'

/** Held while somebody decides what to mount, so that two runs of one file do not both mount over it. */
export function withRunLock<T>(action: () => T, directory = runDirectory()): T {
  for (;;) {
    const fd = openRunLock(directory)
    try {
      if (!isRunLock(fd, directory)) continue
      notePid(fd)
      try {
        return action()
      } finally {
        tidyUp(directory)
        forgetPid(fd)
      }
    } finally {
      close(fd)
    }
  }
}

/** What takes longer is explained: mounting takes some tens of milliseconds. */
const SILENCE_MS = 1000
const LOOK_MS = 10

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
    if (!tryLockFor(fd, SILENCE_MS)) {
      tellWaiting(directory, notedPid(fd))
      lock(fd)
    }
    return fd
  }
}

function tryLockFor(fd: number, timeoutMs: number): boolean {
  const deadline = performance.now() + timeoutMs
  const never = new Int32Array(new SharedArrayBuffer(4))
  while (!tryLock(fd)) {
    if (performance.now() >= deadline) return false
    Atomics.wait(never, 0, 0, LOOK_MS)
  }
  return true
}

/** One line on standard error: whoever has stopped the other command, or looks at it in a debugger, must know. */
function tellWaiting(directory: string, pid: number | null): void {
  const status = pid === null ? null : readStatus(pid)
  const who = status === null ? 'another holdfast command' : `process ${pid} (${status.command})`
  const stop = status === null ? null : explainStop(status)
  const why = stop ?? 'is mounting or unmounting'
  const line = Buffer.from(`holdfast: waiting for ${who}, which ${why} (${directory}/lock)\n`)
  raw.write(2, line, line.length)
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

/**
 * Tidies up without the lock. It is not waited for: who has it may be asking this engine something. They tidy up when
 * they are done.
 */
export function tidyUpUnlocked(directory: string): void {
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

/** How the process that a launcher started in the background becomes an engine that is nobody's. */
import { readdirSync, readFileSync } from 'node:fs'
import * as c from '../../linux/constants.js'
import { check } from '../../linux/error.js'
import { close, open } from '../../linux/files.js'
import { cstr } from '../../linux/libc.js'
import { readDescriptorPath } from '../../linux/processes.js'
import * as raw from '../../linux/raw.js'

/** Descriptors that the launcher has open, but for the pipe on which it waits for our plan. */
export function launcherFds(launcher: number): Set<number> {
  const planPipe = readDescriptorPath('self', 1) ?? Buffer.alloc(0)
  const isPlanPipe = (fd: number) => readDescriptorPath(launcher, fd)?.equals(planPipe) ?? false
  const fds = readdirSync(`/proc/${launcher}/fd`).map(Number)
  return new Set(fds.filter((fd) => !isPlanPipe(fd)))
}

/**
 * Closes what we inherited. A pipe of COMMAND's that an engine kept open would never end for its reader.
 * Node's own descriptors took numbers that were free, so those that lead elsewhere than the launcher's are ours.
 */
function closeInherited(launcher: number): void {
  for (const fd of launcherFds(launcher)) {
    if (fd <= 2) continue
    const theirs = readDescriptorPath(launcher, fd)
    const ours = readDescriptorPath('self', fd)
    if (theirs !== null && ours !== null && theirs.equals(ours)) close(fd)
  }
}

/**
 * Descriptors of ours stand for what any number of programs have open, each of which has a limit of its own: ours
 * must not be met first. Root may go as far as the kernel does, others up to the hard limit.
 */
export function raiseFileLimit(): void {
  const limits = Buffer.alloc(16)
  const most = BigInt(readFileSync('/proc/sys/fs/nr_open', 'latin1').trim())
  limits.writeBigUInt64LE(most, 0)
  limits.writeBigUInt64LE(most, 8)
  if (raw.prlimit(0, c.RLIMIT_NOFILE, limits, null) === 0) return
  check(raw.prlimit(0, c.RLIMIT_NOFILE, null, limits), 'prlimit')
  limits.copyWithin(0, 8, 16)
  check(raw.prlimit(0, c.RLIMIT_NOFILE, limits, null), 'prlimit')
}

/**
 * Leaves the launcher's session, so that no signal of its terminal or process group reaches us, and its
 * directory, and lets go of its descriptors but for stdout (the plan) and stderr (errors and warnings).
 */
export function leaveLauncher(launcher: number): void {
  closeInherited(launcher)
  raw.setsid()
  check(raw.chdir(cstr('/')), 'chdir')
  raiseFileLimit()
}

/** Ends the last ties: the launcher goes on when our end of its pipe is closed. */
export function dropStandardStreams(): void {
  const devNull = open('/dev/null', c.O_RDWR)
  for (const fd of [0, 1, 2]) check(raw.dup3(devNull, fd, 0), 'dup3')
  close(devNull)
}

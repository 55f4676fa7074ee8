/** What `run` and `mount` share: both become an engine in the background, started by bin/holdfast. */

import { readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import {
  detachFromCaller,
  Engine,
  findBlindNamespaces,
  findHardLinks,
  findOpeners,
  findUsers,
  leaveCallersSession,
  logToKernel,
  warning,
} from '../daemon/main.js'
import * as c from '../linux/constants.js'
import { check, LinuxError } from '../linux/error.js'
import { close, open, statFd, writeAll } from '../linux/files.js'
import { readDescriptorPath } from '../linux/processes.js'
import * as raw from '../linux/raw.js'
import { isType } from '../linux/stat.js'
import { CommandError } from './errors.js'
import type { Plan } from './shell.js'
import { VERSION } from './version.js'

/** The shell of bin/holdfast that waits for our plan. */
export function launcherPid(): number {
  const pid = Number(process.env.HOLDFAST_LAUNCHER)
  if (Number.isSafeInteger(pid) && pid > 0) return pid
  throw new CommandError('run and mount are started through bin/holdfast')
}

/** Descriptors that the launcher has open, but for the pipe on which it waits for our plan. */
export function launcherFds(launcher: number): Set<number> {
  const planPipe = readDescriptorPath('self', 1)
  const isPlanPipe = (fd: number) =>
    readDescriptorPath(launcher, fd)?.equals(planPipe ?? Buffer.alloc(0)) ?? false
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

/** Leaves the launcher's session and lets go of everything that is its own, but for stdout and stderr. */
export function becomeDaemon(launcher: number): void {
  closeInherited(launcher)
  leaveCallersSession()
  raiseFileLimit()
}

function raiseFileLimit(): void {
  const RLIMIT_NOFILE = 7
  const limits = Buffer.alloc(16)
  check(raw.prlimit(0, RLIMIT_NOFILE, null, limits), 'prlimit')
  limits.copyWithin(0, 8, 16)
  check(raw.prlimit(0, RLIMIT_NOFILE, limits, null), 'prlimit')
}

export interface LaunchOptions {
  readonly kind: 'run' | 'mount'
  readonly passthrough: boolean
  readonly debug?: string | undefined
}

/** Call it under `withRunLock`. */
export function createEngine(options: LaunchOptions): Engine {
  const main = process.argv[1] ?? ''
  const debugFd =
    options.debug === undefined ? -1 : open(options.debug, c.O_WRONLY | c.O_CREAT | c.O_APPEND, 0o600)
  const log = (line: string) => writeAll(debugFd, Buffer.from(`${line}\n`))
  return new Engine({
    kind: options.kind,
    version: VERSION,
    passthrough: options.passthrough,
    reportBug: (error) => logToKernel('a request was answered with EIO', error),
    workerFile: join(dirname(main), 'io-worker.cjs'),
    cleanup: [process.execPath, main, 'reap'],
    ...(debugFd < 0 ? {} : { debug: log }),
  })
}

/** Opens what the user named, following symlinks, as an anchor for mounts (O_PATH). */
export function openTarget(path: Buffer): number {
  const fd = open(path, c.O_PATH)
  // The mount inherits the name it is found by; a deleted or moved file is noticed later by its inode.
  return fd
}

export function isDirectory(fd: number): boolean {
  return isType(statFd(fd).mode, c.S_IFDIR)
}

export function isRegularFile(fd: number): boolean {
  return isType(statFd(fd).mode, c.S_IFREG)
}

/** L10: one line for each way past the new mount. Call it when it is attached and before it is served. */
export function findWaysPast(rootFd: number, path: Buffer, source: string): string[] {
  const findings = isDirectory(rootFd)
    ? [findUsers(path)]
    : [tryFind(() => findOpeners(rootFd, path)), findHardLinks(rootFd)]
  findings.push(findBlindNamespaces(source))
  return findings.filter((finding) => finding !== null).map((finding) => warning(path, finding))
}

/** A file that we may not even read cannot be asked about; that is no reason to fail. */
function tryFind(find: () => string | null): string | null {
  try {
    return find()
  } catch (error) {
    if (error instanceof LinuxError) return null
    throw error
  }
}

/** Hands the plan to the launcher, lets go of the terminal, and serves until the mounts are gone. */
export async function serve(engine: Engine, plan: Plan): Promise<never> {
  writeAll(1, plan.bytes)
  detachFromCaller()
  try {
    await engine.serve()
  } catch (error) {
    // The supervisor removes the mounts; nobody would hear of it on a terminal that is gone.
    logToKernel('the engine ends', error)
    process.exit(1)
  }
  process.exit(0)
}

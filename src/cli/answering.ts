/**
 * Which engines answer? Whoever asks one that is stopped waits in the kernel until it goes on, and if it had
 * taken the question already, not even SIGKILL ends the wait. So a child asks first, and is left behind if it gets
 * no answer. What is asked afterwards may take as long as it takes.
 */
import { spawn } from 'node:child_process'
import { DATA_TYPE, enginePid, liveEngines } from '../daemon/main.js'
import * as c from '../linux/constants.js'
import { LinuxError, showPath } from '../linux/error.js'
import { close, open, openat, readlinkFd, writeAll } from '../linux/files.js'
import { type MountInfo, mountOf, readMounts } from '../linux/mounts.js'
import { waitReadable } from '../linux/poller.js'
import { explainStop, openPidfd, readStatus } from '../linux/processes.js'
import { CommandError } from './errors.js'

const PATIENCE_MS = 5000
/** An engine that is silent for so long is looked at: one that is stopped need not be waited for. */
const LOOK_MS = 250

export interface SilentEngine {
  readonly control: string
  readonly mountpoints: readonly string[]
  /** null: not known. */
  readonly pid: number | null
  /** As a sentence goes on behind the engine's name. */
  readonly why: string
}

/** Each engine is asked once by a command. */
const known = new Map<string, SilentEngine | null>()

/** Those of these engines that do not answer, given by their control directories. */
export function findSilent(controls: readonly string[]): SilentEngine[] {
  const questions = controls.filter((control) => !known.has(control)).map(startAsking)
  const deadline = performance.now() + PATIENCE_MS
  for (const question of questions) {
    known.set(question.control, isAnswered(question, deadline) ? null : describe(question))
    question.end()
  }
  return controls.map((control) => known.get(control) ?? null).filter((silent) => silent !== null)
}

interface Question {
  readonly control: string
  readonly pid: number | null
  /** Readable when the child has ended; null if there is no child. */
  readonly pidfd: number | null
  end(): void
}

/** Opening `version` is what every engine answers everybody. */
function startAsking(control: string): Question {
  // Without our directory and environment: a shell looks at both, and either may lead to the mount that hangs.
  const child = spawn('/bin/sh', ['-c', ': <"$0"', `${control}/version`], {
    stdio: 'ignore',
    cwd: '/',
    env: {},
  })
  // Who cannot start a child asks the engine without.
  child.on('error', () => {})
  child.unref()
  const pidfd = child.pid === undefined ? null : openPidfd(child.pid)
  const end = () => {
    child.kill('SIGKILL')
    if (pidfd !== null) close(pidfd)
  }
  return { control, pid: enginePid(control), pidfd, end }
}

function isAnswered({ pid, pidfd }: Question, deadline: number): boolean {
  if (pidfd === null) return true
  for (;;) {
    const leftMs = Math.ceil(Math.max(0, deadline - performance.now()))
    if (waitReadable(pidfd, Math.min(leftMs, LOOK_MS))) return true
    // One that is traced stops at every step and may be going on all the same.
    if (leftMs === 0 || (pid !== null && readStatus(pid)?.state === 'T')) return false
  }
}

function describe({ control, pid }: Question): SilentEngine {
  const mountpoints = readMounts()
    .filter(({ type, source }) => type === DATA_TYPE && source.toString() === control)
    .map(({ mountpoint }) => showPath(mountpoint))
  const status = pid === null ? null : readStatus(pid)
  const stop = status === null ? null : explainStop(status)
  const why = stop ?? `has not answered for ${PATIENCE_MS / 1000} s`
  return { control, mountpoints, pid, why }
}

export function explainSilent({ control, mountpoints, pid, why }: SilentEngine): string {
  const name = mountpoints.length === 0 ? control : mountpoints.join(', ')
  return `${name}: its engine${pid === null ? '' : ` (pid ${pid})`} ${why}`
}

/** One line for each engine whose part is missing in what the command says; the command has failed. */
export function tellSilent(engines: readonly SilentEngine[]): void {
  for (const silent of engines) {
    writeAll(2, Buffer.from(`holdfast: ${explainSilent(silent)}\n`))
    process.exitCode = 1
  }
}

/** The engine of this mount if it does not answer; null also for what other users have mounted. */
export function silentEngineOf(mount: MountInfo | undefined): SilentEngine | null {
  if (mount?.type !== DATA_TYPE) return null
  const control = mount.source.toString()
  if (!known.has(control) && !liveEngines().includes(control)) return null
  return findSilent([control])[0] ?? null
}

/** Throws a CommandError if this mount is served by an engine that does not answer. */
export function refuseSilent(mount: MountInfo | undefined): void {
  const silent = silentEngineOf(mount)
  if (silent !== null) throw new CommandError(explainSilent(silent))
}

/**
 * Throws a CommandError if the way to this path leads through a mount whose engine does not answer, or with
 * `end: 'asked'` ends on one: looking up a name there would wait for it. Looked up here is only what need not wait.
 */
export function refuseSilentWay(path: Buffer, end: 'asked' | 'named' = 'asked'): void {
  const mounts = readMounts()
  if (mounts.every(({ type }) => type !== DATA_TYPE)) return
  const names = namesOf(path)
  let linkCount = 0
  let fd = open(isAbsolute(path) ? '/' : '.', c.O_PATH)
  try {
    for (let name = names.shift(); name !== undefined; name = names.shift()) {
      refuseSilent(mountOf(fd, mounts))
      const next = openat(fd, name, c.O_PATH | c.O_NOFOLLOW)
      const target = readlinkFd(next)
      // Those of /proc lead where no name has to be looked up.
      const isJump = target !== null && mountOf(next, mounts)?.type === 'proc'
      if (target !== null) close(next)
      if (target === null) fd = replace(fd, next)
      else if (isJump) fd = replace(fd, openat(fd, name, c.O_PATH))
      else {
        if (++linkCount > LINKS_MAX) return
        names.unshift(...namesOf(target))
        if (isAbsolute(target)) fd = replace(fd, open('/', c.O_PATH))
      }
    }
    if (end === 'asked') refuseSilent(mountOf(fd, mounts))
  } catch (error) {
    // It is not there, or not for us: whoever opens the path says so.
    if (!(error instanceof LinuxError)) throw error
  } finally {
    close(fd)
  }
}

/** As many as the kernel follows (MAXSYMLINKS). */
const LINKS_MAX = 40

function replace(old: number, by: number): number {
  close(old)
  return by
}

function isAbsolute(path: Buffer): boolean {
  return path.toString('latin1', 0, 1) === '/'
}

function namesOf(path: Buffer): Buffer[] {
  const names = path.toString('latin1').split('/')
  return names.filter((name) => name !== '').map((name) => Buffer.from(name, 'latin1'))
}

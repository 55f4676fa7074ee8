/** What `run` and `mount` share: both become an engine in the background, started by bin/holdfast. */

import { dirname, join } from 'node:path'
import type { ReportRecord } from '../control/formats/records.js'
import {
  CACHE_MODES,
  type CacheMode,
  DEFAULT_POLICY,
  dropStandardStreams,
  Engine,
  enginePid,
  FEATURES,
  type FeatureName,
  type Features,
  findBlindNamespaces,
  findHardLinks,
  findOpeners,
  findOpenersOfCovered,
  findUsers,
  isMakeshift,
  type LeasePolicy,
  logToKernel,
  MAX_BREAK_TIME_MS,
  warning,
} from '../daemon/main.js'
import { errnoMessage } from '../lib/errno.js'
import * as c from '../linux/constants.js'
import { check, LinuxError, showPath } from '../linux/error.js'
import { close, open, statFd, writeAll } from '../linux/files.js'
import { needsFusermount } from '../linux/fusermount.js'
import { mountOf } from '../linux/mounts.js'
import { readDescriptorPath } from '../linux/processes.js'
import * as raw from '../linux/raw.js'
import { isType } from '../linux/stat.js'
import { refuseSilentWay } from './answering.js'
import { pathBytes } from './arguments.js'
import { CommandError } from './errors.js'
import type { Plan } from './shell.js'
import { VERSION } from './version.js'

/** The shell of bin/holdfast that waits for our plan. */
export function launcherPid(): number {
  const pid = Number(process.env.HOLDFAST_LAUNCHER)
  if (Number.isSafeInteger(pid) && pid > 0) return pid
  throw new CommandError('run and mount are started through bin/holdfast')
}

/** Numbers of the command line, as text, that make up a LeasePolicy. */
export interface PolicyOptions {
  readonly breakTime?: string | undefined
  readonly maxLeases?: string | undefined
  readonly maxPins?: string | undefined
  readonly onTimeout?: string | undefined
}

export function parsePolicy(options: PolicyOptions): LeasePolicy {
  const number = (option: string, text: string | undefined, otherwise: number, max: number) => {
    if (text === undefined) return otherwise
    const value = /^\d{1,12}$/.test(text) ? Number(text) : Number.NaN
    if (value >= 1 && value <= max) return value
    throw new CommandError(`${option} ${text}: not a number from 1 to ${max}`, 2)
  }
  const { onTimeout = DEFAULT_POLICY.onTimeout } = options
  if (onTimeout !== 'revoke' && onTimeout !== 'kill') {
    throw new CommandError(`--on-timeout ${onTimeout}: neither revoke nor kill`, 2)
  }
  const d = DEFAULT_POLICY
  return {
    onTimeout,
    breakTimeMs: number('--break-time', options.breakTime, d.breakTimeMs, MAX_BREAK_TIME_MS),
    leaseCountMax: number('--max-leases', options.maxLeases, d.leaseCountMax, COUNT_MAX),
    pinCountMax: number('--max-pins', options.maxPins, d.pinCountMax, COUNT_MAX),
  }
}

const COUNT_MAX = 1_000_000_000

/** What --cache says. */
export function parseCache(word = 'auto'): CacheMode {
  for (const mode of Object.keys(CACHE_MODES) as CacheMode[]) if (mode === word) return mode
  throw new CommandError(`--cache ${word}: none of ${Object.keys(CACHE_MODES).join(', ')}`, 2)
}

export interface LaunchOptions {
  readonly kind: 'run' | 'mount'
  readonly policy?: LeasePolicy
  readonly without: Features
  readonly cache: CacheMode
  readonly debugFd?: number | undefined
  readonly clock?: string | undefined
}

/** What --without and --no-passthrough say. */
interface WithoutOptions {
  readonly without?: string | undefined
  readonly passthrough: boolean
}

/** Throws CommandError for a feature that is not known, or that there is no mount without. */
export function parseWithout(options: WithoutOptions): Features {
  const without = parseFeatures(options)
  // Only CAP_SYS_ADMIN may ask the kernel for it.
  if (needsFusermount()) without.add('passthrough')
  return without
}

function parseFeatures({ without: list = '', passthrough }: WithoutOptions): Set<FeatureName> {
  const known = FEATURES.filter(({ isRequired }) => isRequired !== true).map(({ name }) => name)
  const without = new Set<FeatureName>()
  // In the list behind -o, commas separate options.
  for (const word of list.split(/[,:]/)) {
    const name = known.find((candidate) => candidate === word)
    if (name !== undefined) without.add(name)
    else if (word === 'all') for (const each of known) without.add(each)
    else if (FEATURES.some((feature) => feature.name === word)) {
      throw new CommandError(`--without ${word}: there is no mount without it`, 2)
    } else if (word !== '') {
      throw new CommandError(`--without ${word}: no such feature (${known.join(', ')}, or all)`, 2)
    }
  }
  if (!passthrough) without.add('passthrough')
  return without
}

/** One line if something was asked of a mount that is there already and stays as it is, none if it is as asked. */
export function findUnheard(
  path: Buffer,
  report: readonly ReportRecord[],
  given: WithoutOptions & { readonly cache?: string | undefined; readonly debug?: string | undefined },
): string[] {
  const shown = showPath(path)
  const mounts = report.filter((record) => record.type === 'mount')
  // The mount of the file itself, or of a directory above it, which then is the only one of its engine.
  const mount = mounts.find(({ mountpoint }) => mountpoint === shown) ?? mounts[0]
  if (mount === undefined) return []
  const has: string[] = []
  const unheard: string[] = []
  if (given.cache !== undefined && given.cache !== mount.cache) {
    has.push(`cache ${mount.cache}`)
    unheard.push(`--cache ${given.cache}`)
  }
  const features = [...parseFeatures(given)].filter((name) => mount.features.includes(name))
  has.push(...features)
  const nameOption = (name: FeatureName) =>
    name === 'passthrough' && !given.passthrough ? '--no-passthrough' : `--without ${name}`
  unheard.push(...features.map(nameOption))
  if (given.debug !== undefined) unheard.push(`--debug ${showPath(pathBytes(given.debug))}`)
  if (unheard.length === 0) return []
  const how = has.length === 0 ? '' : `, with ${has.join(', ')}`
  const verb = unheard.length === 1 ? 'has' : 'have'
  return [`holdfast: ${shown} is mounted already${how}: ${unheard.join(', ')} ${verb} no effect`]
}

const CLOCK_BYTES = 32

/**
 * A clock that stands still: a file with a number of milliseconds, for those who play with time (src/litmus). It
 * may only ever grow.
 */
function readClock(file: string): () => number {
  const fd = open(pathBytes(file), c.O_RDONLY)
  const bytes = Buffer.alloc(CLOCK_BYTES)
  return () => {
    const length = check(raw.pread(fd, bytes, bytes.length, 0), 'pread')
    return Number(bytes.toString('latin1', 0, length))
  }
}

/** Opens the file of --debug. Call it before `leaveLauncher`: its name is relative to the caller's directory. */
export function openDebugLog(file: string | undefined): number | undefined {
  if (file === undefined) return undefined
  refuseSilentWay(pathBytes(file))
  return open(pathBytes(file), c.O_WRONLY | c.O_CREAT | c.O_APPEND, 0o600)
}

/**
 * A log that cannot be written to ends, which is said once, here or to the kernel: nobody's request may come to
 * nothing because of it.
 */
function debugLog(fd: number): (line: string) => void {
  let hasEnded = false
  return (line) => {
    if (hasEnded) return
    try {
      writeAll(fd, Buffer.from(`${line}\n`))
    } catch (error) {
      hasEnded = true
      const name = showPath(readDescriptorPath('self', fd) ?? Buffer.from('--debug'))
      const why = error instanceof LinuxError ? errnoMessage(error.errno) : error
      const complaint = Buffer.from(`holdfast: ${name}: ${why}: the debug log ends here\n`)
      raw.write(2, complaint, complaint.length)
      logToKernel(name, `${why}: the debug log ends here`)
    }
  }
}

/** Call it under `withRunLock`. */
export function createEngine(options: LaunchOptions): Engine {
  const main = process.argv[1] ?? ''
  const { debugFd = -1 } = options
  return new Engine({
    kind: options.kind,
    version: VERSION,
    without: options.without,
    cache: options.cache,
    reportBug: (error) => logToKernel('a failure that the engine survives', error),
    workerFile: join(dirname(main), 'io-worker.cjs'),
    cleanup: [process.execPath, main, 'reap'],
    ...(options.policy === undefined ? {} : { policy: options.policy }),
    ...(options.clock === undefined ? {} : { nowMs: readClock(options.clock) }),
    ...(debugFd < 0 ? {} : { debug: debugLog(debugFd) }),
  })
}

/** Opens what the user named, following symlinks, as an anchor for mounts (O_PATH), unless that would wait. */
export function openTarget(path: Buffer): number {
  refuseSilentWay(path)
  return open(path, c.O_PATH)
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
  return warningsOf(path, [...findings, findBlindNamespaces(source)])
}

function warningsOf(path: Buffer, findings: readonly (string | null)[]): string[] {
  return findings.filter((finding) => finding !== null).map((finding) => warning(path, finding))
}

/** The same for a file that is under a mount already, by the path that leads to it there. */
export function findWaysPastMount(path: Buffer, control: string): string[] {
  const fd = open(path, c.O_PATH | c.O_NOFOLLOW)
  try {
    const isMountpoint = mountOf(fd)?.mountpoint.equals(path) === true
    return warningsOf(path, [
      findOpenersOfCovered(fd, path, enginePid(control)),
      // Below a directory the other names may be under the mount as well.
      isMountpoint ? findHardLinks(fd) : null,
      findBlindNamespaces(control),
    ])
  } finally {
    close(fd)
  }
}

/** What this mount cannot do, in one line for each reason. */
export function tellLimits(engine: Engine, path: Buffer): void {
  const features = engine.mounts[0]?.fileSystem.features ?? new Set()
  for (const { name, without, isTold } of FEATURES) {
    if (isTold !== true || features.has(name)) continue
    writeAll(2, Buffer.from(`holdfast: ${showPath(path)} is mounted without ${name}: ${without}\n`))
  }
  if (!needsFusermount()) return
  const place = isMakeshift()
    ? `; there is no XDG_RUNTIME_DIR of yours, the control directory is ${engine.control}`
    : ''
  const line = `holdfast: ${showPath(path)} is mounted without root: nobody else can use it meanwhile (root, others and set-user-ID programs get "Permission denied"), and its data goes through the daemon, which is slower${place}`
  writeAll(2, Buffer.from(`${line}\n`))
}

/** Names them in one line each; with --strict they are an error, in the one line that an error has. */
export function tellWaysPast(warnings: readonly string[], isStrict: boolean): void {
  if (warnings.length === 0) return
  if (!isStrict) {
    for (const line of warnings) writeAll(2, Buffer.from(`${line}\n`))
    return
  }
  const findings = warnings.map((line) => line.replace(/^holdfast: /, ''))
  throw new CommandError(`${findings.join('; ')}; refused because of --strict`)
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
  try {
    writeAll(1, plan.bytes)
  } catch (error) {
    // The launcher has ended meanwhile: nobody will use what was mounted for it.
    engine.abandon()
    throw error
  }
  dropStandardStreams()
  process.on('SIGTERM', () => {
    const leaseCount = engine.stop()
    if (leaseCount > 0) logToKernel('SIGTERM', `waits for ${leaseCount} leases; a second one ends it at once`)
  })
  try {
    await engine.serve()
  } catch (error) {
    // The supervisor removes the mounts; nobody would hear of it on a terminal that is gone.
    logToKernel('the engine ends', error)
    process.exit(1)
  }
  process.exit(0)
}

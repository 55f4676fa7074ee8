/** `holdfast mount` and `holdfast umount`. */
import {
  type CacheMode,
  DATA_TYPE,
  type Engine,
  type Features,
  type LeasePolicy,
  leaveLauncher,
  ownerOf,
  removeDead,
  withRunLock,
} from '../daemon/main.js'
import { Errno, errnoMessage } from '../lib/errno.js'
import * as c from '../linux/constants.js'
import { LinuxError, showPath } from '../linux/error.js'
import { close, open } from '../linux/files.js'
import { FusermountError, needsFusermount, removeMount } from '../linux/fusermount.js'
import { type MountInfo, mountOf } from '../linux/mounts.js'
import { waitReadable } from '../linux/poller.js'
import { openPidfd, readDescriptorPath } from '../linux/processes.js'
import { explainSilent, refuseSilentWay, type SilentEngine, silentEngineOf } from './answering.js'
import { pathBytes } from './arguments.js'
import { explainBusy } from './busy.js'
import { CommandError } from './errors.js'
import {
  createEngine,
  findWaysPast,
  isDirectory,
  launcherPid,
  openDebugLog,
  openTarget,
  type PolicyOptions,
  parseCache,
  parsePolicy,
  parseWithout,
  serve,
  tellLimits,
  tellWaysPast,
} from './launching.js'
import { parseMountOptions } from './mount-options.js'
import { refuseOwnGround, refuseOwnMounts } from './own-ground.js'
import { readReportIfAny } from './report.js'
import { Plan } from './shell.js'

export interface MountOptions extends PolicyOptions {
  readonly strict?: boolean | undefined
  readonly passthrough: boolean
  readonly without?: string | undefined
  readonly debug?: string | undefined
  readonly cache?: string | undefined
  /** The list behind -o. */
  readonly options?: string | undefined
  /** For src/litmus: see `readClock`. */
  readonly clock?: string | undefined
}

export async function mount(
  directory: string,
  mountpoint: string | undefined,
  given: MountOptions,
): Promise<void> {
  const launcher = launcherPid()
  const { attributes, ...listed } = parseMountOptions(given.options)
  const options = { ...given, ...listed, attributes }
  const policy = parsePolicy(options)
  const without = parseWithout(options)
  const cache = parseCache(options.cache)
  removeDead()
  const target = openDirectory(directory)
  const place = mountpoint === undefined ? target : openDirectory(mountpoint)
  refuseOwnGround(place.path)
  refuseOwnMounts(target.path, place.path)
  const debugFd = openDebugLog(options.debug)
  leaveLauncher(launcher)
  const engine = withRunLock(() => {
    refuseCovered(place)
    return start(target.fd, place, { ...options, policy, without, cache, debugFd })
  })
  const shown = showPath(place.path)
  const done = `${shown} is under Holdfast; 'holdfast umount ${shown}' ends it\n`
  // It is there, whether that can be said or not.
  const plan = new Plan().print(done, 0).exit(0)
  await serve(engine, plan)
}

interface Place {
  readonly fd: number
  readonly path: Buffer
}

function openDirectory(argument: string): Place {
  const fd = openTarget(pathBytes(argument))
  const path = readDescriptorPath('self', fd) ?? pathBytes(argument)
  if (!isDirectory(fd)) {
    throw new CommandError(
      `${showPath(path)}: not a directory; for a single file use 'holdfast run FILE -- COMMAND'`,
    )
  }
  refuseMounted(fd, path)
  return { fd, path }
}

function refuseMounted(fd: number, path: Buffer): void {
  const mounted = mountOf(fd)
  if (mounted?.type !== DATA_TYPE) return
  const over = showPath(mounted.mountpoint)
  throw new CommandError(
    `${showPath(path)}: already under the Holdfast mount ${over}; use it, or 'holdfast umount' it first`,
  )
}

/** Somebody else may have mounted there since we opened it; whoever has the run lock is the only one who can. */
function refuseCovered({ path }: Place): void {
  const fd = openTarget(path)
  try {
    refuseMounted(fd, path)
  } finally {
    close(fd)
  }
}

function start(
  targetFd: number,
  place: Place,
  options: Omit<MountOptions, 'without' | 'cache'> & {
    policy: LeasePolicy
    without: Features
    cache: CacheMode
    debugFd: number | undefined
    attributes: number
  },
): Engine {
  const engine = createEngine({ kind: 'mount', ...options })
  try {
    const mounted = engine.addMount(targetFd, place.fd, options.attributes)
    tellWaysPast(findWaysPast(mounted.rootFd, place.path, engine.control), options.strict === true)
    tellLimits(engine, place.path)
    return engine
  } catch (error) {
    engine.abandon()
    throw error
  }
}

const END_PATIENCE_MS = 5000

/** Unmounts, unless leases or open files still need the mount. */
export function umount(mountpoint: string): void {
  const wanted = pathBytes(mountpoint)
  refuseSilentWay(wanted, 'named')
  const freed = removeDead()
  const fd = open(wanted, c.O_PATH)
  let found: MountInfo | undefined
  let path: Buffer
  try {
    found = mountOf(fd)
    path = readDescriptorPath('self', fd) ?? wanted
  } finally {
    close(fd)
  }
  // Or we would be in the way ourselves, where we were started in it.
  process.chdir('/')
  // It was dead, and is gone already.
  if (freed.some((each) => each.equals(path))) return
  if (found?.type !== DATA_TYPE || !found.mountpoint.equals(path)) {
    throw new CommandError(`${showPath(path)}: not a Holdfast mount; 'holdfast status' lists them`)
  }
  const control = found.source.toString()
  const shown = showPath(found.mountpoint)
  const owner = ownerOf(found)
  if (needsFusermount() && owner !== process.geteuid?.()) {
    const whose = owner === 0 ? "root's mount" : `a mount of uid ${owner}`
    throw new CommandError(`${shown}: ${whose}, not yours to end: use 'sudo'`)
  }
  const silent = silentEngineOf(found)
  if (silent !== null) throw new CommandError(`${explainSilent(silent)}${howToForce(silent)}`)
  const report = readReportIfAny(control)
  const leases = report.filter((record) => record.type === 'lease' && record.mountpoint === shown)
  const mount = found
  const busy = () => new CommandError(`${shown}: Device or resource busy: ${explainBusy(mount, report)}`)
  if (leases.length > 0) throw busy()
  const engine = report.find((record) => record.type === 'mount')?.engine.pid
  const pidfd = engine === undefined ? null : openPidfd(engine)
  try {
    removeMount(found.mountpoint, { lazy: false })
    // The engine tidies up behind itself. With its process the last hold on the backing file system goes.
    if (pidfd !== null) waitReadable(pidfd, END_PATIENCE_MS)
  } catch (error) {
    if (isBusy(error)) throw busy()
    throw error
  }
}

/** SIGKILL reaches who is stopped, and the supervisor unmounts behind it. */
function howToForce({ pid }: SilentEngine): string {
  if (pid === null) return ''
  return `; 'kill -KILL ${pid}' ends it, and with it the mount and what is held there`
}

function isBusy(error: unknown): boolean {
  if (error instanceof FusermountError) return error.complaint?.endsWith(errnoMessage(Errno.EBUSY)) ?? false
  return error instanceof LinuxError && error.code === 'EBUSY'
}

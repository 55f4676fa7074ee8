/**
 * L10: finds who goes past the mount. Descriptors that were opened before it, other hard links and other
 * mount namespaces are named in one line each; `--strict` refuses to start when there are any.
 */
import { formatOwners } from '../../control/formats/records.js'
import * as c from '../../linux/constants.js'
import { showPath } from '../../linux/error.js'
import { close, isOpenElsewhere, reopen, statFd } from '../../linux/files.js'
import { cstr } from '../../linux/libc.js'
import { type MountInfo, readMounts } from '../../linux/mounts.js'
import {
  type DescriptorInfo,
  listDescriptors,
  listProcesses,
  readDescriptor,
  readDescriptorPath,
  readMappings,
  readNamespace,
  readStatus,
} from '../../linux/processes.js'
import * as raw from '../../linux/raw.js'
import { DATA_TYPE } from '../places/registry.js'

const LISTED_MAX = 5

/** Processes of this machine, ours excepted. */
function otherPids(): number[] {
  return listProcesses().filter((pid) => pid !== process.pid)
}

function describe(pids: readonly number[]): string {
  const shown = pids.slice(0, LISTED_MAX).map((pid) => ({ pid, command: readStatus(pid)?.command ?? '?' }))
  const rest = pids.length - shown.length
  return formatOwners(shown) + (rest > 0 ? ` and ${rest} more` : '')
}

/**
 * Who has this regular file open, past any mount of ours.
 * @param backingFd O_PATH, of the backing file itself.
 */
export function findOpeners(backingFd: number, path: Buffer): string | null {
  const fd = reopen(backingFd, c.O_RDONLY)
  let isOpen: boolean | null
  try {
    isOpen = isOpenElsewhere(fd)
  } finally {
    close(fd)
  }
  if (isOpen === false) return null
  const { ino, devMajor, devMinor } = statFd(backingFd)
  const maps = (pid: number) =>
    // btrfs and overlayfs show another device in maps than stat(2) does; both have the major number 0.
    readMappings(pid).some(
      (mapping) =>
        mapping.ino === ino && mapping.major === devMajor && (devMajor === 0 || mapping.minor === devMinor),
    )
  const pids = otherPids().filter((pid) => opensOf(pid, ino, path).length > 0 || maps(pid))
  if (pids.length > 0) return goingPast(pids)
  // /proc cannot show descriptors in flight, in io_uring's tables or under loop devices.
  return isOpen === true
    ? 'is open already, and goes past Holdfast, in a process that /proc does not show'
    : null
}

/**
 * The same of a file that is under a mount of ours already, as far as descriptors tell: the file below cannot be asked
 * any more, nor told from the mount's in mappings.
 * @param fd O_PATH, of the file as the mount shows it.
 * @param enginePid has the file below open itself.
 */
export function findOpenersOfCovered(fd: number, path: Buffer, enginePid: number | null): string | null {
  const { ino } = statFd(fd)
  const here = dataMountsOf(readMounts())
  const goesPast = (pid: number) => {
    const elsewhere = opensOf(pid, ino, path).filter(({ mountId }) => !here.has(mountId))
    // Mount namespaces that were copied show it by mounts of their own.
    const mounts = elsewhere.length === 0 ? null : mountsOf(pid)
    if (mounts === null) return false
    const there = dataMountsOf(mounts)
    return elsewhere.some(({ mountId }) => !there.has(mountId))
  }
  const pids = otherPids().filter((pid) => pid !== enginePid && goesPast(pid))
  return pids.length === 0 ? null : goingPast(pids)
}

function goingPast(pids: readonly number[]): string {
  return `is open already, and goes past Holdfast, in ${describe(pids)}`
}

/** The descriptors that a process has of the file with this name and number. */
function opensOf(pid: number, ino: bigint, path: Buffer): DescriptorInfo[] {
  return listDescriptors(pid)
    .filter((fd) => readDescriptorPath(pid, fd)?.equals(path) === true)
    .map((fd) => readDescriptor(pid, fd))
    .filter((descriptor): descriptor is DescriptorInfo => descriptor?.ino === ino)
}

/** null if it has ended: it goes past nothing any more. */
function mountsOf(pid: number): readonly MountInfo[] | null {
  try {
    return readMounts(pid)
  } catch {
    return null
  }
}

function dataMountsOf(mounts: readonly MountInfo[]): Set<number> {
  return new Set(mounts.flatMap(({ id, type }) => (type === DATA_TYPE ? [id] : [])))
}

/** Processes with a file open below a directory that is about to be covered. */
export function findUsers(directory: Buffer): string | null {
  const prefix = Buffer.concat([directory, Buffer.from('/')])
  const isBelow = (path: Buffer | null) => path?.subarray(0, prefix.length).equals(prefix) === true
  const pids = otherPids().filter((pid) =>
    listDescriptors(pid).some((fd) => isBelow(readDescriptorPath(pid, fd))),
  )
  return pids.length === 0 ? null : `has files open already, which go past Holdfast, in ${describe(pids)}`
}

/** More names of the same file: what is done through them goes past the mount over this one. */
export function findHardLinks(backingFd: number): string | null {
  const { nlink } = statFd(backingFd)
  return nlink < 2
    ? null
    : `has ${nlink - 1} more hard link${nlink > 2 ? 's, which go' : ', which goes'} past Holdfast`
}

/** A kernel thread has no program; the one of devtmpfs has a mount namespace of its own. */
function isKernelThread(pid: number): boolean {
  return raw.readlinkat(c.AT_FDCWD, cstr(`/proc/${pid}/exe`), Buffer.alloc(1), 1) < 0
}

/**
 * Mount namespaces of other processes that do not see the mount with this source, but do see the file system
 * below it. One without that file system cannot reach the file by any path.
 */
export function findBlindNamespaces(source: string): string | null {
  const ours = readMounts()
  const isOurs = (mount: MountInfo) => mount.type === DATA_TYPE && mount.source.toString() === source
  const covered = ours.filter(isOurs).map((mount) => mount.parent)
  const below = ours.filter((mount) => covered.includes(mount.id))
  const canReach = (mounts: readonly MountInfo[]) =>
    mounts.some(({ major, minor }) => below.some((mount) => mount.major === major && mount.minor === minor))
  const seen = new Map<string, number[]>()
  const own = readNamespace('self', 'mnt')
  for (const pid of otherPids()) {
    const namespace = readNamespace(pid, 'mnt')
    if (namespace === null || namespace === own || isKernelThread(pid)) continue
    const pids = seen.get(namespace)
    if (pids === undefined) seen.set(namespace, [pid])
    else pids.push(pid)
  }
  const blind: number[] = []
  for (const pids of seen.values()) {
    const first = pids[0]
    if (first === undefined) continue
    const mounts = mountsOf(first)
    if (mounts !== null && canReach(mounts) && !mounts.some(isOurs)) blind.push(...pids)
  }
  return blind.length === 0 ? null : `is not covered in the mount namespace of ${describe(blind)}`
}

/** A finding as one line. */
export function warning(path: Buffer, finding: string): string {
  return `holdfast: ${showPath(path)} ${finding}`
}

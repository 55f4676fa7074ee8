/** Who keeps a mount busy: what the engine says of leases and pins on it, and /proc of everything else. */
import { formatOwners, type ProcessRecord, type ReportRecord } from '../control/formats/records.js'
import * as c from '../linux/constants.js'
import { LinuxError, showPath } from '../linux/error.js'
import { close, open, readlink } from '../linux/files.js'
import { type MountInfo, mountIdOf, readMounts } from '../linux/mounts.js'
import {
  listDescriptors,
  listProcesses,
  readDescriptor,
  readDescriptorPath,
  readMappings,
  readStatus,
} from '../linux/processes.js'
import { holderOf } from './listings.js'

const LISTED_MAX = 4

/** What one process has of a mount, by kind. */
interface Use {
  readonly command: string
  readonly leases: number[]
  readonly pins: number[]
  readonly open: string[]
  readonly mapped: string[]
  /** `works in it`, `runs bin/tool`. */
  readonly stays: string[]
}

class Uses {
  readonly byPid = new Map<number, Use>()

  of({ pid, command }: Partial<ProcessRecord> & { readonly pid: number }): Use {
    const known = this.byPid.get(pid)
    if (known !== undefined) return known
    const name = command ?? readStatus(pid)?.command ?? '?'
    const use = { command: name, leases: [], pins: [], open: [], mapped: [], stays: [] }
    this.byPid.set(pid, use)
    return use
  }
}

/**
 * One line for people: who uses this mount, and what for. Nothing of it asks the file system itself, so it cannot
 * hang.
 * @param report what its engine says.
 */
export function explainBusy(mount: MountInfo, report: readonly ReportRecord[]): string {
  const uses = new Uses()
  findHolders(mount, report, uses)
  for (const pid of listProcesses()) if (pid !== process.pid) lookAt(pid, mount, uses)
  const all = [...uses.byPid].map(
    ([pid, use]) => `${formatOwners([{ pid, command: use.command }])} ${describe(use)}`,
  )
  const inner = readMounts().filter(({ parent }) => parent === mount.id)
  const userCount = all.length
  all.push(...inner.map(({ mountpoint }) => `${within(mountpoint, mount)} is another mount`))
  const rest = all.length - LISTED_MAX
  const shown = [...all.slice(0, LISTED_MAX), ...(rest > 0 ? [`and ${rest} more`] : [])].join('; ')
  // Root may look into everybody, others only into their own processes.
  const isAll = process.geteuid?.() === 0
  const only = isAll ? '' : ' (of processes that are not yours nothing can be seen)'
  const innerFirst = inner.length === 0 ? [] : [`unmount ${inner.length === 1 ? 'that' : 'those'} first`]
  const usersFirst = userCount === 0 ? [] : ['it can be unmounted when they have let go or ended']
  if (all.length > 0) return `${shown}${only}: ${[...innerFirst, ...usersFirst].join('; ')}`
  const [lease, ...more] = report.filter((record) => record.type === 'lease' && isOn(record, mount))
  const what =
    lease?.type !== 'lease'
      ? 'in use'
      : more.length > 0
        ? `${more.length + 1} leases are held`
        : `lease ${lease.id} is held`
  return isAll
    ? `${what} by something that /proc does not show, as a descriptor on its way between processes, or a loop device`
    : `${what} by nobody that you may see${only}: root may see more`
}

function isOn(record: { readonly mountpoint: string }, mount: MountInfo): boolean {
  return record.mountpoint === showPath(mount.mountpoint)
}

function findHolders(mount: MountInfo, report: readonly ReportRecord[], uses: Uses): void {
  for (const record of report) {
    if (!isOn(record, mount)) continue
    if (record.type === 'pin') uses.of(holderOf(record)).pins.push(record.id)
    if (record.type !== 'lease') continue
    for (const owner of record.owners) uses.of(owner).leases.push(record.id)
  }
}

function lookAt(pid: number, mount: MountInfo, uses: Uses): void {
  for (const fd of listDescriptors(pid)) {
    if (readDescriptor(pid, fd)?.mountId !== mount.id) continue
    uses.of({ pid }).open.push(within(readDescriptorPath(pid, fd), mount))
  }
  const mapped = readMappings(pid).filter(
    ({ major, minor }) => major === mount.major && minor === mount.minor,
  )
  const files = new Set(mapped.map(({ path }) => within(path, mount)))
  if (files.size > 0) uses.of({ pid }).mapped.push(...files)
  for (const [link, does] of LINKS) {
    const path = pathOnMount(`/proc/${pid}/${link}`, mount)
    if (path !== null) uses.of({ pid }).stays.push(`${does} ${within(path, mount)}`)
  }
}

const LINKS = [
  ['cwd', 'works in'],
  ['root', 'has its root directory in'],
  ['exe', 'runs'],
] as const

/**
 * Where a link of /proc leads, if it is to this mount. The name tells first: only what seems to be on this mount is
 * looked at, by O_PATH, which FUSE is not asked for; a network file system could be, and hang.
 */
function pathOnMount(link: string, mount: MountInfo): Buffer | null {
  let fd: number
  try {
    if (!isWithin(readlink(link), mount)) return null
    fd = open(link, c.O_PATH)
  } catch (error) {
    // It has ended, is a kernel thread, or is not ours to look into.
    if (error instanceof LinuxError) return null
    throw error
  }
  try {
    return mountIdOf(fd) === mount.id ? readDescriptorPath('self', fd) : null
  } finally {
    close(fd)
  }
}

function isWithin(path: Buffer, { mountpoint }: MountInfo): boolean {
  const prefix = Buffer.concat([mountpoint, Buffer.from('/')])
  return path.equals(mountpoint) || path.subarray(0, prefix.length).equals(prefix)
}

/** A path as it is called below the mountpoint. */
function within(path: Buffer | null, mount: MountInfo): string {
  if (path === null || path.equals(mount.mountpoint)) return 'it'
  return showPath(isWithin(path, mount) ? path.subarray(mount.mountpoint.length + 1) : path)
}

function describe({ leases, pins, open, mapped, stays }: Use): string {
  const parts: string[] = []
  const add = (all: readonly unknown[], one: string, many: string) => {
    if (all.length > 0) parts.push(all.length === 1 ? one : many)
  }
  add(leases, `holds lease ${leases[0]}`, `holds ${leases.length} leases`)
  add(pins, `has pin ${pins[0]}`, `has ${pins.length} pins`)
  add(open, `has ${open[0]} open`, `has ${open.length} files open`)
  add(mapped, `maps ${mapped[0]}`, `maps ${mapped.length} files`)
  return [...parts, ...stays].join(', ')
}

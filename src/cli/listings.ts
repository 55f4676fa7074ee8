/** `holdfast leases`, `pins`, `who` and `status`: what the engines report, for people or as JSON. */
import * as abi from '../control/formats/abi.js'
import {
  formatAge,
  formatLength,
  formatOwners,
  type LeaseRecord,
  type PinRecord,
  type ProcessRecord,
} from '../control/formats/records.js'
import { DATA_TYPE, foreignMounts, removeDead } from '../daemon/main.js'
import { errnoName } from '../lib/errno.js'
import { WHOLE_FILE } from '../lib/range.js'
import * as c from '../linux/constants.js'
import { LinuxError, showPath } from '../linux/error.js'
import { close, open, statFd, statPath } from '../linux/files.js'
import { mountOf, readMounts } from '../linux/mounts.js'
import {
  listDescriptors,
  listProcesses,
  readDescriptor,
  readDescriptorPath,
  readStatus,
} from '../linux/processes.js'
import * as raw from '../linux/raw.js'
import { isType } from '../linux/stat.js'
import { type SilentEngine, tellSilent } from './answering.js'
import { pathBytes } from './arguments.js'
import { CommandError } from './errors.js'
import { openTarget } from './launching.js'
import { print, printJson, printTable } from './output.js'
import { NOTHING, type Report, readReportOf, readReports } from './report.js'

export interface ListOptions {
  readonly json?: boolean | undefined
}

/** Leases of all mounts, or of what lies at or below a path. */
export function leases(path: string | undefined, options: ListOptions): void {
  removeDead()
  const place = path === undefined ? null : resolve(path)
  const { leases, silent } = readReports()
  const isWanted = place === null ? () => true : below(place)
  const shown = withOpeners(leases.filter(isWanted))
  const isMissing = ({ mountpoints }: SilentEngine) => mountpoints.some((file) => isWanted({ file }))
  const missing = place === null ? silent : silent.filter(isMissing)
  tellSilent(missing)
  if (options.json === true) {
    printJson(shown)
    return
  }
  if (shown.length === 0) {
    if (missing.length === 0) print('no leases')
    return
  }
  printTable(
    ['ID', 'MODE', 'LEVEL', 'STATE', 'RANGE', 'PINS', 'AGE', 'OWNERS', 'FILE'],
    shown.map((lease) => [
      lease.id,
      lease.mode,
      lease.notifyOnly ? 'notify' : lease.level,
      lease.state,
      formatRange(lease),
      lease.pins,
      formatAge(lease.ageMs),
      lease.openIn.length > 0 ? `open in ${formatOwners(lease.openIn)}` : formatOwners(lease.owners),
      lease.file,
    ]),
  )
}

export function pins(pid: string | undefined, options: ListOptions): void {
  removeDead()
  if (pid !== undefined && !/^\d+$/.test(pid)) throw new CommandError(`${pid}: not a process id`, 2)
  const { pins, silent } = readReports()
  tellSilent(silent)
  const shown = pid === undefined ? pins : pins.filter((pin) => holderOf(pin).pid === Number(pid))
  if (options.json === true) {
    printJson(shown)
    return
  }
  if (shown.length === 0) {
    if (silent.length === 0) print(pid === undefined ? 'no pins' : `no pins of process ${pid}`)
    return
  }
  printTable(
    ['ID', 'LEASE', 'RANGE', 'COUNT', 'HOLDER', 'FILE'],
    shown.map((pin) => [pin.id, pin.lease, formatRange(pin), pin.count, formatHolder(pin), pin.file]),
  )
}

interface Holding extends LeaseRecord {
  /** Where a lease has no owner left: who has the file open (R1). */
  readonly openIn: readonly ProcessRecord[]
}

/** Finds out, in one pass over /proc, who has the files open whose leases have no owner left. */
function withOpeners(leases: readonly LeaseRecord[]): Holding[] {
  const isOwned = (lease: LeaseRecord) => lease.owners.length > 0
  if (leases.every(isOwned)) return leases.map((lease) => ({ ...lease, openIn: [] }))
  const mountIds = new Map<string, number>()
  for (const mount of readMounts()) {
    if (mount.type === DATA_TYPE) mountIds.set(showPath(mount.mountpoint), mount.id)
  }
  const keyOf = (lease: LeaseRecord) => `${mountIds.get(lease.mountpoint)}:${lease.inode}`
  const openers = findOpeners(new Set(leases.filter((lease) => !isOwned(lease)).map(keyOf)))
  return leases.map((lease) => ({
    ...lease,
    openIn: isOwned(lease) ? [] : (openers.get(keyOf(lease)) ?? []),
  }))
}

/** R4: who keeps me from truncating this file? */
export function who(path: string, options: ListOptions): void {
  removeDead()
  const target = look(path)
  const report: Report = target === null ? NOTHING : readReportOf(target.control)
  const isSame = (record: { readonly mountpoint: string; readonly inode: string }) =>
    record.mountpoint === target?.mountpoint && record.inode === target.inode
  const holdings = withOpeners(report.leases.filter(isSame))
  const ids = new Set(holdings.map(({ id }) => id))
  const held = report.pins.filter((pin) => pin.mountpoint === target?.mountpoint && ids.has(pin.lease))
  const waiting = report.waiting.filter(isSame)
  const name = showPath(resolve(path))
  const truncating = target === null ? null : askAbout(pathBytes(path))
  if (options.json === true) {
    printJson({ file: name, leases: holdings, pins: held, waiting, truncate: truncating })
    return
  }
  if (target === null) {
    print(`${name}: not under a Holdfast mount: nothing of Holdfast holds it`)
    return
  }
  if (holdings.length === 0) {
    print(`${name}: nobody ${process.getuid?.() === 0 ? '' : 'that you may see '}holds it`)
  }
  for (const lease of holdings) {
    print(`${name}: ${explainLease(lease)}`)
    if (lease.refused !== undefined) print(`${name}: ${explainRefusals(lease.id, lease.refused)}`)
  }
  for (const pin of held) print(`${name}: ${formatRange(pin)} pinned by ${formatHolder(pin)}`)
  for (const one of waiting) {
    print(
      `${name}: ${formatOwners([one])} has waited ${formatAge(one.ageMs)} with ${formatOperation(one)} on ${formatRange(one)}`,
    )
  }
  if (truncating !== null) print(`${name}: ${explainAnswer(truncating)}`)
}

interface Answer {
  readonly code: string | null
  readonly lease: number
  readonly pid: number
  readonly command: string
}

/** What truncating it to nothing would meet now (QUERY); null where we may not even read it. */
function askAbout(path: Buffer): Answer | null {
  let fd: number
  try {
    // Looked at first: opening a device may do something.
    if (!isType(statPath(path, { follow: true }).mode, c.S_IFREG)) return null
    fd = open(path, c.O_RDONLY | c.O_NONBLOCK)
  } catch (error) {
    if (error instanceof LinuxError) return null
    throw error
  }
  try {
    const bytes = abi.encodeQuery({ operation: 'truncate', range: WHOLE_FILE })
    if (raw.ioctl(fd, abi.QUERY, bytes) < 0) return null // Not under Holdfast any more.
    const { errno, ...because } = abi.decodeQueryReply(bytes)
    return { code: errno === 0 ? null : errnoName(errno), ...because }
  } finally {
    close(fd)
  }
}

function explainAnswer({ code, lease, pid, command }: Answer): string {
  if (code === null) return 'it can be truncated now'
  const because = `because of lease ${lease}${pid === 0 ? '' : ` of ${pid}(${command})`}`
  return code === 'EAGAIN' ? `truncating it would wait ${because}` : `truncating it fails ${because}: ${code}`
}

function explainRefusals(id: number, { count, lastAt, last }: NonNullable<LeaseRecord['refused']>): string {
  const times = count === 1 ? 'once' : `${count} times`
  return `lease ${id} has refused ${times}, last at ${lastAt}: ${formatOperation(last)} on ${formatRange(last)} by ${formatOwners([last])}`
}

function explainLease(lease: Holding): string {
  const open = lease.openIn.length > 0 ? `without an owner, open in ${formatOwners(lease.openIn)},` : null
  const kept = open ?? `kept by ${lease.pins > 0 ? 'its pins' : 'an open descriptor'}`
  const by = lease.owners.length > 0 ? `held by ${formatOwners(lease.owners)}` : kept
  const what = `${lease.level} ${lease.mode} lease ${lease.id} on ${formatRange(lease)}, ${by} for ${formatAge(lease.ageMs)}`
  if (lease.state === 'revoked') return `${what}: revoked, holds nothing any more`
  const effect =
    lease.level === 'exclusive'
      ? 'truncating or punching it fails with "Text file busy"'
      : lease.notifyOnly
        ? 'its owners are told of a change, nobody waits'
        : 'a change waits until it is given up, or its break time is over'
  return `${what} (${lease.state}): ${effect}`
}

export function status(options: ListOptions): void {
  const freed = removeDead()
  const { mounts, silent } = readReports()
  tellSilent(silent)
  const others = foreignMounts().map(({ mountpoint, uid }) => ({ mountpoint: showPath(mountpoint), uid }))
  if (options.json === true) {
    printJson({ mounts, silent, others, removedDeadMounts: freed.map((path) => showPath(path)) })
    return
  }
  for (const path of freed) print(`${showPath(path)}: removed a dead mount; its engine had been killed`)
  for (const { mountpoint, uid } of others)
    print(`${mountpoint}: mounted by uid ${uid}, who alone can look into it`)
  if (mounts.length === 0) {
    if (others.length + silent.length === 0) print('no Holdfast mounts')
    return
  }
  printTable(
    ['MOUNTPOINT', 'KIND', 'BACKING', 'PASSTHROUGH', 'CACHE', 'LEASES', 'PINS', 'ENGINE', 'CONTROL'],
    mounts.map((mount) => [
      mount.mountpoint,
      mount.kind,
      mount.backing,
      mount.passthrough ? 'yes' : 'no',
      mount.cache,
      mount.leases,
      mount.pins,
      mount.engine.pid,
      mount.control,
    ]),
  )
}

/** The operations of the rules, as a sentence has them. */
export function formatOperation({ operation }: { readonly operation: string }): string {
  return operation === 'lease' ? 'a lease request' : operation
}

export function formatRange(range: { readonly start: number; readonly length: number }): string {
  if (range.start === 0 && range.length === 0) return 'whole file'
  return `${range.start}+${formatLength(range.length)}`
}

export function holderOf(pin: PinRecord): ProcessRecord {
  return pin.holder.kind === 'process' ? pin.holder : pin.holder.openedBy
}

function formatHolder(pin: PinRecord): string {
  const owner = formatOwners([holderOf(pin)])
  return pin.holder.kind === 'process' ? owner : `pin context of ${owner}`
}

/** The absolute path without symlinks, as the kernel names it. */
export function resolve(path: string): Buffer {
  const fd = openTarget(pathBytes(path))
  try {
    return readDescriptorPath('self', fd) ?? pathBytes(path)
  } finally {
    close(fd)
  }
}

export function below(path: Buffer): (record: { readonly file: string }) => boolean {
  const text = showPath(path)
  const prefix = text.endsWith('/') ? text : `${text}/`
  return ({ file }) => file === text || file.startsWith(prefix)
}

/** The file behind a path, if it is on a mount of ours. */
function look(path: string): { control: string; mountpoint: string; inode: string } | null {
  const fd = openTarget(pathBytes(path))
  try {
    const mount = mountOf(fd)
    if (mount?.type !== DATA_TYPE) return null
    const control = mount.source.toString()
    return { control, mountpoint: showPath(mount.mountpoint), inode: String(statFd(fd).ino) }
  } finally {
    close(fd)
  }
}

/**
 * Processes that have one of these files open, asked of /proc and not of a file system.
 * @param wanted `mount id:inode number` of each file.
 */
function findOpeners(wanted: ReadonlySet<string>): Map<string, ProcessRecord[]> {
  const found = new Map<string, ProcessRecord[]>()
  for (const pid of listProcesses()) {
    if (pid === process.pid) continue
    for (const key of openFilesOf(pid)) {
      if (!wanted.has(key)) continue
      const process = { pid, command: readStatus(pid)?.command ?? '?' }
      found.set(key, [...(found.get(key) ?? []), process])
    }
  }
  return found
}

/** `mount id:inode number` of everything a process has open, each once. */
function openFilesOf(pid: number): Set<string> {
  const descriptors = listDescriptors(pid).map((fd) => readDescriptor(pid, fd))
  return new Set(descriptors.map((descriptor) => `${descriptor?.mountId}:${descriptor?.ino}`))
}

/** Turns what the rules report into what people read: paths, pids, commands, wall-clock time. */
import { rangeLength } from '../../control/formats/abi.js'
import type {
  EventRecord,
  HolderRecord,
  OffenderRecord,
  PathText,
  ProcessRecord,
} from '../../control/formats/records.js'
import type { LeaseEvent, LeaseInfo, Offender, PinHolder, PinInfo } from '../../lease/index.js'
import { errnoName } from '../../lib/errno.js'
import type { FileId, ProcessKey } from '../../lib/ids.js'
import { showPath } from '../../linux/error.js'
import type { FileNode } from '../../passthrough/gate.js'

/** The part of the lease service that names things. */
export interface Names {
  readonly files: ReadonlyMap<FileId, { readonly node: FileNode; readonly mountpoint: () => Buffer }>
  readonly processes: { describe(key: ProcessKey | null): ProcessRecord }
  /** Who opened a pin context. */
  readonly contexts: ReadonlyMap<number, ProcessRecord>
}

/** A path for a report: readable, and exact where readable is not enough. */
export function pathText(path: Buffer): PathText {
  const file = showPath(path)
  return Buffer.from(file).equals(path) ? { file } : { file, fileBase64: path.toString('base64') }
}

/** The path under which a program of this machine knows the file. */
export function filePath(id: FileId, names: Names): Buffer {
  const file = names.files.get(id)
  if (file === undefined) return Buffer.from('?')
  const below = file.node.path()
  return below.length === 0 ? file.mountpoint() : Buffer.concat([file.mountpoint(), Buffer.from('/'), below])
}

export function timestamp(): string {
  return new Date().toISOString()
}

/** R3: what every event says of the lease it is about. */
export function formatLeaseFields(lease: LeaseInfo, names: Names) {
  return {
    lease: lease.id,
    ...pathText(filePath(lease.file, names)),
    start: lease.range.start,
    length: rangeLength(lease.range),
    mode: lease.mode,
    level: lease.level,
    uid: Number(lease.user),
    owners: lease.owners.map((owner) => names.processes.describe(owner)),
  }
}

export function formatOffender(offender: Offender, names: Pick<Names, 'processes'>): OffenderRecord {
  return {
    ...names.processes.describe(offender.process),
    operation: offender.operation,
    start: offender.range.start,
    length: rangeLength(offender.range),
    ...(offender.errno === 0 ? {} : { errno: errnoName(offender.errno) }),
  }
}

/** Whose pin it is: the process, or the one that opened the context. */
export function formatHolder(holder: PinHolder, names: Names): HolderRecord {
  if (holder.kind === 'process') return { kind: 'process', ...names.processes.describe(holder.process) }
  const openedBy = names.contexts.get(holder.context) ?? { pid: 0, command: '?' }
  return { kind: 'context', context: holder.context, openedBy }
}

export function formatLeaseEvent(event: LeaseEvent, names: Names): EventRecord {
  const record = { time: timestamp(), event: event.event, ...formatLeaseFields(event.lease, names) }
  switch (event.event) {
    case 'break':
    case 'refused':
      return { ...record, offender: formatOffender(event.offender, names) }
    case 'pinned':
      return { ...record, ...pinFields(event.pin, names) }
    case 'unpinned':
      return { ...record, ...pinFields(event.pin, names), reason: event.reason }
    case 'released':
    case 'revoked':
    case 'broken':
      return { ...record, reason: event.reason }
    default:
      return record
  }
}

function pinFields({ id, range, holder }: PinInfo, names: Names) {
  return { pin: id, start: range.start, length: rangeLength(range), holder: formatHolder(holder, names) }
}

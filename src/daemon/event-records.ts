/** Turns what the rules report into what people read: paths, pids, commands, wall-clock time. */
import { rangeLength } from '../control/formats/abi.js'
import type { EventRecord, PathText, ProcessRecord } from '../control/formats/records.js'
import type { LeaseEvent } from '../lease/index.js'
import { errnoName } from '../lib/errno.js'
import type { FileId, ProcessKey } from '../lib/ids.js'
import { showPath } from '../linux/error.js'
import type { FileNode } from '../passthrough/gate.js'

/** The part of the lease service that names things. */
export interface Names {
  readonly files: ReadonlyMap<FileId, { readonly node: FileNode; readonly mountpoint: () => Buffer }>
  readonly processes: { describe(key: ProcessKey | null): ProcessRecord }
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

export function formatLeaseEvent(event: LeaseEvent, names: Names): EventRecord {
  const { lease } = event
  const record = {
    time: timestamp(),
    event: event.event,
    lease: lease.id,
    ...pathText(filePath(lease.file, names)),
    start: lease.range.start,
    length: rangeLength(lease.range),
    mode: lease.mode,
    level: lease.level,
    owners: lease.owners.map((owner) => names.processes.describe(owner)),
  }
  switch (event.event) {
    case 'break':
    case 'refused': {
      const { offender } = event
      return {
        ...record,
        offender: {
          ...names.processes.describe(offender.process),
          operation: offender.operation,
          start: offender.range.start,
          length: rangeLength(offender.range),
          ...(offender.errno === 0 ? {} : { errno: errnoName(offender.errno) }),
        },
      }
    }
    case 'pinned':
      return { ...record, ...pinFields(event.pin) }
    case 'unpinned':
      return { ...record, ...pinFields(event.pin), reason: event.reason }
    case 'released':
    case 'revoked':
    case 'broken':
      return { ...record, reason: event.reason }
    default:
      return record
  }
}

function pinFields(pin: { id: number; range: { start: number; end: number } }) {
  return { pin: pin.id, start: pin.range.start, length: rangeLength(pin.range) }
}

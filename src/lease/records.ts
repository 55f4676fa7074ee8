/**
 * The small records of the lease table. Like the larger ones, which have files of their own, they are mutable and
 * stay inside src/lease; what leaves it are the snapshots of infos.ts.
 */
import type { ContextId, FileId, Instant, Ofd, PinId, ProcessKey, RequestId, Uid } from '../lib/ids.js'
import type { Range } from '../lib/range.js'
import type { Lease } from './lease.js'
import type { RangeTree } from './range-tree.js'
import type { Input, LeaseLevel, LeaseMode, PinHolder } from './types.js'
import type { Change, PendingRequest } from './waiter.js'

export type InputOf<Kind extends Input['kind']> = Extract<Input, { readonly kind: Kind }>

/** What is enough to answer a break: a downgrade to read, or nothing less than letting go (B3). */
export type BreakDemand = 'read' | 'none'

/** A break under way (B1). */
export interface LeaseBreak {
  readonly lease: Lease
  deadline: Instant
  demand: BreakDemand
  /** Where the heap of deadlines keeps it. */
  heapIndex: number
}

export interface Pin {
  readonly id: PinId
  readonly lease: Lease
  readonly key: string
  readonly range: Range
  readonly holder: PinHolder
  readonly user: Uid
  count: number
}

/** A request for a new lease, or to change `lease` in place. */
export interface LeaseRequest {
  readonly kind: 'lease-request'
  readonly request: RequestId
  readonly file: FileId
  readonly ofd: Ofd
  readonly process: ProcessKey | null
  readonly user: Uid
  readonly lease: Lease | null
  readonly range: Range
  readonly mode: LeaseMode
  readonly level: LeaseLevel
  readonly mayDelayOthers: boolean
  readonly breakTimeMs: number
}

export interface FileRecord {
  readonly id: FileId
  /** Leases by mode, because a read lease conflicts with write leases only: taking one looks at few. */
  readonly readers: RangeTree<Lease>
  readonly writers: RangeTree<Lease>
  /** null: nobody waits here. */
  queue: FileQueue | null
  /** Something here has ended in this step: it may be the last that was known of the file. */
  isTouched: boolean
  /** Its last lease went in this step; a waiter may still get a new one. */
  isEmptied: boolean
}

export interface FileQueue {
  /** Layout changes that wait. */
  readonly changes: RangeTree<Change>
  /** Layout changes that were admitted and are being carried out. */
  readonly changesInFlight: RangeTree<Change>
  /** Lease requests that wait, by the mode they ask for. */
  readonly readers: RangeTree<PendingRequest>
  readonly writers: RangeTree<PendingRequest>
  /** Lease requests that START answered with EAGAIN, and that are not worth trying again yet. */
  readonly watches: RangeTree<PendingRequest>
  /** OFDs that have not tried again since. */
  watcherCount: number
}

export interface ContextRecord {
  readonly id: ContextId
  readonly pins: Set<Pin>
}

export interface UserRecord {
  leaseCount: number
  pinCount: number
}

/**
 * The records of the lease table. They are mutable and stay inside src/lease; what leaves it are the snapshots
 * of infos.ts.
 */
import type {
  ContextId,
  FileId,
  Instant,
  LeaseId,
  Ofd,
  PinId,
  ProcessKey,
  RequestId,
  Uid,
} from '../lib/ids.js'
import type { Range } from '../lib/range.js'
import type { LeaseList } from './lease-list.js'
import type { Input, LeaseLevel, LeaseMode, LeaseState, OwnerSignal, PinHolder } from './types.js'

export type InputOf<Kind extends Input['kind']> = Extract<Input, { readonly kind: Kind }>

export interface Owner {
  readonly process: ProcessRecord
  signal: OwnerSignal | null
  /** B2: its signal has been sent for the break under way. */
  isSignalled: boolean
  /** L7: maps a part of the leased range; kept only once the last descriptor is closed. */
  isMapping: boolean
}

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

export interface Lease {
  readonly id: LeaseId
  readonly file: FileRecord
  /** null once the last descriptor is closed (L7, P5). */
  ofd: OfdRecord | null
  readonly user: Uid
  readonly range: Range
  /** Where the list of its file keeps it. */
  slot: number
  mode: LeaseMode
  level: LeaseLevel
  state: LeaseState
  notifyOnly: boolean
  /** As asked for; 0 means the mount's, also when that changes later. */
  breakTimeMs: number
  readonly takenAt: Instant
  readonly owners: Owner[]
  /** By holder and range, so that pinning the same again is found at once (P3). null: never pinned. */
  pins: Map<string, Pin> | null
  leaseBreak: LeaseBreak | null
  /** Its owners have been killed; it is revoked, for this reason, when the last one is gone (B5, X4). */
  seizing: 'timeout' | 'seized' | null
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

/** A layout change that waits, or that was admitted and is being carried out. */
export interface Change {
  readonly kind: 'change'
  readonly request: RequestId
  readonly file: FileRecord
  readonly input: InputOf<'layout-change'>
  isInFlight: boolean
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
  readonly readers: LeaseList
  readonly writers: LeaseList
  /** Layout changes that wait or are in flight, in the order they came. */
  readonly changes: Change[]
  /** Lease requests that wait, in the order they came. */
  readonly requests: LeaseRequest[]
  /** OFDs whose START was answered EAGAIN and that have not tried again. */
  readonly watchers: Set<OfdRecord>
  /** Something here changed in this step: waiters have to be looked at again. */
  isTouched: boolean
}

export interface OfdRecord {
  readonly id: Ofd
  readonly file: FileRecord
  /** Sorted by id, which is the order they were taken in. */
  readonly leases: Lease[]
  breakingCount: number
  revokedCount: number
  /** How many of its lease requests wait. */
  requestCount: number
  /** The request that START answered with EAGAIN, until it is worth trying again. */
  watch: LeaseRequest | null
  isWorthTrying: boolean
  /** What poll(2) was last told: 1 priority, 2 error. */
  pollBits: number
  isPollMarked: boolean
}

export interface ProcessRecord {
  readonly key: ProcessKey
  readonly leases: Set<Lease>
  /** null: it never had any. Most processes own a lease or two and nothing else. */
  pins: Set<Pin> | null
  requests: Set<LeaseRequest> | null
}

export interface ContextRecord {
  readonly id: ContextId
  readonly pins: Set<Pin>
}

export interface UserRecord {
  leaseCount: number
  pinCount: number
}

export function isOwner(lease: Lease, process: ProcessKey | null): boolean {
  for (const owner of lease.owners) if (owner.process.key === process) return true
  return false
}

export function pinCountOf(lease: Lease): number {
  return lease.pins === null ? 0 : lease.pins.size
}

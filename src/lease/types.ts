/**
 * What goes into the lease rules and what comes out of them. Everything here is plain data: the rules do no
 * I/O, read no clock and draw no random numbers. Rule numbers (L1, B2, ...) refer to docs/SEMANTICS.md.
 */
import type { Errno } from '../lib/errno.js'
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

export type LeaseMode = 'read' | 'write'
export type LeaseLevel = 'normal' | 'exclusive'
export type LeaseState = 'active' | 'breaking' | 'zombie' | 'revoked'

/** What a lease request does when it conflicts with normal leases only (L6). */
export type WhenBusy = 'fail' | 'wait' | 'start'

/** Limits and times of one mount. */
export interface LeasePolicy {
  /** B1: how long a normal lease may take to be given up, in milliseconds. */
  readonly breakTimeMs: number
  /** L9: per user. */
  readonly leaseCountMax: number
  /** L9: per user. */
  readonly pinCountMax: number
  /** B5: what happens to a lease that is not given up in time. */
  readonly onTimeout: 'revoke' | 'kill'
}

/**
 * A signal an owner asked for (L5). The engine sends it, and only if whoever asked for it may at that moment: what
 * kill(2) would want to know of them is kept here, and the rules never look at it.
 */
export interface OwnerSignal {
  readonly signo: number
  readonly value: number
  /** Effective user. */
  readonly registrar: Uid
  /** Real user, where it is another one. */
  readonly registrarRealUid?: Uid
  /** Had CAP_KILL. */
  readonly mayKillAll?: boolean
}

/** Who owns a pin (P2). */
export type PinHolder =
  | { readonly kind: 'process'; readonly process: ProcessKey }
  | { readonly kind: 'context'; readonly context: ContextId }

export type LayoutOperation =
  | 'truncate'
  | 'open-truncate'
  | 'punch-hole'
  | 'zero-range'
  | 'collapse-range'
  | 'insert-range'
  | 'unshare-range'
  | 'write-zeroes'
  | 'reflink'

/** The part of a process's mappings that concerns one file (L7), in bytes of the file. */
export interface Mapping {
  readonly process: ProcessKey
  readonly range: Range
}

/** `process: null` is a process the engine's pid namespace cannot see: it never owns and never pins. */
export type Input =
  | {
      readonly kind: 'acquire'
      readonly request: RequestId
      readonly ofd: Ofd
      readonly file: FileId
      readonly process: ProcessKey | null
      readonly user: Uid
      readonly range: Range
      readonly mode: LeaseMode
      readonly level: LeaseLevel
      /** L8: file owner, CAP_FOWNER, or an OFD open for writing. Without: exclusive is EPERM, normal is notify-only. */
      readonly mayDelayOthers: boolean
      readonly whenBusy: WhenBusy
      /** B1: 0 takes the mount's; a larger one than the mount's is cut to it. */
      readonly breakTimeMs: number
    }
  | {
      /** L4: changes mode and level of a lease of this OFD in place. */
      readonly kind: 'change'
      readonly request: RequestId
      readonly ofd: Ofd
      readonly lease: LeaseId
      readonly process: ProcessKey | null
      readonly mode: LeaseMode
      readonly level: LeaseLevel
      readonly mayDelayOthers: boolean
      readonly whenBusy: WhenBusy
      readonly breakTimeMs: number
    }
  /** `lease: null` releases all leases of the OFD or none (P4). */
  | { readonly kind: 'release'; readonly ofd: Ofd; readonly lease: LeaseId | null }
  | {
      readonly kind: 'set-owner'
      readonly ofd: Ofd
      readonly lease: LeaseId
      readonly owner: ProcessKey
      readonly signal: OwnerSignal | null
    }
  | { readonly kind: 'remove-owner'; readonly ofd: Ofd; readonly lease: LeaseId; readonly owner: ProcessKey }
  | {
      readonly kind: 'pin'
      readonly lease: LeaseId
      readonly range: Range
      readonly process: ProcessKey | null
      readonly user: Uid
      readonly holder: PinHolder
    }
  /** One count less (P3); the holder must be the pin's own, else ENOENT. */
  | { readonly kind: 'unpin'; readonly pin: PinId; readonly holder: PinHolder }
  | {
      readonly kind: 'layout-change'
      readonly request: RequestId
      readonly file: FileId
      /** The OFD the change comes through, if it has one (X5). */
      readonly ofd: Ofd | null
      readonly process: ProcessKey | null
      readonly operation: LayoutOperation
      readonly range: Range
      /** B6: the breaker's OFD has O_NONBLOCK. */
      readonly nonBlocking: boolean
    }
  /**
   * An admitted layout change has been carried out (or has failed). Until then the change counts as waiting
   * for L6: no conflicting lease is granted beneath it.
   */
  | { readonly kind: 'layout-change-done'; readonly request: RequestId }
  /** B7: gives up a request that waits. An unknown request is ignored: its answer is already on the way. */
  | { readonly kind: 'interrupt'; readonly request: RequestId }
  /** L7, P5: the last descriptor is gone. `mappings`: what processes still map of that file. */
  | { readonly kind: 'ofd-closed'; readonly ofd: Ofd; readonly mappings: readonly Mapping[] }
  /** L7: what is still mapped of a file whose leases outlived their descriptor; replaces what was known. */
  | { readonly kind: 'mappings-changed'; readonly file: FileId; readonly mappings: readonly Mapping[] }
  | { readonly kind: 'context-closed'; readonly context: ContextId }
  | { readonly kind: 'process-exited'; readonly process: ProcessKey }
  /** X4; whether the caller may was judged by the engine. `kill`: end owners and their pins. */
  | { readonly kind: 'revoke'; readonly lease: LeaseId; readonly kill: boolean }
  | { readonly kind: 'set-policy'; readonly policy: LeasePolicy }
  /** B5: deadlines that `now` has reached. */
  | { readonly kind: 'time-passed' }

/** The immediate answer to an input. A waiting request is answered later by a `reply` effect. */
export type Answer =
  | { readonly status: 'done'; readonly lease?: LeaseId; readonly pin?: PinId; readonly pinCount?: number }
  | { readonly status: 'failed'; readonly errno: Errno }
  | { readonly status: 'waiting' }

/** R3. The engine adds the time, the path, and what it knows of the processes. */
export type LeaseEvent =
  | { readonly event: 'granted'; readonly lease: LeaseInfo }
  | { readonly event: 'break'; readonly lease: LeaseInfo; readonly offender: Offender }
  | { readonly event: 'downgraded'; readonly lease: LeaseInfo }
  | { readonly event: 'released'; readonly lease: LeaseInfo; readonly reason: ReleaseReason }
  | { readonly event: 'revoked'; readonly lease: LeaseInfo; readonly reason: 'timeout' | 'seized' }
  | { readonly event: 'broken'; readonly lease: LeaseInfo; readonly reason: 'self' }
  | { readonly event: 'refused'; readonly lease: LeaseInfo; readonly offender: Offender }
  | { readonly event: 'pinned'; readonly lease: LeaseInfo; readonly pin: PinInfo }
  | {
      readonly event: 'unpinned'
      readonly lease: LeaseInfo
      readonly pin: PinInfo
      readonly reason: UnpinReason
    }
  | { readonly event: 'zombie'; readonly lease: LeaseInfo }
  | { readonly event: 'gone'; readonly lease: LeaseInfo }

export type ReleaseReason = 'release' | 'close' | 'unmapped'
export type UnpinReason = 'unpin' | 'exit' | 'context-closed' | 'killed'

/** Who met the lease, and with what. `operation: 'lease'` is a conflicting lease request (L6). */
export interface Offender {
  readonly process: ProcessKey | null
  readonly operation: LayoutOperation | 'lease'
  readonly range: Range
  readonly errno: Errno | 0
}

export type Effect =
  /** Answers a request that was told to wait; errno 0 lets it go ahead. */
  | {
      readonly kind: 'reply'
      readonly request: RequestId
      readonly errno: Errno | 0
      readonly lease?: LeaseId
    }
  | { readonly kind: 'signal'; readonly process: ProcessKey; readonly signal: OwnerSignal }
  | { readonly kind: 'kill'; readonly process: ProcessKey; readonly lease: LeaseId }
  /** What `pollState` says of this OFD has changed: wake those who poll it (B2). */
  | { readonly kind: 'poll'; readonly ofd: Ofd }
  | { readonly kind: 'event'; readonly event: LeaseEvent }
  /** No lease and no pin is left on this file: the engine may let it go (P7). */
  | { readonly kind: 'file-free'; readonly file: FileId }

export interface Step {
  readonly answer: Answer
  readonly effects: readonly Effect[]
}

/** A lease as reports and events show it. A snapshot: it does not change with the lease. */
export interface LeaseInfo {
  readonly id: LeaseId
  readonly file: FileId
  /** null once the last descriptor is closed. */
  readonly ofd: Ofd | null
  readonly user: Uid
  readonly range: Range
  readonly mode: LeaseMode
  readonly level: LeaseLevel
  readonly state: LeaseState
  readonly notifyOnly: boolean
  readonly owners: readonly ProcessKey[]
  readonly pinCount: number
  readonly takenAt: Instant
  /** While breaking. */
  readonly deadline: Instant | null
}

export interface PinInfo {
  readonly id: PinId
  readonly lease: LeaseId
  readonly file: FileId
  readonly range: Range
  readonly holder: PinHolder
  readonly count: number
  readonly user: Uid
}

/** What poll(2) adds for an OFD: POLLPRI while `breaking` or worth trying again; POLLERR while `revoked`. */
export interface PollState {
  readonly priority: boolean
  readonly error: boolean
}

/** The answer to QUERY (R4). */
export interface QueryResult {
  readonly errno: Errno | 0
  /** Because of which lease. */
  readonly lease: LeaseId | null
}

/** A lease and what is decided by, but not shown in, its LeaseInfo. */
export interface LeaseSnapshot extends LeaseInfo {
  readonly breakTimeMs: number
  /** What would be enough to answer the break under way. */
  readonly demand: 'read' | 'none' | null
  readonly seizing: 'timeout' | 'seized' | null
  readonly ownerStates: readonly OwnerSnapshot[]
}

export interface OwnerSnapshot {
  readonly process: ProcessKey
  readonly signal: OwnerSignal | null
  readonly isSignalled: boolean
  readonly isMapping: boolean
}

/** A layout change that waits or is in flight, or a lease request that waits. */
export interface WaiterSnapshot {
  readonly kind: 'change' | 'in-flight' | 'request'
  readonly request: RequestId
  readonly file: FileId
  readonly ofd: Ofd | null
  readonly process: ProcessKey | null
  readonly range: Range
  /** To be changed in place. */
  readonly lease: LeaseId | null
  readonly mode?: LeaseMode
  readonly level?: LeaseLevel
  readonly mayDelayOthers?: boolean
  readonly breakTimeMs?: number
}

/** Everything the future depends on, but for the policy. Those who wait are in the order they came. */
export interface RulesSnapshot {
  readonly leases: readonly LeaseSnapshot[]
  readonly pins: readonly PinInfo[]
  readonly waiting: readonly WaiterSnapshot[]
  /** L6, START. `request: null`: trying again is worth while by now. */
  readonly watches: readonly { readonly ofd: Ofd | null; readonly request: WaiterSnapshot | null }[]
}

/**
 * The rules. One instance per mount; `step` is the only way to change it, and the same inputs give the same
 * steps on every machine. A failed step has changed nothing, but that START (L6) and a breaker that may not
 * wait (B6) leave a break behind, and that a refusal is told (X3).
 */
export interface LeaseRules {
  step(input: Input, now: Instant): Step
  /** The next moment at which `time-passed` is due. */
  nextDeadline(): Instant | null
  pollState(ofd: Ofd): PollState
  query(
    file: FileId,
    ofd: Ofd | null,
    process: ProcessKey | null,
    operation: LayoutOperation,
    range: Range,
  ): QueryResult
  /** Does a lease or pin protect a byte of this range? (copy_file_range) */
  isProtected(file: FileId, range: Range): boolean
  lease(id: LeaseId): LeaseInfo | undefined
  /** X4: whom `revoke` with `kill` would kill now: the owners, and processes with pins. */
  victimsOf(id: LeaseId): readonly ProcessKey[]
  /** L4: this OFD's lease with the smallest id above `after`. */
  nextLeaseOf(ofd: Ofd, after: number): LeaseInfo | undefined
  leases(): Iterable<LeaseInfo>
  leasesOf(file: FileId): Iterable<LeaseInfo>
  /** How many that are; does not look at them. */
  leaseCountOf(file: FileId): number
  pins(): Iterable<PinInfo>
  /** Processes that own a lease or a pin: their exits must be told by `process-exited`. */
  isInvolved(process: ProcessKey): boolean
  /** For tools that compare states; it costs as much as there is. */
  snapshot(): RulesSnapshot
  readonly leaseCount: number
  readonly pinCount: number
}

/**
 * What the auditor is shown of a machine: what a kernel and a report could tell, and nothing of how the rules
 * came to it. Names are those of the scenario; numbers of open file descriptions mean nothing but themselves.
 */
import type { Action, Bytes, LeaseSight, Name, Outcome, User } from '../scenario.js'
import type { ActionId } from '../world.js'

export interface ProcessFacts {
  readonly user: User
  readonly parent: Name | null
  readonly isAlive: boolean
  readonly isStopped: boolean
  /** Which open file description each of its descriptors is of. */
  readonly descriptors: ReadonlyMap<Name, number>
  readonly mappings: ReadonlyMap<Name, MappingFacts>
}

export interface MappingFacts {
  readonly file: Name
  readonly bytes: Bytes
}

export interface OpenFileFacts {
  /** null: a pin context. */
  readonly file: Name | null
  readonly isWritable: boolean
  /** L10: it leads past the mount, so nothing that comes through it is governed. */
  readonly isPast: boolean
  readonly isNonBlocking: boolean
  readonly isPriority: boolean
  readonly isError: boolean
}

export interface FileFacts {
  readonly owner: User
  readonly sizeBytes: number
  /** Which bytes have a block that still is the one they were written to; sorted, apart, within the size. */
  readonly blocks: readonly Bytes[]
}

export interface WaitFacts {
  readonly id: ActionId
  readonly process: Name
  readonly action: Action
  /** It waits in the kernel for a lock on the file, so Holdfast has not heard of it yet (B4). */
  readonly isInKernel: boolean
  /** It is over, but its process is stopped and does not know yet. */
  readonly returned: Outcome | null
}

export interface Facts {
  readonly nowMs: number
  readonly processes: ReadonlyMap<Name, ProcessFacts>
  /** Those that somebody has a descriptor of. */
  readonly openFiles: ReadonlyMap<number, OpenFileFacts>
  readonly files: ReadonlyMap<Name, FileFacts>
  readonly waits: readonly WaitFacts[]
  /** The leases that are listed. */
  readonly sights: ReadonlyMap<Name, LeaseSight>
  /** Which open file description each listed lease is of; null: it is closed. */
  readonly leaseHolders: ReadonlyMap<Name, number | null>
  /** Names of the pins there are. */
  readonly pins: ReadonlySet<Name>
  /** Ids of leases that are listed. */
  readonly leaseIds: ReadonlyMap<Name, number>
}

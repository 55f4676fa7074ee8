/** What there is in the model's kernel. The records are mutable and belong to the machine. */
import type { ContextId, FileId, Ofd, ProcessKey, RequestId, Uid } from '../../lib/ids.js'
import type { Range } from '../../lib/range.js'
import type { Action, Name, Outcome, Signal, User } from '../scenario.js'
import type { ActionId } from '../world.js'
import type { FileBytes } from './file-bytes.js'

export const PAGE_BYTES = 4096

/** A lock of the kernel's. No signal ends the wait for it, and SIGKILL only that of a call which `isKillable`. */
export interface KernelLock {
  holder: Call | null
  /** In the order they came. */
  readonly queue: Call[]
}

export function newLock(): KernelLock {
  return { holder: null, queue: [] }
}

export interface ModelFile {
  readonly id: FileId
  readonly name: Name
  readonly bytes: FileBytes
  owner: User
  mode: number
  isLinked: boolean
  readonly inodeLock: KernelLock
  /** Of its directory, where it is alone. */
  readonly directoryLock: KernelLock
}

/** An open file description. */
export interface OpenFile {
  readonly kind: 'file'
  readonly id: Ofd
  readonly file: ModelFile
  readonly canRead: boolean
  readonly canWrite: boolean
  readonly isNonBlocking: boolean
  /** Holdfast does not know of it (L10). */
  readonly isPast: boolean
  /** Descriptors in all processes, and mappings without passthrough. */
  referenceCount: number
}

export interface PinContext {
  readonly kind: 'context'
  readonly id: ContextId
  referenceCount: number
}

export type Description = OpenFile | PinContext

export interface ModelMapping {
  readonly file: ModelFile
  readonly range: Range
  /** What it keeps open: with passthrough, nothing that Holdfast would know of. */
  readonly keeps: OpenFile | null
}

export interface PendingSignal {
  readonly signal: Signal
  readonly value: number
}

export interface ModelProcess {
  readonly key: ProcessKey
  readonly name: Name
  readonly parent: ModelProcess | null
  user: User
  state: 'running' | 'stopped' | 'dead'
  /** SIGKILL has come; it dies when the call it is in returns. */
  isDoomed: boolean
  readonly descriptors: Map<Name, Description>
  readonly mappings: Map<Name, ModelMapping>
  /** Caught signals whose handlers have not run. */
  pending: PendingSignal[]
  call: Call | null
}

/** A system call that has been started and has not returned to its process. */
export interface Call {
  readonly id: ActionId
  readonly process: ModelProcess
  readonly action: Action
  /** `kernel`: for a lock; `holdfast`: for its answer; `returned`: only its process has to go on. */
  place: 'started' | 'kernel' | 'holdfast' | 'returned'
  /** What Holdfast knows it by. */
  request: RequestId | null
  readonly locks: KernelLock[]
  /** Whether SIGKILL ends its wait for a lock: since Linux 6.16 truncate, chmod and chown ask for it in this way. */
  isKillable: boolean
  /** Goes on once a lock has been got. */
  resume: (() => void) | null
  outcome: Outcome | null
}

const UIDS: Readonly<Record<User, number>> = { root: 0, alice: 1001, bob: 1002 }

export function uidOf(user: User): Uid {
  return UIDS[user] as Uid
}

/** The three share no group. */
export function mayAccess(user: User, file: ModelFile, wants: { read: boolean; write: boolean }): boolean {
  if (user === 'root') return true
  const bits = user === file.owner ? file.mode >> 6 : file.mode
  return (!wants.read || (bits & 4) !== 0) && (!wants.write || (bits & 2) !== 0)
}

/** kill(2). */
export function maySignal(sender: Uid, target: ModelProcess): boolean {
  return sender === 0 || sender === uidOf(target.user)
}

/** The auditor's books, and what overlaps and conflicts in its own plain words. */
import type { FileId, LeaseId, Ofd, PinId, ProcessKey } from '../lib/ids.js'
import type { Range } from '../lib/range.js'
import type { Input, LeaseLevel, LeaseMode, Mapping, PinHolder, Step } from './types.js'

export type ChangeInput = Extract<Input, { readonly kind: 'layout-change' }>
export type AcquireInput = Extract<Input, { readonly kind: 'acquire' }>
export type SetInput = Extract<Input, { readonly kind: 'change' }>

export interface BookedLease {
  readonly id: LeaseId
  readonly file: FileId
  readonly range: Range
  readonly ofd: Ofd
  readonly user: number
  mode: LeaseMode
  level: LeaseLevel
  notifyOnly: boolean
  isOpen: boolean
  /** What was mapped of the file when it was last said, once the lease has no descriptor. */
  mappings: readonly Mapping[]
  isRevoked: boolean
  /** How often owners were told in the break under way. */
  toldCount: number
  readonly owners: Set<ProcessKey>
}

export interface BookedPin {
  readonly id: PinId
  readonly lease: LeaseId
  readonly range: Range
  readonly holder: PinHolder
}

export interface Place {
  readonly file: FileId
  readonly range: Range
}

/** A lease as L3 sees it: had or wished for. */
export interface Wish extends Place {
  readonly ofd: Ofd
  readonly mode: LeaseMode
}

export function isContrary(a: Wish, b: Wish): boolean {
  return a.ofd !== b.ofd && (a.mode === 'write' || b.mode === 'write') && meets(a, b)
}

/** B8 */
export function isSelf(lease: BookedLease, change: ChangeInput): boolean {
  const isOwn = change.process !== null && lease.owners.has(change.process)
  return isOwn && lease.owners.size === 1 && lease.level === 'normal' && lease.mode === 'read'
}

export function meets(a: Place, b: Place): boolean {
  return a.file === b.file && touches(a.range, b.range)
}

export function touches(a: Range, b: Range): boolean {
  return Math.max(a.start, b.start) < Math.min(a.end, b.end)
}

export function hasBroken(step: Step, lease: LeaseId): boolean {
  return step.effects.some(
    (effect) => effect.kind === 'event' && effect.event.event === 'broken' && effect.event.lease.id === lease,
  )
}

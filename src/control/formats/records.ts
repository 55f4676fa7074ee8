/**
 * What Holdfast reports about itself: one record per mount, lease, pin and event, as plain data. The control
 * directory writes them as text for people and as JSON Lines for programs; `holdfast leases --json` prints
 * the same objects.
 */

import type { LeaseLevel, LeaseMode, LeaseState } from '../../lease/types.js'
import { formatTable } from '../../lib/text-table.js'

/** A path that is not UTF-8 appears with `\xHH` for its odd bytes, and exactly in the base64 field. */
export interface PathText {
  readonly file: string
  readonly fileBase64?: string
}

export interface ProcessRecord {
  readonly pid: number
  readonly command: string
}

export interface MountRecord {
  readonly type: 'mount'
  readonly mountpoint: string
  readonly mountpointBase64?: string
  /** The control directory that serves it. */
  readonly control: string
  /** `run` goes with its last lease, `mount` stays until it is unmounted. */
  readonly kind: 'run' | 'mount'
  /** Type of the file system below: ext4, ... */
  readonly backing: string
  readonly passthrough: boolean
  /** As --cache says it: `auto`, `strict` or `none`. */
  readonly cache: string
  /** What of FUSE is in use, by the names of 'holdfast doctor'. */
  readonly features: readonly string[]
  readonly engine: ProcessRecord
  readonly leases: number
  readonly pins: number
}

export interface LeaseRecord extends PathText {
  readonly type: 'lease'
  readonly id: number
  readonly mountpoint: string
  /** Device (major:minor) and number of the inode as a program under the mount sees them. */
  readonly device: string
  readonly inode: string
  readonly start: number
  /** 0: to the end of the file, wherever that is. */
  readonly length: number
  readonly mode: LeaseMode
  readonly level: LeaseLevel
  readonly state: LeaseState
  readonly notifyOnly: boolean
  readonly pins: number
  readonly ageMs: number
  /** Until revocation, while breaking. */
  readonly breakTimeLeftMs?: number
  readonly uid: number
  readonly owners: readonly ProcessRecord[]
  /** If it has refused anything yet: how often, and the last of it. */
  readonly refused?: { readonly count: number; readonly lastAt: string; readonly last: OffenderRecord }
}

/** Who did what to which bytes, and how it was answered. */
export interface OffenderRecord extends ProcessRecord {
  readonly operation: string
  readonly start: number
  readonly length: number
  readonly errno?: string
}

/** An operation that waits until leases are given up; `operation: 'lease'` is a request for a lease. */
export interface WaitingRecord extends PathText, OffenderRecord {
  readonly type: 'waiting'
  readonly mountpoint: string
  readonly inode: string
  readonly ageMs: number
}

/** Whose a pin is. */
export type HolderRecord =
  | ({ readonly kind: 'process' } & ProcessRecord)
  | { readonly kind: 'context'; readonly context: number; readonly openedBy: ProcessRecord }

export interface PinRecord extends PathText {
  readonly type: 'pin'
  readonly id: number
  readonly lease: number
  readonly mountpoint: string
  readonly start: number
  readonly length: number
  readonly count: number
  readonly uid: number
  readonly holder: HolderRecord
}

export type ReportRecord = MountRecord | LeaseRecord | PinRecord | WaitingRecord

export interface EventRecord {
  /** ISO 8601, UTC. */
  readonly time: string
  readonly event: string
  readonly lease?: number
  readonly file?: string
  readonly fileBase64?: string
  readonly start?: number
  readonly length?: number
  readonly mode?: LeaseMode
  readonly level?: LeaseLevel
  readonly pin?: number
  readonly reason?: string
  readonly owners?: readonly ProcessRecord[]
  /** Of the user who took the lease. */
  readonly uid?: number
  /** For pinned and unpinned. */
  readonly holder?: HolderRecord
  /** For refused, break and bypassed. */
  readonly offender?: OffenderRecord
  /** For lost: how many events this reader missed. Without, `reason` says what will not be told. */
  readonly count?: number
}

const TITLES = ['ID', 'MODE', 'LEVEL', 'STATE', 'START', 'LENGTH', 'PINS', 'AGE', 'UID', 'OWNERS', 'FILE']

export function formatAge(ageMs: number): string {
  const seconds = Math.floor(ageMs / 1000)
  if (seconds < 100) return `${seconds}s`
  if (seconds < 6000) return `${Math.floor(seconds / 60)}m`
  if (seconds < 360_000) return `${Math.floor(seconds / 3600)}h`
  return `${Math.floor(seconds / 86_400)}d`
}

export function formatOwners(owners: readonly ProcessRecord[]): string {
  return owners.length === 0 ? '-' : owners.map(({ pid, command }) => `${pid}(${command})`).join(',')
}

export function formatLength(length: number): string {
  return length === 0 ? 'end' : String(length)
}

/** The control file `leases`. FILE comes last, since it may contain anything but a newline. */
export function formatLeases(leases: Iterable<LeaseRecord>): string {
  return `${formatTable([TITLES, ...Array.from(leases, cellsOf)])}\n`
}

function cellsOf(lease: LeaseRecord): string[] {
  return [
    String(lease.id),
    lease.mode,
    lease.notifyOnly ? 'notify' : lease.level,
    lease.state,
    String(lease.start),
    formatLength(lease.length),
    String(lease.pins),
    formatAge(lease.ageMs),
    String(lease.uid),
    formatOwners(lease.owners),
    lease.file,
  ]
}

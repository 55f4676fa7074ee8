import type { Instant, LeaseId, ProcessKey, Uid } from '../lib/ids.js'
import type { Range } from '../lib/range.js'
import type { OfdRecord } from './ofd-record.js'
import { NO_OWNERS, type OwnerSet } from './owner-set.js'
import type { RangeNode } from './range-tree.js'
import type { FileRecord, LeaseBreak, LeaseRequest, Pin } from './records.js'
import { type Standing, standingOf } from './standing.js'
import type { LeaseLevel, LeaseMode, LeaseState } from './types.js'
import type { Waiter } from './waiter.js'

/** What most leases never have. */
class Rarities {
  pins: Map<string, Pin> | null = null
  leaseBreak: LeaseBreak | null = null
  seizing: 'timeout' | 'seized' | null = null
  breakTimeMs = 0
  attached: Set<Waiter> | null = null
}

const NO_RARITIES: Readonly<Rarities> = new Rarities()

/**
 * A lease; also a node of the tree that its file keeps it in. 100,000 of them must fit into 30 MB, together with
 * what leads to them: so what most leases share (`Standing`, `OwnerSet`) or lack (`Rarities`) is no field of
 * each.
 */
export class Lease implements RangeNode<Lease> {
  readonly id: LeaseId
  readonly start: number
  readonly end: number
  readonly file: FileRecord
  /** null once the last descriptor is closed (L7, P5). */
  ofd: OfdRecord | null
  readonly user: Uid
  readonly takenAt: Instant
  left: Lease | null = null
  right: Lease | null = null
  reach: Lease | null = null
  height = 1
  #owners: OwnerSet
  #standing: Standing
  #rarities: Rarities | null = null

  /** The lease that is asked for. */
  constructor(id: LeaseId, ofd: OfdRecord, request: LeaseRequest, takenAt: Instant, owners: OwnerSet) {
    this.id = id
    this.file = ofd.file
    this.ofd = ofd
    this.user = request.user
    this.start = request.range.start
    this.end = request.range.end
    this.takenAt = takenAt
    this.#owners = owners
    this.#standing = standingOf(request.mode, request.level, 'active', !request.mayDelayOthers)
    this.breakTimeMs = request.breakTimeMs
  }

  get range(): Range {
    return { start: this.start, end: this.end }
  }

  get mode(): LeaseMode {
    return this.#standing.mode
  }

  set mode(mode: LeaseMode) {
    this.#standing = standingOf(mode, this.level, this.state, this.notifyOnly)
  }

  get level(): LeaseLevel {
    return this.#standing.level
  }

  set level(level: LeaseLevel) {
    this.#standing = standingOf(this.mode, level, this.state, this.notifyOnly)
  }

  get state(): LeaseState {
    return this.#standing.state
  }

  set state(state: LeaseState) {
    this.#standing = standingOf(this.mode, this.level, state, this.notifyOnly)
  }

  get notifyOnly(): boolean {
    return this.#standing.notifyOnly
  }

  set notifyOnly(notifyOnly: boolean) {
    this.#standing = standingOf(this.mode, this.level, this.state, notifyOnly)
  }

  get owners(): OwnerSet {
    return this.#owners
  }

  /** To change the set or what is remembered of an owner: other leases must not notice. */
  ownersToChange(): OwnerSet {
    if (this.#owners.isShared) this.#owners = this.#owners.copy()
    return this.#owners
  }

  isOwner(process: ProcessKey | null): boolean {
    return this.#owners.has(process)
  }

  /** It protects nothing from now on and is nobody's. */
  finish(): void {
    this.#owners = NO_OWNERS
    this.state = 'revoked'
  }

  /** By holder and range, so that pinning the same again is found at once (P3). null: never pinned. */
  get pins(): ReadonlyMap<string, Pin> | null {
    return this.#rare.pins
  }

  get pinCount(): number {
    const { pins } = this.#rare
    return pins === null ? 0 : pins.size
  }

  addPin(pin: Pin): void {
    const rarities = this.#toChange()
    rarities.pins ??= new Map()
    rarities.pins.set(pin.key, pin)
  }

  removePin(pin: Pin): void {
    this.#toChange().pins?.delete(pin.key)
  }

  get leaseBreak(): LeaseBreak | null {
    return this.#rare.leaseBreak
  }

  set leaseBreak(leaseBreak: LeaseBreak | null) {
    this.#toChange().leaseBreak = leaseBreak
  }

  /** Its owners have been killed; it is revoked, for this reason, when the last one is gone (B5, X4). */
  get seizing(): 'timeout' | 'seized' | null {
    return this.#rare.seizing
  }

  set seizing(seizing: 'timeout' | 'seized' | null) {
    if (seizing !== this.seizing) this.#toChange().seizing = seizing
  }

  /** As asked for; 0 means the mount's, also when that changes later. */
  get breakTimeMs(): number {
    return this.#rare.breakTimeMs
  }

  set breakTimeMs(breakTimeMs: number) {
    if (breakTimeMs !== this.breakTimeMs) this.#toChange().breakTimeMs = breakTimeMs
  }

  /** Those who wait for this lease, of all that do, who are attached to it. */
  get attached(): Set<Waiter> | null {
    return this.#rare.attached
  }

  set attached(attached: Set<Waiter> | null) {
    this.#toChange().attached = attached
  }

  get #rare(): Readonly<Rarities> {
    return this.#rarities ?? NO_RARITIES
  }

  #toChange(): Rarities {
    this.#rarities ??= new Rarities()
    return this.#rarities
  }
}

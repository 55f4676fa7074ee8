import type { ProcessKey } from '../lib/ids.js'
import type { ProcessRecord } from './process-record.js'
import type { OwnerSignal } from './types.js'

/** L5: without a signal, until it chooses one. */
export class Owner {
  readonly process: ProcessRecord
  signal: OwnerSignal | null = null
  /** B2: its signal has been sent for the break under way. */
  isSignalled = false
  /** L7: maps a part of the leased range; kept only once the last descriptor is closed. */
  isMapping = false

  constructor(process: ProcessRecord) {
    this.process = process
  }

  copy(): Owner {
    return Object.assign(new Owner(this.process), this)
  }
}

/**
 * The owners of a lease, in the order they came (L5). Nearly every lease has one owner with nothing to remember
 * of it: all such leases of a process share one set, which never changes. `Lease.ownersToChange` gives a lease
 * a set of its own.
 */
export class OwnerSet {
  readonly isShared: boolean
  /** The only owner; null if there is none, or `#several` has them. */
  #only: Owner | null = null
  #several: Map<ProcessKey, Owner> | null = null
  #keys: readonly ProcessKey[] | null = null

  constructor(only: Owner | null, isShared: boolean) {
    this.isShared = isShared
    if (only !== null) this.add(only)
  }

  get size(): number {
    if (this.#several !== null) return this.#several.size
    return this.#only === null ? 0 : 1
  }

  has(process: ProcessKey | null): boolean {
    return process !== null && this.get(process) !== undefined
  }

  get(process: ProcessKey): Owner | undefined {
    const only = this.#only
    if (only !== null) return only.process.id === process ? only : undefined
    return this.#several?.get(process)
  }

  forEach(visit: (owner: Owner) => void): void {
    if (this.#only !== null) visit(this.#only)
    else if (this.#several !== null) for (const owner of this.#several.values()) visit(owner)
  }

  /** L7: does one of them map a part of the leased range? */
  get isMapping(): boolean {
    if (this.#several === null) return this.#only?.isMapping === true
    for (const owner of this.#several.values()) if (owner.isMapping) return true
    return false
  }

  /** A list that stays as it is: events and reports show it. */
  keys(): readonly ProcessKey[] {
    if (this.#only !== null) return [this.#only.process.id]
    this.#keys ??= [...(this.#several?.keys() ?? [])]
    return this.#keys
  }

  add(owner: Owner): void {
    const { id } = owner.process
    if (this.size === 0) {
      this.#only = owner
      this.#several = null
      return
    }
    if (this.#only !== null) this.#several = new Map([[this.#only.process.id, this.#only]])
    this.#only = null
    this.#several?.set(id, owner)
    this.#keys = null
  }

  delete(process: ProcessKey): void {
    if (this.#only !== null && this.#only.process.id === process) this.#only = null
    this.#several?.delete(process)
    this.#keys = null
  }

  copy(): OwnerSet {
    const copied = new OwnerSet(null, false)
    this.forEach((owner) => {
      copied.add(owner.copy())
    })
    return copied
  }
}

export const NO_OWNERS = new OwnerSet(null, true)

import type { Lease } from './lease.js'

/**
 * Whoever has leases: an open file description or a process. Most have one, some have thousands; they are kept in
 * the order in which they came. One that leaves is forgotten when as many have left as are there, so that
 * leaving costs the same however many there are.
 */
export abstract class LeaseHolder {
  #leases: Lease | Lease[] | null = null
  #count = 0

  /** Is this lease still here? */
  protected abstract hasNow(lease: Lease): boolean

  get leaseCount(): number {
    return this.#count
  }

  addLease(lease: Lease): void {
    const known = this.#leases
    if (this.#count === 0 || known === null) this.#leases = lease
    else if (Array.isArray(known)) known.push(lease)
    else this.#leases = [known, lease]
    this.#count++
  }

  /** Call it when `hasNow` has become false for one of them. */
  forgetLease(): void {
    this.#count--
    const known = this.#leases
    if (this.#count === 0) this.#leases = null
    else if (Array.isArray(known) && known.length > 2 * this.#count + 8) this.#leases = this.leases()
  }

  /** A copy, so they may leave meanwhile. */
  leases(): Lease[] {
    const known = this.#leases
    if (known === null) return []
    return Array.isArray(known) ? known.filter((lease) => this.hasNow(lease)) : [known]
  }

  /** The one with the smallest id above `after`, where they came in the order of their ids. */
  leaseAbove(after: number): Lease | undefined {
    const known = this.#leases
    if (known === null) return undefined
    if (!Array.isArray(known)) return known.id > after ? known : undefined
    for (let index = indexAbove(known, after); index < known.length; index++) {
      const lease = known[index]
      if (lease !== undefined && this.hasNow(lease)) return lease
    }
    return undefined
  }
}

/** Where the first lease with an id above `after` is in a list sorted by id; its length if there is none. */
function indexAbove(leases: readonly Lease[], after: number): number {
  let low = 0
  let high = leases.length
  while (low < high) {
    const middle = (low + high) >> 1
    const lease = leases[middle]
    if (lease !== undefined && lease.id <= after) low = middle + 1
    else high = middle
  }
  return low
}

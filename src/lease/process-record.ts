import type { ProcessKey } from '../lib/ids.js'
import type { Lease } from './lease.js'
import { LeaseHolder } from './lease-holder.js'
import { Owner, OwnerSet } from './owner-set.js'
import type { Pin } from './records.js'
import type { PendingRequest } from './waiter.js'

/** A process that owns a lease or a pin, or waits. */
export class ProcessRecord extends LeaseHolder {
  readonly id: ProcessKey
  /** The owners of a lease that this process has for itself. */
  readonly alone: OwnerSet
  /** null: it never had any. Most processes own a lease or two and nothing else. */
  pins: Set<Pin> | null = null
  requests: Set<PendingRequest> | null = null

  constructor(id: ProcessKey) {
    super()
    this.id = id
    this.alone = new OwnerSet(new Owner(this), true)
  }

  protected override hasNow(lease: Lease): boolean {
    return lease.owners.has(this.id)
  }

  get isUnused(): boolean {
    if (this.leaseCount > 0) return false
    return (
      (this.pins === null || this.pins.size === 0) && (this.requests === null || this.requests.size === 0)
    )
  }
}

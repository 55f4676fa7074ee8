import type { Ofd } from '../lib/ids.js'
import type { Lease } from './lease.js'
import { LeaseHolder } from './lease-holder.js'
import type { FileRecord } from './records.js'
import type { PendingRequest } from './waiter.js'

export const POLL_PRIORITY = 1
export const POLL_ERROR = 2

/** What has to be remembered for those who poll, or wait. */
class Activity {
  breakingCount = 0
  revokedCount = 0
  /** Its lease requests that wait. null: there were never any. */
  requests: Set<PendingRequest> | null = null
  /** The request that START answered with EAGAIN, until it is worth trying again. */
  watch: PendingRequest | null = null
  isWorthTrying = false
  /** What poll(2) was last told. */
  pollBits = 0
  isPollMarked = false
}

const NO_ACTIVITY: Readonly<Activity> = new Activity()

/** An open file description with leases or requests. */
export class OfdRecord extends LeaseHolder {
  readonly id: Ofd
  readonly file: FileRecord
  #activity: Activity | null = null

  constructor(id: Ofd, file: FileRecord) {
    super()
    this.id = id
    this.file = file
  }

  protected override hasNow(lease: Lease): boolean {
    return lease.ofd === this
  }

  /** Nothing has happened here that poll would tell; most are so all their life. */
  get activity(): Readonly<Activity> {
    return this.#activity ?? NO_ACTIVITY
  }

  activityToChange(): Activity {
    this.#activity ??= new Activity()
    return this.#activity
  }

  /** What poll(2) says now. */
  get pollBits(): number {
    const { breakingCount, revokedCount, isWorthTrying } = this.activity
    const priority = breakingCount > 0 || isWorthTrying ? POLL_PRIORITY : 0
    return priority | (revokedCount > 0 ? POLL_ERROR : 0)
  }

  get isUnused(): boolean {
    const { requests, watch, isWorthTrying } = this.activity
    const isWaiting = requests !== null && requests.size > 0
    return this.leaseCount === 0 && !isWaiting && watch === null && !isWorthTrying
  }
}

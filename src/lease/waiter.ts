import type { RequestId } from '../lib/ids.js'
import type { Lease } from './lease.js'
import type { RangeNode } from './range-tree.js'
import type { FileRecord, InputOf, LeaseRequest } from './records.js'

/** Who waits: for what is in its way, which is one of these or a lease. */
export type Waiter = Change | PendingRequest

/**
 * What all who wait have in common. Each is attached to one thing that is in its way, and is looked at again
 * when that moves, not before: however many wait, a step looks only at those that it may concern.
 */
abstract class Waiting<Item> implements RangeNode<Item> {
  /** Where it stands in the order in which they came. */
  readonly id: number
  readonly request: RequestId
  readonly file: FileRecord
  readonly start: number
  readonly end: number
  left: Item | null = null
  right: Item | null = null
  reach: Item | null = null
  height = 1
  /** The one it is attached to. */
  obstacle: Lease | Waiter | null = null
  /** Leases it waits for, the obstacle last; those that are out of the way may still be among them. */
  waitingFor: Lease[] = []
  /** Those who are attached to this one. */
  attached: Set<Waiter> | null = null
  /** It has its answer, or has been carried out. */
  isOver = false

  constructor(
    id: number,
    request: RequestId,
    file: FileRecord,
    { start, end }: { start: number; end: number },
  ) {
    this.id = id
    this.request = request
    this.file = file
    this.start = start
    this.end = end
  }
}

/** A layout change that waits, or that was admitted and is being carried out. */
export class Change extends Waiting<Change> {
  readonly kind = 'change'
  readonly input: InputOf<'layout-change'>
  isInFlight = false

  constructor(id: number, file: FileRecord, input: InputOf<'layout-change'>) {
    super(id, input.request, file, input.range)
    this.input = input
  }
}

/** A lease request that waits (`request`), or whose START was answered EAGAIN and that is watched for (`watch`). */
export class PendingRequest extends Waiting<PendingRequest> {
  readonly kind: 'request' | 'watch'
  readonly wish: LeaseRequest

  constructor(id: number, kind: 'request' | 'watch', file: FileRecord, wish: LeaseRequest) {
    super(id, wish.request, file, wish.range)
    this.kind = kind
    this.wish = wish
  }
}

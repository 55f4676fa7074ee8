/** Whoever may have a descriptor in the cache. `fd` is -1 while it has none. */
export interface FdHolder {
  fd: number
  /** `FdCache.now` at the last use; the cache sets it to 0 when it looks for something to close. */
  fdUsedAt: number
  /** Place in the cache, -1 if not there. */
  fdSlot: number
  /** Must this descriptor stay, because the file could not be found again? */
  readonly mustKeepFd: boolean
  /** Is it in use by a request that has not been answered yet? */
  readonly isInUse: boolean
}

/**
 * Bounds how many descriptors are open, with the "second chance" rule: one hand goes round, what was used since
 * it came by last is spared once. Using a descriptor costs a store, no list is relinked.
 *
 * What the request being carried out has used is never closed, since it has these descriptors in hand: `tick`
 * says that another request begins.
 */
export class FdCache<Holder extends FdHolder> {
  private readonly slots: (Holder | null)[] = []
  private readonly freeSlots: number[] = []
  private hand = 0
  private count = 0
  /** Counts requests, from 1. */
  now = 1
  readonly countMax: number
  private readonly evict: (holder: Holder) => void

  /** @param evict closes `holder.fd`; the cache has forgotten it already. */
  constructor(countMax: number, evict: (holder: Holder) => void) {
    this.countMax = countMax
    this.evict = evict
  }

  get size(): number {
    return this.count
  }

  /** Another request begins; none of the descriptors handed out before is in use. */
  tick(): void {
    this.now++
    // An eighth at a time, so that going round pays.
    if (this.count > this.countMax) this.trim(this.countMax - (this.countMax >> 3))
  }

  add(holder: Holder): void {
    const slot = this.freeSlots.pop() ?? this.slots.length
    this.slots[slot] = holder
    holder.fdSlot = slot
    holder.fdUsedAt = this.now
    this.count++
  }

  /** The holder takes its descriptor out of the cache's care; it stays open. */
  remove(holder: Holder): void {
    if (holder.fdSlot < 0) return
    this.slots[holder.fdSlot] = null
    this.freeSlots.push(holder.fdSlot)
    holder.fdSlot = -1
    this.count--
  }

  /**
   * Closes descriptors until `countMax` are left. Those that must stay go only if there is nothing else, and not at
   * all unless it is urgent.
   */
  trim(countMax: number, isUrgent = true): void {
    // Two rounds clear every mark and come by again; a third takes what should have stayed.
    const lastRound = isUrgent ? this.slots.length : 0
    let steps = this.slots.length * 2 + lastRound
    while (this.count > countMax && steps-- > 0) {
      this.hand = this.hand + 1 < this.slots.length ? this.hand + 1 : 0
      const holder = this.slots[this.hand]
      if (holder === null || holder === undefined) continue
      if (holder.fdUsedAt === this.now || holder.isInUse) continue
      if (holder.fdUsedAt !== 0 && steps >= lastRound) {
        holder.fdUsedAt = 0
        continue
      }
      if (holder.mustKeepFd && steps >= lastRound) continue
      this.remove(holder)
      this.evict(holder)
    }
  }

  *holders(): Iterable<Holder> {
    for (const holder of this.slots) if (holder !== null) yield holder
  }
}

/**
 * Where a system call is made that may have to wait: in the thread that serves the file system, which is quickest,
 * or in an io thread, where it holds up nobody. Pure: the clock comes from outside.
 */

/**
 * look: finds out, and waits for the disk, or for whoever changes the same directory.
 * change: changes names or attributes, and waits for the journal.
 * write: data that comes through the daemon, and waits for memory and the disk.
 */
export type CallGroup = 'look' | 'change' | 'write'

/** A call that took this long and slept in between met something other than memory. */
export const SLOW_MS = 2
/** For so long the others of its group are made elsewhere. */
export const SLOW_PERIOD_MS = 1000
/**
 * On a busy machine a call takes as long because others have the processor. Whether a thread has slept costs a system
 * call to find out, so it is only looked at for so many calls of a group after one that took long.
 */
export const SUSPECT_COUNT = 256
/** A call that has been under way elsewhere for so long is in somebody's way. */
const STUCK_MS = 1

interface Group {
  slowUntilMs: number
  /** How many calls are still to be looked at. */
  suspectCount: number
  /** When each call began that is under way elsewhere, the oldest first. */
  readonly away: Map<number, number>
}

export class CallPolicy {
  /** Can nothing be known of how long a call takes, as on a network? Then none is made here. */
  private readonly isRemote: boolean
  private readonly groups: Readonly<Record<CallGroup, Group>> = {
    look: { slowUntilMs: 0, suspectCount: 0, away: new Map() },
    change: { slowUntilMs: 0, suspectCount: 0, away: new Map() },
    write: { slowUntilMs: 0, suspectCount: 0, away: new Map() },
  }
  private commitCount = 0
  private nextId = 1

  constructor(isRemote: boolean) {
    this.isRemote = isRemote
  }

  /** Is nothing under way elsewhere? */
  get isQuiet(): boolean {
    const { look, change, write } = this.groups
    return this.commitCount === 0 && look.away.size + change.away.size + write.away.size === 0
  }

  /** May a call of this group be made where everybody waits for it? */
  mayRunHere(group: CallGroup, nowMs: number): boolean {
    if (this.isRemote || nowMs < this.groups[group].slowUntilMs) return false
    // The journal is being written: changes wait for it. Whoever changes a directory keeps others from looking.
    if (group === 'write') return true
    if (group === 'change' && this.commitCount > 0) return false
    return !this.isStuck(this.groups.change, nowMs) && !this.isStuck(this.groups[group], nowMs)
  }

  private isStuck({ away }: Group, nowMs: number): boolean {
    if (away.size === 0) return false
    for (const startMs of away.values()) return nowMs - startMs > STUCK_MS
    return false
  }

  /** The next call of this group is made here: is it worth knowing whether it sleeps? */
  looksAtNext(group: CallGroup): boolean {
    const state = this.groups[group]
    if (state.suspectCount === 0) return false
    state.suspectCount--
    return true
  }

  /**
   * A call of this group was made, here or elsewhere, and took so long.
   * @param hasSlept null if that is not known.
   */
  took(group: CallGroup, durationMs: number, hasSlept: boolean | null, nowMs: number): void {
    if (durationMs <= SLOW_MS || hasSlept === false) return
    const state = this.groups[group]
    state.suspectCount = SUSPECT_COUNT
    if (hasSlept === true) state.slowUntilMs = nowMs + SLOW_PERIOD_MS
  }

  /** A call is made elsewhere. @returns what to say when it is over. */
  sent(group: CallGroup, nowMs: number): number {
    this.groups[group].away.set(this.nextId, nowMs)
    return this.nextId++
  }

  /** @param durationMs how long the call itself took. */
  back(group: CallGroup, id: number, durationMs: number, hasSlept: boolean, nowMs: number): void {
    this.groups[group].away.delete(id)
    this.took(group, durationMs, hasSlept, nowMs)
  }

  /** Something is under way that has much written to disk (fsync, syncfs, large copies). */
  commitBegins(): void {
    this.commitCount++
  }

  /** What was written is not all on the disk yet, and changes may still wait for that. */
  commitEnds(durationMs: number, hasSlept: boolean, nowMs: number): void {
    this.commitCount--
    this.took('change', durationMs, hasSlept, nowMs)
  }
}

/**
 * May the kernel hand out the listing of a directory that it has kept (FOPEN_CACHE_DIR)? That costs nothing, but brings
 * no attributes along: whoever looks at each entry then asks for each one by itself, where READDIRPLUS tells of a hundred
 * at once. So it may where nobody looks at entries. And it may not if the directory has changed since, also where the
 * kernel could not see that from the time of the last change. Pure.
 */
import type { Timestamp } from '../linux/stat.js'

/** Clocks of file systems tick so seldom that a change may have the time of something that happened before it. */
export const SETTLED_MS = 2000
/** So many names asked for after a listing, and whoever listed is looking at them one by one. */
export const LOOKUPS_MAX = 64
/** Each mistake makes this many times as many plain listings necessary. */
const DOUBT = 8
const DOUBT_MAX = 8 ** 4

/** When a directory changed: its names, and anything about it. */
export interface Changed {
  readonly mtime: Timestamp
  readonly ctime: Timestamp
}

function isSame(a: Timestamp, b: Timestamp): boolean {
  return a.seconds === b.seconds && a.nanoseconds === b.nanoseconds
}

/** What is known of how one directory is listed, if it is so large that a listing comes in parts. */
export class ListingPolicy {
  /** Listings in a row after whose first part nobody looked at entries, and how many of them it takes. */
  private plainCount = 0
  private plainNeeded = 1
  private lookupCount = 0
  /** The directory as the kernel has kept it; null if it has not, or perhaps not all of it. */
  private kept: Changed | null = null

  /** Is it listed without looking at entries? */
  get isPlain(): boolean {
    return this.plainCount >= this.plainNeeded
  }

  listedWithAttributes(): void {
    this.plainCount = 0
    this.kept = null
  }

  /**
   * The kernel has dropped what it had kept, and has read all of the directory since.
   * @param changed as it was afterwards. @param sinceMs when the kernel began, in milliseconds since 1970.
   */
  listedPlainly(changed: Changed, sinceMs: number): void {
    this.plainCount++
    const changedMs = Math.max(changed.mtime.seconds, changed.ctime.seconds) * 1000
    this.kept = changedMs + SETTLED_MS <= sinceMs ? changed : null
  }

  /** What the kernel has kept is no longer all of one listing. */
  forgetKept(): void {
    this.kept = null
  }

  /** A name in the directory was asked for. */
  lookedUp(): void {
    if (!this.isPlain || ++this.lookupCount <= LOOKUPS_MAX) return
    this.plainCount = 0
    this.plainNeeded = Math.min(this.plainNeeded * DOUBT, DOUBT_MAX)
  }

  /** The directory is opened. @returns whether the kernel may hand out what it has kept of it. */
  opened({ mtime, ctime }: Changed): boolean {
    this.lookupCount = 0
    const { kept } = this
    const isCurrent = kept !== null && isSame(kept.mtime, mtime) && isSame(kept.ctime, ctime)
    if (!isCurrent) this.kept = null
    return this.isPlain && isCurrent
  }
}

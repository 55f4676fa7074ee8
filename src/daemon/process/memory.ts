/**
 * Giving memory back. V8 collects garbage when something new needs room, so an engine that was busy with a large tree
 * and then has nothing to do would keep what it does not need any more, perhaps for weeks.
 */
import { setFlagsFromString } from 'node:v8'
import { collectGarbage } from '../../linux/garbage.js'
import { trimHeap } from '../../linux/libc.js'

/** So many inodes less are worth the tens of milliseconds that collecting takes. */
const FORGOTTEN_COUNT_MIN = 20_000
/** The kernel forgets a tree in many messages. */
const DELAY_MS = 500

/** Watches how many inodes there are, and gives memory back some time after many of them have gone. */
export class MemoryKeeper {
  #mostCount = 0
  #dueAtMs = Number.POSITIVE_INFINITY

  constructor() {
    // Where V8 puts what is new never shrinks again, and little of what a request needs lives longer than the request:
    // 1 MB serves as well as the 16 MB that it would become.
    setFlagsFromString('--semi-space-growth-factor=1')
  }

  /** Milliseconds until `look` is due; -1 for never. */
  timeoutMs(): number {
    return this.#dueAtMs === Number.POSITIVE_INFINITY ? -1 : Math.max(0, this.#dueAtMs - performance.now())
  }

  look(inodeCount: number): void {
    this.#mostCount = Math.max(this.#mostCount, inodeCount)
    if (this.#mostCount - inodeCount < FORGOTTEN_COUNT_MIN || inodeCount > this.#mostCount / 2) {
      this.#dueAtMs = Number.POSITIVE_INFINITY
      return
    }
    const nowMs = performance.now()
    if (this.#dueAtMs === Number.POSITIVE_INFINITY) this.#dueAtMs = nowMs + DELAY_MS
    if (nowMs < this.#dueAtMs) return
    this.#dueAtMs = Number.POSITIVE_INFINITY
    this.#mostCount = inodeCount
    collectGarbage()
    trimHeap()
  }
}

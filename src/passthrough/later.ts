/** Answers that may come at once or later. */
import { type Answer, type Deferred, type Failure, PENDING, type RequestInfo } from '../fuse/api.js'
import type { Errno } from '../lib/errno.js'

/**
 * An answer that somebody gives, perhaps before the handler returns. Whoever makes it hands `give` out and
 * returns `take` from the handler.
 */
export class LaterAnswer<T extends object | symbol> {
  private value: T | Failure | undefined
  private deferred: Deferred<T> | null = null

  give(value: T | Failure): void {
    if (this.deferred === null) this.value = value
    else if (typeof value === 'number') this.deferred.fail(-value as Errno)
    else this.deferred.answer(value)
  }

  /** @param onInterrupt what to do if the caller gives up while it waits. */
  take(request: RequestInfo, onInterrupt: (() => void) | null): Answer<T> {
    if (this.value !== undefined) return this.value
    this.deferred = request.defer<T>()
    this.deferred.onInterrupt = onInterrupt
    return PENDING
  }
}

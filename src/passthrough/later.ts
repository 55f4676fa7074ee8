/** Answers that may come at once or later. */
import { type Answer, type Deferred, PENDING, type RequestInfo } from '../fuse/api.js'
import type { Errno } from '../lib/errno.js'

/**
 * An answer that somebody gives, perhaps before the handler returns. Whoever makes it hands `give` out and
 * returns `take` from the handler.
 */
export class LaterAnswer<T extends object | symbol> {
  private value: Answer<T> | undefined
  private deferred: Deferred<T> | null = null

  /** @param value PENDING if the request was deferred once more meanwhile: then somebody else answers. */
  give(value: Answer<T>): void {
    if (this.deferred === null) this.value = value
    else if (value === PENDING) return
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

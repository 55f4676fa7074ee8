import { AssertionError, assert } from '../lib/assert.js'
import type { Errno } from '../lib/errno.js'
import type { Deferred } from './api.js'
import type { Operation } from './operations/operation.js'
import type { Request } from './request.js'

/** What a pending request needs of the dispatcher, which alone makes replies. */
export interface Replier {
  /** Ends a pending request. @param error 0 with `value`, or a negative errno. */
  settle(pending: Pending, error: number, value: unknown): void
  /** Ends a pending request without an answer from here. */
  release(pending: Pending): void
}

/** owed: exactly one answer is still due. abandoned: the session answered in the owner's place. */
type State = 'owed' | 'settled' | 'taken' | 'abandoned'

/** One request whose answer is owed. */
export class Pending implements Deferred<unknown> {
  readonly request: Request
  readonly operation: Operation<unknown>
  state: State = 'owed'
  /** The number to answer with; it changes when the kernel sends the request again. */
  unique: bigint
  uniqueLow: number
  uniqueHigh: number
  private interrupted = false
  private interruptHandler: (() => void) | null = null
  private readonly replier: Replier

  constructor(request: Request, operation: Operation<unknown>, replier: Replier) {
    this.request = request
    this.operation = operation
    this.replier = replier
    this.unique = request.unique
    this.uniqueLow = request.uniqueLow
    this.uniqueHigh = request.uniqueHigh
  }

  answer(value: unknown): void {
    if (this.end('settled')) this.replier.settle(this, 0, value)
  }

  fail(errno: Errno): void {
    if (this.end('settled')) this.replier.settle(this, -errno, undefined)
  }

  taken(): void {
    if (this.end('taken')) this.replier.release(this)
  }

  get onInterrupt(): (() => void) | null {
    return this.interruptHandler
  }

  /** An owner that could do nothing about it at first may have begun to wait for something after the interrupt. */
  set onInterrupt(handler: (() => void) | null) {
    this.interruptHandler = handler
    if (this.interrupted) handler?.()
  }

  /** Tells the owner once that its caller has been interrupted. */
  interrupt(): void {
    if (this.interrupted) return
    this.interrupted = true
    this.interruptHandler?.()
  }

  renumber(again: Request): void {
    this.unique = again.unique
    this.uniqueLow = again.uniqueLow
    this.uniqueHigh = again.uniqueHigh
  }

  /** @returns false if the session has answered already, when the owner's answer is late but no mistake. */
  private end(state: 'settled' | 'taken'): boolean {
    if (this.state === 'abandoned') return false
    assert(this.state === 'owed', `request ${this.unique} was already answered`)
    this.state = state
    return true
  }
}

/** The requests that wait for their answer, by `unique`. */
export class PendingTable {
  private readonly byUnique = new Map<bigint, Pending>()

  get size(): number {
    return this.byUnique.size
  }

  add(pending: Pending): void {
    if (this.byUnique.has(pending.unique)) throw new AssertionError(`request ${pending.unique} waits twice`)
    this.byUnique.set(pending.unique, pending)
  }

  find(unique: bigint): Pending | undefined {
    return this.byUnique.get(unique)
  }

  remove(pending: Pending): void {
    this.byUnique.delete(pending.unique)
  }

  /** The kernel knows the request by its new number only. */
  renumber(pending: Pending, again: Request): void {
    this.byUnique.delete(pending.unique)
    pending.renumber(again)
    this.byUnique.set(pending.unique, pending)
  }

  all(): Pending[] {
    return [...this.byUnique.values()]
  }
}

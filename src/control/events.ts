/**
 * The event stream (R3): every reader has a queue of its own, bounded. One that is too slow is told how many
 * events it missed; it never makes anybody wait and never fills the memory.
 */
import type { EventRecord } from './formats/records.js'

/** Lines that wait for one reader: a truncate that meets a thousand leases tells of all of them in one step. */
export const QUEUE_LENGTH_MAX = 4096

export class EventQueue {
  readonly #lines: Buffer[] = []
  #lost = 0
  #hasEnded = false
  /** Bytes of the first line that were read already. */
  #taken = 0

  readonly uid: number
  readonly #onReadable: () => void
  readonly #now: () => string

  /** @param onReadable called when something can be read. */
  constructor(uid: number, onReadable: () => void, now: () => string) {
    this.uid = uid
    this.#onReadable = onReadable
    this.#now = now
  }

  /** After the end nothing is taken any more. */
  push(line: Buffer): void {
    if (this.#hasEnded) return
    if (this.#lines.length >= QUEUE_LENGTH_MAX) {
      this.#lost++
      return
    }
    this.#tellLost()
    this.#lines.push(line)
    this.#onReadable()
  }

  /** Puts `lost` where the gap is: behind what came before it, in front of what came after. */
  #tellLost(): void {
    if (this.#lost === 0) return
    this.#lines.push(formatEvent({ time: this.#now(), event: 'lost', count: this.#lost }))
    this.#lost = 0
  }

  /** Is there something to read? The end of the stream is. */
  get isReadable(): boolean {
    return this.#lines.length > 0 || this.#lost > 0 || this.#hasEnded
  }

  end(): void {
    this.#hasEnded = true
    this.#onReadable()
  }

  /** As many whole lines as fit; of a line that is longer than `size`, a part. Empty if there is nothing. */
  read(size: number): Buffer {
    if (this.#lines.length === 0) this.#tellLost()
    const parts: Buffer[] = []
    let room = size
    while (room > 0) {
      const line = this.#lines[0]?.subarray(this.#taken)
      if (line === undefined || (line.length > room && parts.length > 0)) break
      const part = line.subarray(0, room)
      parts.push(part)
      room -= part.length
      if (part.length === line.length) {
        this.#lines.shift()
        this.#taken = 0
      } else {
        this.#taken += part.length
      }
    }
    return Buffer.concat(parts)
  }
}

export function formatEvent(event: EventRecord): Buffer {
  return Buffer.from(`${JSON.stringify(event)}\n`)
}

export class EventHub {
  readonly #queues = new Set<EventQueue>()
  #isClosed = false

  /** A reader who comes after the end is told of the end. */
  subscribe(queue: EventQueue): void {
    if (this.#isClosed) queue.end()
    else this.#queues.add(queue)
  }

  unsubscribe(queue: EventQueue): void {
    this.#queues.delete(queue)
  }

  /** No more events will come: readers get what is queued, then the end of the file. */
  close(): void {
    this.#isClosed = true
    for (const queue of this.#queues) queue.end()
  }

  get hasReaders(): boolean {
    return this.readerCount > 0
  }

  get readerCount(): number {
    return this.#queues.size
  }

  /** @param visibleTo the users who may see it (R1); root sees everything. */
  publish(event: EventRecord, visibleTo: readonly number[]): void {
    const line = formatEvent(event)
    for (const queue of this.#queues) {
      if (queue.uid === 0 || visibleTo.includes(queue.uid)) queue.push(line)
    }
  }
}

import { assert } from '../lib/assert.js'
import type { LeaseBreak } from './records.js'

/**
 * Breaks under way, the one that is due first on top: a binary heap whose entries know their place, so that a
 * lease that is given up in time leaves at once and nothing stale piles up.
 */
export class Deadlines {
  readonly #heap: LeaseBreak[] = []

  get first(): LeaseBreak | undefined {
    return this.#heap[0]
  }

  add(entry: LeaseBreak): void {
    this.#place(entry, this.#heap.length)
    this.#rise(entry)
  }

  remove(entry: LeaseBreak): void {
    assert(this.#heap[entry.heapIndex] === entry, 'this break is not among the deadlines')
    const last = this.#heap.pop()
    if (last === undefined || last === entry) return
    this.#place(last, entry.heapIndex)
    this.#rise(last)
    this.#sink(last)
  }

  #rise(entry: LeaseBreak): void {
    while (entry.heapIndex > 0) {
      const index = entry.heapIndex
      const parent = this.#heap[(index - 1) >> 1]
      if (parent === undefined || isBefore(parent, entry)) return
      this.#place(entry, parent.heapIndex)
      this.#place(parent, index)
    }
  }

  #sink(entry: LeaseBreak): void {
    for (;;) {
      const index = entry.heapIndex
      const left = this.#heap[2 * index + 1]
      const right = this.#heap[2 * index + 2]
      if (left === undefined) return
      const child = right !== undefined && isBefore(right, left) ? right : left
      if (isBefore(entry, child)) return
      this.#place(entry, child.heapIndex)
      this.#place(child, index)
    }
  }

  #place(entry: LeaseBreak, index: number): void {
    this.#heap[index] = entry
    entry.heapIndex = index
  }
}

/** Equal deadlines go by lease id, so that the order is the same on every machine. */
function isBefore(a: LeaseBreak, b: LeaseBreak): boolean {
  return a.deadline < b.deadline || (a.deadline === b.deadline && a.lease.id < b.lease.id)
}

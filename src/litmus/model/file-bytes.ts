/**
 * What is in a file of the model: how long it is and where in it there are data. Everything else reads as zeros.
 * Real bytes would say no more, and cost a state key of their length.
 */
import { overlaps, type Range } from '../../lib/range.js'

export type Kind = 'data' | 'zeros' | 'mixed'

export class FileBytes {
  sizeBytes: number
  /** Sorted, apart from each other, not empty. */
  #data: readonly Range[]

  constructor(sizeBytes: number) {
    this.sizeBytes = sizeBytes
    this.#data = sizeBytes === 0 ? [] : [{ start: 0, end: sizeBytes }]
  }

  get data(): readonly Range[] {
    return this.#data
  }

  setSize(sizeBytes: number): void {
    if (sizeBytes < this.sizeBytes) this.clear({ start: sizeBytes, end: this.sizeBytes })
    this.sizeBytes = sizeBytes
  }

  /** Grows as far as needed and takes nothing away. */
  fill(range: Range): void {
    if (range.end <= range.start) return
    const touching = (one: Range) => one.start <= range.end && range.start <= one.end
    const joined = this.#data.filter(touching)
    const start = Math.min(range.start, ...joined.map((one) => one.start))
    const end = Math.max(range.end, ...joined.map((one) => one.end))
    this.#data = sorted([...this.#data.filter((one) => !touching(one)), { start, end }])
    this.sizeBytes = Math.max(this.sizeBytes, range.end)
  }

  clear(range: Range): void {
    const left: Range[] = []
    for (const one of this.#data) {
      if (!overlaps(one, range)) {
        left.push(one)
        continue
      }
      if (one.start < range.start) left.push({ start: one.start, end: range.start })
      if (range.end < one.end) left.push({ start: range.end, end: one.end })
    }
    this.#data = left
  }

  /** FALLOC_FL_COLLAPSE_RANGE. */
  collapse(range: Range): void {
    const length = range.end - range.start
    this.clear(range)
    this.#data = this.#data.map((one) => (one.start < range.end ? one : shifted(one, -length)))
    this.sizeBytes -= length
    this.#join()
  }

  /** FALLOC_FL_INSERT_RANGE. */
  insert(range: Range): void {
    const length = range.end - range.start
    const before = this.#data.filter((one) => one.start < range.start)
    const parts = before.flatMap((one) =>
      one.end <= range.start
        ? [one]
        : [
            { start: one.start, end: range.start },
            { start: range.end, end: one.end + length },
          ],
    )
    const after = this.#data.filter((one) => one.start >= range.start)
    this.#data = [...parts, ...after.map((one) => shifted(one, length))]
    this.sizeBytes += length
  }

  #join(): void {
    const ranges = this.#data
    this.#data = []
    for (const one of ranges) this.fill(one)
  }

  kindOf(range: Range): Kind {
    const inside = this.#data.filter((one) => overlaps(one, range))
    const [first] = inside
    if (first === undefined) return 'zeros'
    return first.start <= range.start && range.end <= first.end ? 'data' : 'mixed'
  }
}

function shifted({ start, end }: Range, by: number): Range {
  return { start: start + by, end: end + by }
}

function sorted(ranges: Range[]): Range[] {
  return ranges.sort((a, b) => a.start - b.start)
}

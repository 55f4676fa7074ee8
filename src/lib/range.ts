/** A half-open byte range: `start <= byte < end`. `end` is Infinity for "to the end, wherever that is". */
export interface Range {
  readonly start: number
  readonly end: number
}

export const WHOLE_FILE: Range = { start: 0, end: Number.POSITIVE_INFINITY }

export function overlaps(a: Range, b: Range): boolean {
  return a.start < b.end && b.start < a.end
}

export function covers(outer: Range, inner: Range): boolean {
  return outer.start <= inner.start && inner.end <= outer.end
}

/** What is in `ranges` and not in `others`; both in order, and so is the result. */
export function subtract(ranges: readonly Range[], others: readonly Range[]): Range[] {
  const left: Range[] = []
  let index = 0
  for (const { start, end } of ranges) {
    let from = start
    for (let other = others[index]; other !== undefined && other.start < end; other = others[index]) {
      if (other.start > from) left.push({ start: from, end: other.start })
      from = Math.max(from, other.end)
      // It may reach into the next range as well.
      if (other.end >= end) break
      index++
    }
    if (from < end) left.push({ start: from, end })
  }
  return left
}

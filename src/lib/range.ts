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

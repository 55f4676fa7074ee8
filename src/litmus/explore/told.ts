/** Comparing what was told with what had to be: as bags, because the order in which things are told is no rule. */
import type { Name } from '../scenario.js'

export class Bag {
  readonly #counts = new Map<string, number>()

  add(item: string): void {
    this.#counts.set(item, (this.#counts.get(item) ?? 0) + 1)
  }

  count(item: string): number {
    return this.#counts.get(item) ?? 0
  }

  /** What is in here more often than in the other, once each. */
  *without(other: Bag): Generator<string> {
    for (const [item, count] of this.#counts) if (count > other.count(item)) yield item
  }
}

export function eventText(event: string, lease: Name, offender: Name | null): string {
  return offender === null
    ? `event ${event} of ${lease}`
    : `event ${event} of ${lease} because of ${offender}`
}

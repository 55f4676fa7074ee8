import { assert } from './assert.js'

/**
 * Pseudo-random numbers from a seed (Mulberry32): the same seed gives the same numbers on every machine. For
 * tests and simulations; nothing that must not be guessed may depend on it.
 */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed | 0
  }

  /** A whole number, `least <= n <= most`. */
  int(least: number, most: number): number {
    assert(most >= least, 'there is no number in an empty interval')
    return least + Math.floor(this.#fraction() * (most - least + 1))
  }

  /** True once in `one` times on average. */
  oneIn(one: number): boolean {
    return this.int(1, one) === 1
  }

  /** One of a list that is not empty. */
  pick<Item>(items: readonly Item[]): Item {
    const item = items[this.int(0, items.length - 1)]
    assert(item !== undefined, 'there is nothing to pick from')
    return item
  }

  #fraction(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

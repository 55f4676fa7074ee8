/** What deadlines on a mount go by: a clock that is moved by hand, so that none of them passes by accident. */
import { openSync, writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

export interface MountClock {
  /** Arguments for `holdfast mount`. */
  readonly options: readonly string[]
  /** Whether nothing else moves it. */
  readonly isHeld: boolean
  advance(ms: number): Promise<void>
}

const DIGITS = 16

/** The engine reads its time from a file. */
export class HeldClock implements MountClock {
  readonly options: readonly string[]
  readonly isHeld = true
  readonly #fd: number
  #nowMs = 1000

  constructor(file: string) {
    this.#fd = openSync(file, 'w')
    this.options = ['--clock', file]
    this.#write()
  }

  /** The engine notices with the next request that it answers. */
  async advance(ms: number): Promise<void> {
    this.#nowMs += ms
    this.#write()
  }

  /** Always as many bytes: whoever reads meanwhile sees the old time or the new one. */
  #write(): void {
    writeSync(this.#fd, String(this.#nowMs).padStart(DIGITS, '0'), 0)
  }
}

/** The machine's own. */
export const REAL_CLOCK: MountClock = {
  options: [],
  isHeld: false,
  advance: async (ms) => {
    await sleep(ms)
  },
}

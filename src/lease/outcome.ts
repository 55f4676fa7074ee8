import type { FileRecord, OfdRecord } from './records.js'
import type { Effect, LeaseEvent, PollState } from './types.js'

const POLL_PRIORITY = 1
const POLL_ERROR = 2

/** What the step under way has done so far, and what is still to be looked at before it ends. */
export class Outcome {
  #effects: Effect[] = []
  readonly #touchedFiles: FileRecord[] = []
  readonly #markedOfds: OfdRecord[] = []
  /** Files whose last lease went in this step; a waiter may still get a new one. */
  readonly #emptiedFiles = new Set<FileRecord>()

  tell(event: LeaseEvent): void {
    this.#effects.push({ kind: 'event', event })
  }

  push(effect: Effect): void {
    this.#effects.push(effect)
  }

  /** Ends the step: says who has to be polled again and which files are free, and hands everything out. */
  takeEffects(): readonly Effect[] {
    for (const ofd of this.#markedOfds) {
      ofd.isPollMarked = false
      const bits = pollBits(ofd)
      if (bits !== ofd.pollBits) this.push({ kind: 'poll', ofd: ofd.id })
      ofd.pollBits = bits
    }
    this.#markedOfds.length = 0
    if (this.#emptiedFiles.size > 0) {
      for (const file of this.#emptiedFiles) {
        if (leaseCountOf(file) === 0) this.push({ kind: 'file-free', file: file.id })
      }
      this.#emptiedFiles.clear()
    }
    const effects = this.#effects
    this.#effects = []
    return effects
  }

  /** Something on this file has changed that waiters may have waited for. */
  touch(file: FileRecord): void {
    if (file.isTouched) return
    file.isTouched = true
    this.#touchedFiles.push(file)
  }

  nextTouched(): FileRecord | undefined {
    const file = this.#touchedFiles.pop()
    if (file !== undefined) file.isTouched = false
    return file
  }

  /** What poll(2) says of this OFD may have changed. */
  markPoll(ofd: OfdRecord): void {
    if (ofd.isPollMarked) return
    ofd.isPollMarked = true
    this.#markedOfds.push(ofd)
  }

  markEmptied(file: FileRecord): void {
    this.#emptiedFiles.add(file)
  }
}

export function leaseCountOf(file: FileRecord): number {
  return file.readers.size + file.writers.size
}

export function pollStateOf(ofd: OfdRecord | undefined): PollState {
  const bits = ofd === undefined ? 0 : pollBits(ofd)
  return { priority: (bits & POLL_PRIORITY) !== 0, error: (bits & POLL_ERROR) !== 0 }
}

function pollBits(ofd: OfdRecord): number {
  const priority = ofd.breakingCount > 0 || ofd.isWorthTrying ? POLL_PRIORITY : 0
  return priority | (ofd.revokedCount > 0 ? POLL_ERROR : 0)
}

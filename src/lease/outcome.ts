import { type OfdRecord, POLL_ERROR, POLL_PRIORITY } from './ofd-record.js'
import type { FileRecord } from './records.js'
import type { Effect, LeaseEvent, PollState } from './types.js'

const NO_EFFECTS: readonly Effect[] = []

/** What the step under way has done so far, and what is still to be looked at before it ends. */
export abstract class Outcome {
  #effects: Effect[] | null = null
  readonly #touchedFiles: FileRecord[] = []
  readonly #markedOfds: OfdRecord[] = []

  tell(event: LeaseEvent): void {
    this.push({ kind: 'event', event })
  }

  push(effect: Effect): void {
    if (this.#effects === null) this.#effects = [effect]
    else this.#effects.push(effect)
  }

  /** Ends the step: says who has to be polled again and which files are free, and hands everything out. */
  takeEffects(): readonly Effect[] {
    if (this.#markedOfds.length > 0) this.#tellPolls()
    if (this.#touchedFiles.length > 0) this.#lookAtFiles()
    const effects = this.#effects ?? NO_EFFECTS
    this.#effects = null
    return effects
  }

  #tellPolls(): void {
    for (const ofd of this.#markedOfds) {
      const activity = ofd.activityToChange()
      activity.isPollMarked = false
      const bits = ofd.pollBits
      if (bits !== activity.pollBits) this.push({ kind: 'poll', ofd: ofd.id })
      activity.pollBits = bits
    }
    this.#markedOfds.length = 0
  }

  #lookAtFiles(): void {
    for (let file = this.#touchedFiles.pop(); file !== undefined; file = this.#touchedFiles.pop()) {
      file.isTouched = false
      if (file.isEmptied && leaseCountOf(file) === 0) this.push({ kind: 'file-free', file: file.id })
      file.isEmptied = false
      this.forgetFileIfUnused(file)
    }
  }

  protected abstract forgetFileIfUnused(file: FileRecord): void

  /** Something on this file has ended: it may be forgotten. */
  touch(file: FileRecord): void {
    if (file.isTouched) return
    file.isTouched = true
    this.#touchedFiles.push(file)
  }

  /** What poll(2) says of this OFD may have changed. */
  markPoll(ofd: OfdRecord): void {
    if (ofd.activity.isPollMarked) return
    ofd.activityToChange().isPollMarked = true
    this.#markedOfds.push(ofd)
  }
}

export function leaseCountOf(file: FileRecord): number {
  return file.readers.size + file.writers.size
}

export function pollStateOf(ofd: OfdRecord | undefined): PollState {
  const bits = ofd === undefined ? 0 : ofd.pollBits
  return { priority: (bits & POLL_PRIORITY) !== 0, error: (bits & POLL_ERROR) !== 0 }
}

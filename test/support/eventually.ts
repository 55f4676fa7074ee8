/** Waiting with a bound, for things that other processes do in their own time. */
import { setTimeout as delay } from 'node:timers/promises'

const STEP_MS = 15

/**
 * Asks again and again until `look` gives something other than undefined, and returns that.
 * `look` may note what it saw by `saw`; the error of a wait that ends without success quotes the last note.
 */
export async function eventually<T>(
  what: string,
  look: (saw: (note: unknown) => void) => T | undefined | Promise<T | undefined>,
  timeoutMs = 5_000,
): Promise<T> {
  const deadline = performance.now() + timeoutMs
  let note: unknown = 'nothing'
  for (;;) {
    const found = await look((seen) => {
      note = seen
    })
    if (found !== undefined) return found
    if (performance.now() > deadline) {
      const seen = typeof note === 'string' ? note : JSON.stringify(note, bigintsAsText, 1)
      throw new Error(`waited ${timeoutMs} ms in vain: ${what}; last seen: ${seen}`)
    }
    await delay(STEP_MS)
  }
}

/** The same for a condition; resolves with the time it took, in milliseconds. */
export async function eventuallyTrue(
  what: string,
  look: (saw: (note: unknown) => void) => boolean | Promise<boolean>,
  timeoutMs = 5_000,
): Promise<number> {
  const start = performance.now()
  await eventually(what, async (saw) => ((await look(saw)) ? true : undefined), timeoutMs)
  return performance.now() - start
}

/**
 * Resolves when a promise has stayed undecided for a while; throws if it was decided. For "it waits": there is
 * no event for something that does not happen, so this is the one place that lets time pass.
 */
export async function staysPending(what: string, promise: Promise<unknown>, forMs = 150): Promise<void> {
  const pending = Symbol('pending')
  const outcome = await Promise.race([
    promise.then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    ),
    delay(forMs, pending),
  ])
  if (outcome !== pending) throw new Error(`${what}: was to wait, but ended with ${JSON.stringify(outcome)}`)
}

function bigintsAsText(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value
}

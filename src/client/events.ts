/** The event stream of a mount (R3). */
import type { EventRecord } from '../control/formats/records.js'
import { Errno } from '../lib/errno.js'
import * as c from '../linux/constants.js'
import { check } from '../linux/error.js'
import { watchReadable } from '../linux/event-loop.js'
import { close, open } from '../linux/files.js'
import * as raw from '../linux/raw.js'
import { asHoldfastError } from './error.js'
import { controlOf, type FileSource } from './request.js'

export interface EventsOptions {
  /** Ends the stream. */
  readonly signal?: AbortSignal
}

const CHUNK_BYTES = 65536

/**
 * What happens on the mount that `file` belongs to, from now on, as far as this user may see it. It ends with
 * the mount, with the signal, or when the loop over it is left.
 */
export async function* events(file: FileSource, options: EventsOptions = {}): AsyncGenerator<EventRecord> {
  yield* controlEvents(controlOf(file), options)
}

/** The same for a control directory. */
export async function* controlEvents(
  control: string,
  options: EventsOptions = {},
): AsyncGenerator<EventRecord> {
  const path = `${control}/events`
  const fd = asHoldfastError('open', path, () => open(path, c.O_RDONLY | c.O_NONBLOCK))
  const buffer = Buffer.alloc(CHUNK_BYTES)
  // A line that is longer than a chunk may be cut inside a character.
  const decoder = new TextDecoder()
  let rest = ''
  try {
    while (options.signal?.aborted !== true) {
      const length = raw.read(fd, buffer, buffer.length)
      if (length === -Errno.EAGAIN) {
        await readable(fd, options.signal)
        continue
      }
      if (asHoldfastError('read', path, () => check(length, 'read')) === 0) return
      const lines = (rest + decoder.decode(buffer.subarray(0, length), { stream: true })).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) if (line !== '') yield JSON.parse(line) as EventRecord
    }
  } finally {
    close(fd)
  }
}

function readable(fd: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      unwatch()
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const unwatch = watchReadable(fd, true, done)
    signal?.addEventListener('abort', done)
  })
}

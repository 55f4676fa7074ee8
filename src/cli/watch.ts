/** `holdfast watch`: follows the events of all engines, or of the one that a path belongs to. */
import { HoldfastError } from '../client/error.js'
import { controlEvents } from '../client/events.js'
import { type EventRecord, formatOwners } from '../control/formats/records.js'
import { DATA_TYPE, liveEngines, removeDead } from '../daemon/main.js'
import { LinuxError, showPath } from '../linux/error.js'
import { watchMounts, watchPriority } from '../linux/event-loop.js'
import { writeAll } from '../linux/files.js'
import { readMounts } from '../linux/mounts.js'
import { findSilent, tellSilent } from './answering.js'
import { CommandError } from './errors.js'
import { below, formatOperation, formatRange, resolve } from './listings.js'
import { print } from './output.js'
import { controlOf } from './targets.js'

export interface WatchOptions {
  readonly json?: boolean | undefined
}

/** What reading events fails with when their engine has been killed: one that ends by itself ends them first. */
const KILLED = new Set(['ENOTCONN', 'ECONNABORTED', 'ENODEV'])

/**
 * Prints one line for each event until SIGINT or SIGTERM, until nobody reads them any more, or until the last
 * engine that is followed has ended. Without a path, engines that start meanwhile are followed as well. An engine
 * that was killed is told of at once, and in the exit code.
 */
export async function watch(path: string | undefined, options: WatchOptions): Promise<void> {
  removeDead()
  const place = path === undefined ? null : resolve(path)
  const only = place === null ? null : controlOf(place)
  const isWanted = place === null ? () => true : below(place)
  const end = new AbortController()
  const followed = new Map<string, Promise<void>>()
  const mountpoints = new Map<string, string>()
  const show = async (control: string) => {
    const onKilled = () => tellKilled(mountpoints.get(control) ?? control)
    for await (const event of eventsUntilEnd(control, end.signal, onKilled)) {
      if (event.file !== undefined && !isWanted({ file: event.file })) continue
      print(options.json === true ? JSON.stringify(event) : formatEventLine(event))
    }
  }
  const silent = findSilent(only === null ? liveEngines() : [only])
  tellSilent(silent)
  const isSilent = (engine: string) => silent.some(({ control }) => control === engine)
  const follow = () => {
    const mounts = readMounts()
    for (const control of only === null ? liveEngines(mounts) : [only]) {
      if (isSilent(control)) continue
      const own = mounts.filter(({ type, source }) => type === DATA_TYPE && source.toString() === control)
      // An engine is seen before its mounts are; when it has been killed, they may be gone.
      if (own.length > 0)
        mountpoints.set(control, own.map(({ mountpoint }) => showPath(mountpoint)).join(', '))
      if (!followed.has(control)) followed.set(control, show(control))
    }
  }
  follow()
  if (followed.size === 0 && silent.length > 0) return
  if (followed.size === 0) throw new CommandError("no Holdfast mounts; 'holdfast mount' or 'run' makes one")
  const stop = () => end.abort()
  process.once('SIGINT', stop).once('SIGTERM', stop)
  const unwatch = [watchOutput(stop), only === null ? watchMounts(follow) : () => {}]
  try {
    for (let [first] = followed; first !== undefined; [first] = followed) {
      const [control, shown] = first
      await shown
      followed.delete(control)
    }
  } finally {
    stop()
    for (const each of unwatch) each()
  }
}

async function* eventsUntilEnd(
  control: string,
  signal: AbortSignal,
  onKilled: () => void,
): AsyncGenerator<EventRecord> {
  try {
    yield* controlEvents(control, { signal })
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error
    if (KILLED.has(error.code)) onKilled()
    // It ended between being found and being asked.
    else if (error.code !== 'ENOENT') throw error
  }
}

function tellKilled(mountpoints: string): void {
  const line = `${mountpoints}: its engine was killed: leases and pins there have ended and protect nothing; 'holdfast mount' or 'run' starts anew`
  writeAll(2, Buffer.from(`holdfast: ${line}\n`))
  process.exitCode = 1
}

/** Whoever reads our output may go without a further event coming, whose line would tell us. */
function watchOutput(gone: () => void): () => void {
  try {
    return watchPriority(1, gone)
  } catch (error) {
    // A regular file cannot be watched, and never goes away.
    if (error instanceof LinuxError) return () => {}
    throw error
  }
}

/** One event in words. */
export function formatEventLine(event: EventRecord): string {
  const about = [event.file, describe(event)].filter((part) => part !== undefined && part !== '')
  return `${clock(event.time)} ${event.event.padEnd(10)} ${about.join(': ')}`
}

function clock(time: string): string {
  const date = new Date(time)
  return `${date.toTimeString().slice(0, 8)}.${String(date.getMilliseconds()).padStart(3, '0')}`
}

function describe(event: EventRecord): string {
  if (event.event === 'lost' && event.reason === undefined)
    return `${event.count ?? '?'} events, because they were read too slowly`
  const parts: string[] = []
  const { offender } = event
  if (offender !== undefined) {
    const answer = offender.errno === undefined ? '' : ` (${offender.errno})`
    parts.push(
      `${formatOperation(offender)} on ${formatRange(offender)} by ${formatOwners([offender])}${answer}`,
    )
  }
  if (event.holder !== undefined) {
    const who = event.holder.kind === 'process' ? event.holder : event.holder.openedBy
    const pinned = `pin ${event.pin} of ${event.holder.kind === 'process' ? '' : 'a context of '}${formatOwners([who])}`
    parts.push(`${pinned} on ${formatRange({ start: event.start ?? 0, length: event.length ?? 0 })}`)
  }
  if (event.lease !== undefined) {
    const { level, mode, lease, owners = [] } = event
    parts.push(`${level} ${mode} lease ${lease} of ${formatOwners(owners)}`)
  }
  if (event.reason !== undefined) parts.push(event.reason)
  return parts.join('; ')
}

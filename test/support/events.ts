/** Reading the event stream of a mount as a user would: with `cat`. */
import { readdirSync, readlinkSync } from 'node:fs'
import { eventually } from './eventually.js'
import type { Running, Sandbox } from './sandbox.js'

/** One line of `events`. Only `event` is in every one; what else it has depends on it. */
export interface SeenEvent {
  readonly event: string
  readonly [key: string]: unknown
}

export class EventReader {
  readonly #running: Running
  /** Events that `next` has not handed out or passed over. */
  #position = 0

  constructor(running: Running) {
    this.#running = running
  }

  /** Every event so far. Throws if a line is not JSON. */
  all(): SeenEvent[] {
    const text = this.#running.stdout
    const whole = text.slice(0, text.lastIndexOf('\n') + 1)
    return whole
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as SeenEvent)
  }

  /** The next event that fits; those before it are passed over. */
  async next(fits: (event: SeenEvent) => boolean, timeoutMs = 5_000): Promise<SeenEvent> {
    return await eventually(
      'an event that fits',
      (saw) => {
        const events = this.all()
        saw({ events: events.slice(-8), stderr: this.#running.stderr })
        const index = events.findIndex((event, place) => place >= this.#position && fits(event))
        if (index < 0) return undefined
        this.#position = index + 1
        return events[index]
      },
      timeoutMs,
    )
  }

  async stop(): Promise<void> {
    await this.#running.kill()
  }
}

/** The control directory that belongs to the mount `file` is on, as INFO tells it. */
export async function controlDirectory(box: Sandbox, file: string): Promise<string> {
  const agent = await box.agent(`info${performance.now()}`)
  const fd = await agent.open(file, 'rdonly')
  const directory = await agent.controlDirectory(fd)
  agent.disconnect()
  return directory
}

/** Starts to read; everything that happens after this resolves is seen. */
export async function readEvents(box: Sandbox, file: string): Promise<EventReader> {
  return await readEventsOf(box, `${await controlDirectory(box, file)}/events`)
}

/** @param as makes it another user's command. */
export async function readEventsOf(
  box: Sandbox,
  events: string,
  as = (argv: readonly string[]): readonly string[] => argv,
): Promise<EventReader> {
  const running = box.start(as(['cat', events]))
  await eventually(`${events} is open`, (saw) => {
    saw(running.stderr)
    if (running.result !== undefined) throw new Error(`cat ${events}: ${running.stderr}`)
    const links = readdirSync(`/proc/${running.pid}/fd`).map((fd) => linkOf(`/proc/${running.pid}/fd/${fd}`))
    return links.some((link) => link.endsWith('/events')) ? true : undefined
  })
  return new EventReader(running)
}

function linkOf(link: string): string {
  try {
    return readlinkSync(link)
  } catch {
    return '' // Closed meanwhile.
  }
}

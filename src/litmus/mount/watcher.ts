/**
 * What the host sees of a mount: its events and its report, through two agents of root's. The host itself never
 * touches a mount.
 */
import type { EventRecord } from '../../client/index.js'
import * as abi from '../../control/formats/abi.js'
import type { LeaseRecord, ReportRecord } from '../../control/formats/records.js'
import * as c from '../../linux/constants.js'
import type { AgentLink } from './links.js'
import type { Answer, Command } from './protocol.js'

const PATIENCE_MS = 10_000

/** Whose lease on the sentinel counts for no user of a scenario (L9). */
export const GUARD_UID = 64_009

export interface Watched {
  readonly name: string
  readonly mountpoint: string
  readonly control: string
}

/** Who makes agents. */
export interface AgentMaker {
  agent(id: string, uid: number): Promise<AgentLink>
}

/** Fails if the promise takes longer than anything may that must not wait. */
export async function within<T>(what: string, promise: Promise<T>, patienceMs = PATIENCE_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${patienceMs} ms`)), patienceMs)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

export interface EngineReport {
  readonly leases: readonly LeaseRecord[]
  /** Processes whose requests wait until leases are given up. */
  readonly waiting: ReadonlySet<number>
}

function pidOf(record: ReportRecord): number {
  return record.type === 'waiting' ? record.pid : -1
}

export class Watcher {
  readonly #watched: Watched
  readonly #agent: AgentLink
  readonly #guard: AgentLink
  readonly #sentinel: number
  readonly #events: EventRecord[] = []
  #arrived: ((event: EventRecord) => void) | null = null
  #turn: Promise<unknown> = Promise.resolve()

  private constructor(
    watched: Watched,
    agent: AgentLink,
    guard: AgentLink,
    reader: AgentLink,
    sentinel: number,
  ) {
    this.#watched = watched
    this.#agent = agent
    this.#guard = guard
    this.#sentinel = sentinel
    reader.onTold((line) => this.#told(JSON.parse(line) as EventRecord))
  }

  static async start(maker: AgentMaker, watched: Watched): Promise<Watcher> {
    const agent = await maker.agent(`${watched.name}.watcher`, 0)
    const reader = await maker.agent(`${watched.name}.reader`, 0)
    const guard = await maker.agent(`${watched.name}.guard`, GUARD_UID)
    const path = `${watched.mountpoint}/sentinel`
    const opened = await ask(guard, { do: 'open', path, flags: c.O_RDWR })
    const watcher = new Watcher(watched, agent, guard, reader, Number(opened.value))
    await ask(reader, { do: 'tell', path: `${watched.control}/events` })
    return watcher
  }

  #told(event: EventRecord): void {
    // What is done past the mount is no step of the rules, and comes when the kernel tells it: the model has no such thing.
    if (event.event === 'bypassed') return
    if (event.event === 'lost') throw new Error('the events of a scenario are too many for one reader')
    this.#events.push(event)
    this.#arrived?.(event)
  }

  #arrival(isWanted: (event: EventRecord) => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#arrived = (event) => {
        if (isWanted(event)) resolve()
      }
    })
  }

  /** One at a time: the agent does one thing after the other. */
  #next<T>(what: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(what, what)
    this.#turn = turn.catch(() => {})
    return turn
  }

  /**
   * A request of its own that the engine answers, after whatever reached the engine before: it has one queue. A lease
   * on a file that nobody else uses is taken and released; its id is returned.
   */
  async #roundTrip(): Promise<number> {
    const argument = abi
      .encodeLeaseRequest({
        id: 0,
        range: { start: 0, end: Number.POSITIVE_INFINITY },
        mode: 'read',
        level: 'normal',
        whenBusy: 'fail',
        breakTimeMs: 0,
      })
      .toString('hex')
    const taken = await ask(this.#guard, { do: 'ioctl', fd: this.#sentinel, request: abi.SETLEASE, argument })
    const { id } = abi.decodeLease(Buffer.from(taken.value, 'hex'))
    const release = abi.encodeU64(id).toString('hex')
    await ask(this.#guard, { do: 'ioctl', fd: this.#sentinel, request: abi.RELEASE, argument: release })
    return id
  }

  /** Ends when the engine has dealt with everything that had reached it. */
  barrier(): Promise<void> {
    return this.#next(async () => {
      await this.#roundTrip()
    })
  }

  /** All events up to now, since this was last asked for. */
  events(): Promise<EventRecord[]> {
    return this.#next(async () => {
      const last = await this.#roundTrip()
      const isLast = ({ lease, event }: EventRecord) => lease === last && event === 'released'
      if (!this.#events.some(isLast)) await within('the events arrive', this.#arrival(isLast))
      const count = this.#events.findIndex(isLast) + 1
      const events = this.#events.splice(0, count)
      return events.filter(({ file }) => file !== `${this.#watched.mountpoint}/sentinel`)
    })
  }

  /** What the engine has now. */
  report(): Promise<EngineReport> {
    return this.#next(async () => {
      const { value } = await ask(this.#agent, { do: 'read-file', path: `${this.#watched.control}/report` })
      const records = value
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as ReportRecord)
      return {
        leases: records.filter((record) => record.type === 'lease'),
        waiting: new Set(records.filter(({ type }) => type === 'waiting').map(pidOf)),
      }
    })
  }
}

/** A command that has to succeed, at once. */
async function ask(agent: AgentLink, command: Command): Promise<Answer> {
  const answer = await within(`${agent.id}: ${command.do}`, agent.command(command))
  if (answer?.errno === 0) return answer
  throw new Error(`${agent.id}: ${command.do}: errno ${answer?.errno ?? 'none: it ended'}`)
}

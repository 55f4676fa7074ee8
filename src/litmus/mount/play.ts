/** A scenario on a real mount. Runs in the host, which never touches the mount: its agents do. */
import { chmodSync, chownSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { EventRecord } from '../../client/index.js'
import { errnoName } from '../../lib/errno.js'
import type { Action, LeaseSight, Name, Notice, Outcome, Scenario } from '../scenario.js'
import type { ActionId, Started, World } from '../world.js'
import { Actor, type RunningCall } from './actor.js'
import type { Death } from './links.js'
import { isDying, isForAnswer, isForLock, isSameWait, isStopped, type Look, lookAtWait } from './look.js'
import { formatPins } from './pins-text.js'
import type { Answer, Command } from './protocol.js'
import { mailboxOf } from './protocol.js'
import type { DataMount, Stage } from './stage.js'
import { decode, type Numbers, type PlainAction, SIGNALS, toCommand, UIDS } from './translate.js'
import { within } from './watcher.js'

/** Nothing that is to return takes longer. */
const PATIENCE_MS = 10_000
const LOOK_EVERY_MS = 3
/** More deadlines than any scenario has. */
const DEADLINES_MAX = 10_000

/** Numbers that name nothing: what a scenario speaks of may not be there. */
/** poll(2) would pass over a negative one. */
const NO_FD = 2 ** 30
const NO_ID = 2 ** 40
const NO_PID = 2 ** 22 + 1

const OK: Outcome = { is: 'ok', value: '' }
const ESRCH: Outcome = { is: 'failed', errno: 'ESRCH' }
const EBADF: Outcome = { is: 'failed', errno: 'EBADF' }

let worldCount = 0

export class MountWorld implements World {
  readonly #stage: Stage
  readonly #mount: DataMount
  readonly #name: string
  readonly #actors = new Map<Name, Actor>()
  readonly #paths = new Map<Name, { directory: string; name: string; renames: number }>()
  readonly #leaseIds = new Map<Name, number>()
  readonly #leaseNames = new Map<number, Name>()
  readonly #pinIds = new Map<Name, number>()
  readonly #processNames = new Map<number, Name>()
  #lastActionId = 0
  #finished: Started[] = []
  #signals: Notice[] = []

  private constructor(stage: Stage, mount: DataMount) {
    this.#stage = stage
    this.#mount = mount
    this.#name = `s${++worldCount}`
  }

  static async make(stage: Stage, scenario: Scenario): Promise<MountWorld> {
    const world = new MountWorld(stage, await stage.mount(scenario.mount))
    try {
      // What is still told of the scenario before is not this one's.
      await world.#mount.watcher.events()
      world.#makeFiles(scenario)
      for (const { name, user } of scenario.processes) {
        const link = await stage.agent(world.#agentId(name), UIDS[user])
        world.#add(new Actor(name, link, user))
      }
      return world
    } catch (error) {
      await world.close()
      throw error
    }
  }

  #makeFiles({ files }: Scenario): void {
    const root = `${this.#mount.backing}/${this.#name}`
    mkdirSync(root)
    for (const { name, sizeBytes, owner, mode } of files) {
      const directory = `${root}/${name}`
      mkdirSync(directory)
      chmodSync(directory, 0o777)
      const path = `${directory}/${name}`
      writeFileSync(path, Buffer.alloc(sizeBytes, 'A'))
      chownSync(path, UIDS[owner], UIDS[owner])
      chmodSync(path, mode)
      this.#paths.set(name, { directory: `${this.#name}/${name}`, name, renames: 0 })
    }
  }

  #agentId(name: Name): string {
    return `${this.#name}.${name}`
  }

  #add(actor: Actor): void {
    this.#actors.set(actor.name, actor)
    this.#processNames.set(actor.link.pid, actor.name)
  }

  #actor(name: Name): Actor {
    const actor = this.#actors.get(name)
    if (actor === undefined) throw new Error(`there is no process '${name}'`)
    return actor
  }

  // Actions

  async start(process: Name, action: Action): Promise<Started> {
    const actor = this.#actor(process)
    if (actor.isDead) throw new Error(`'${process}' can do nothing: it is dead`)
    if (actor.call !== null) {
      throw new Error(`'${process}' can do nothing: its '${actor.call.action.do}' has not returned`)
    }
    if (isStopped(actor.link.pid)) throw new Error(`'${process}' can do nothing: it is stopped`)
    await this.#takeInbox(actor)
    const call = this.#begin(actor, action)
    await this.#outlast(call)
    await this.#settle()
    const outcome = this.#withoutWaiting(call)
    return { id: call.id, outcome: outcome ?? { is: 'waits' } }
  }

  /** The outcome of a call that has just been started; one that waits is told of later. */
  #withoutWaiting(call: RunningCall): Outcome | null {
    this.#finished = this.#finished.filter(({ id }) => id !== call.id)
    return call.outcome
  }

  #begin(actor: Actor, action: Action): RunningCall {
    const id: ActionId = ++this.#lastActionId
    const outcome = this.#perform(actor, action)
    const ended = outcome.then(
      (value) => {
        call.outcome = value
        actor.call = null
        this.#finished.push({ id, outcome: value })
      },
      (error: unknown) => {
        // A world that does not work is no outcome: whoever asks next is told.
        this.#failure ??= error instanceof Error ? error : new Error('a call failed', { cause: error })
        actor.call = null
        call.outcome = { is: 'failed', errno: 'EIO' }
      },
    )
    const call: RunningCall = { id, actor, action, ended, outcome: null }
    actor.call = call
    return call
  }

  #failure: Error | null = null

  #throwFailure(): void {
    if (this.#failure !== null) throw this.#failure
  }

  /**
   * Waits for the outcome, until it is certain that the call waits: its request is among those that the engine says
   * are waiting, or it stands behind one in the kernel. What merely takes long does not wait.
   */
  async #outlast(call: RunningCall): Promise<void> {
    const { pid } = call.actor.link
    const end = performance.now() + PATIENCE_MS
    // Most calls return at once.
    await Promise.race([call.ended, sleep(LOOK_EVERY_MS)])
    while (call.outcome === null && performance.now() < end) {
      if (isStopped(pid) || (await this.#isWaiting(pid))) break
      await Promise.race([call.ended, sleep(LOOK_EVERY_MS)])
    }
    this.#throwFailure()
  }

  async #isWaiting(pid: number): Promise<boolean> {
    const before = lookAtWait(pid)
    if (before === null || !(isForAnswer(before) || isForLock(before))) return false
    const { waiting } = await this.#mount.watcher.report()
    if (waiting.has(pid)) return true
    if (waiting.size === 0 || !isForLock(before)) return false
    // Who has the lock may just be giving it up.
    await sleep(LOOK_EVERY_MS)
    return isSameWait(before, lookAtWait(pid))
  }

  /** Until everything that follows from what was done has happened: deaths, and calls that can go on. */
  async #settle(): Promise<void> {
    for (let count = -1; count !== this.#finished.length; ) {
      count = this.#finished.length
      for (const actor of this.#actors.values()) {
        await this.#settleDeath(actor)
        if (actor.call !== null) await this.#outlast(actor.call)
      }
    }
    this.#throwFailure()
  }

  /** One that has been killed is gone when this returns, unless it waits for a lock in the kernel. */
  async #settleDeath(actor: Actor): Promise<void> {
    const { link } = actor
    if (link.death !== null || !isDying(link.pid)) return
    const end = performance.now() + PATIENCE_MS
    let last: Look | null = null
    while (link.death === null && performance.now() < end) {
      await Promise.race([link.died, sleep(LOOK_EVERY_MS)])
      const look = lookAtWait(link.pid)
      if (isSameWait(last, look)) return
      last = look
    }
    await this.#mount.watcher.barrier()
  }

  async #perform(actor: Actor, action: Action): Promise<Outcome> {
    switch (action.do) {
      case 'send':
        return await this.#send(actor, action)
      case 'fork':
        return await this.#fork(actor, action.as)
      case 'exec':
        return await this.#exec(actor)
      case 'exit':
        return await this.#exit(actor)
      case 'pins':
        return await this.#pins(actor, action.process)
      default:
        return await this.#plain(actor, action)
    }
  }

  async #plain(actor: Actor, action: PlainAction): Promise<Outcome> {
    const answer = await this.#ask(actor, toCommand(action, this.#numbers(actor)))
    if (answer === null) return killedBy(actor)
    if (answer.errno !== 0) return failed(answer.errno)
    return await this.#succeeded(actor, action, answer.value)
  }

  /** @returns null if it died over it. */
  async #ask(actor: Actor, command: Command): Promise<Answer | null> {
    const answer = await actor.link.command(command)
    if (answer !== null) this.#noteSignals(actor, answer)
    return answer
  }

  /** Of what has just been given a number, the name. */
  async #succeeded(actor: Actor, action: PlainAction, value: string): Promise<Outcome> {
    switch (action.do) {
      case 'open':
      case 'dup':
      case 'context':
        await this.#install(actor, action.as, Number(value))
        return OK
      case 'close':
        actor.fds.delete(action.fd)
        return OK
      case 'map': {
        const old = actor.mappings.get(action.as)
        if (old !== undefined) await this.#ask(actor, { do: 'unmap', mapping: old })
        actor.mappings.set(action.as, Number(value))
        return OK
      }
      case 'unmap':
        actor.mappings.delete(action.mapping)
        return OK
      case 'lease': {
        const id = decode.leaseId(value)
        this.#leaseIds.set(action.as, id)
        this.#leaseNames.set(id, action.as)
        return OK
      }
      case 'pin': {
        const { id, count } = decode.pin(value)
        this.#pinIds.set(action.as, id)
        return { is: 'ok', value: String(count) }
      }
      case 'query': {
        const errno = decode.queryErrno(value)
        return errno === 0 ? OK : failed(errno)
      }
      case 'rename': {
        const path = this.#paths.get(action.file)
        if (path !== undefined) path.renames++
        return OK
      }
      case 'become':
        actor.user = action.user
        return OK
      case 'kill':
        await this.#wasSignalled(this.#actor(action.process), SIGNALS[action.signal])
        return OK
      case 'touch':
      case 'read':
      case 'write':
      case 'copy':
      case 'poll':
        return { is: 'ok', value }
      default:
        return OK
    }
  }

  async #install(actor: Actor, name: Name, fd: number): Promise<void> {
    const old = actor.fds.get(name)
    if (old !== undefined) await this.#ask(actor, { do: 'close', fd: old })
    actor.fds.set(name, fd)
  }

  /** kill(2) returns before the other process has noticed. */
  async #wasSignalled(target: Actor, signo: number): Promise<void> {
    if (signo === SIGNALS.SIGKILL) return await this.#settleDeath(target)
    if (signo !== SIGNALS.SIGSTOP && signo !== SIGNALS.SIGCONT) return
    const end = performance.now() + PATIENCE_MS
    let last: Look | null = null
    while (isStopped(target.link.pid) !== (signo === SIGNALS.SIGSTOP) && performance.now() < end) {
      const look = lookAtWait(target.link.pid)
      if (isSameWait(last, look)) return
      last = look
      await sleep(LOOK_EVERY_MS)
    }
  }

  #numbers(actor: Actor): Numbers {
    const path = (file: Name, root: string, more = 0) => {
      const found = this.#paths.get(file)
      if (found === undefined) return `${root}/${this.#name}/no-such-file`
      const renames = found.renames + more
      return `${root}/${found.directory}/${found.name}${renames === 0 ? '' : `-${renames}`}`
    }
    return {
      fd: (name) => actor.fds.get(name) ?? NO_FD,
      mapping: (name) => actor.mappings.get(name) ?? NO_FD,
      lease: (name) => this.#leaseIds.get(name) ?? NO_ID,
      pin: (name) => this.#pinIds.get(name) ?? NO_ID,
      pid: (name) => {
        const target = this.#actors.get(name)
        return target === undefined || target.isDead ? NO_PID : target.link.pid
      },
      path: (file) => path(file, this.#mount.mountpoint),
      pathPast: (file) => path(file, this.#mount.backing),
      newPath: (file) => path(file, this.#mount.mountpoint, 1),
      control: this.#mount.control,
    }
  }

  async #send(actor: Actor, { fd, to, as }: Extract<Action, { do: 'send' }>): Promise<Outcome> {
    const number = actor.fds.get(fd)
    if (number === undefined) return EBADF
    const receiver = this.#actors.get(to)
    if (receiver === undefined || receiver.isDead) return ESRCH
    const mailbox = mailboxOf(this.#stage.directory, receiver.link.id)
    const answer = await this.#ask(actor, { do: 'send', fd: number, mailbox })
    if (answer === null) return killedBy(actor)
    if (answer.errno !== 0) return failed(answer.errno)
    receiver.inbox.push(as)
    if (receiver === actor || this.#isIdle(receiver)) await this.#takeInbox(receiver)
    return OK
  }

  #isIdle(actor: Actor): boolean {
    return !actor.isDead && actor.call === null && !isStopped(actor.link.pid)
  }

  async #takeInbox(actor: Actor): Promise<void> {
    for (let name = actor.inbox.shift(); name !== undefined; name = actor.inbox.shift()) {
      const answer = await within('a descriptor arrives', this.#ask(actor, { do: 'receive' }))
      if (answer === null) return
      if (answer.errno !== 0) throw new Error(`'${actor.name}' cannot receive: ${errnoName(answer.errno)}`)
      await this.#install(actor, name, Number(answer.value))
    }
  }

  async #fork(actor: Actor, name: Name): Promise<Outcome> {
    if (this.#actors.has(name)) throw new Error(`there is a process '${name}' already`)
    const link = await within('fork', this.#stage.forkOf(actor.link, this.#agentId(name)))
    this.#add(new Actor(name, link, actor.user, actor.fds))
    return OK
  }

  async #exec(actor: Actor): Promise<Outcome> {
    const greeting = actor.link.greeting()
    // Its channel stays, and what answers on it is the new program's hello.
    const answer = await within('exec', Promise.race([greeting, this.#ask(actor, { do: 'exec' })]))
    if (answer === null) return killedBy(actor)
    if (answer !== undefined) return failed(answer.errno)
    actor.link.forgetCommand()
    actor.mappings.clear()
    return OK
  }

  async #exit(actor: Actor): Promise<Outcome> {
    await this.#ask(actor, { do: 'exit' })
    await this.#mount.watcher.barrier()
    return OK
  }

  async #pins(actor: Actor, name: Name): Promise<Outcome> {
    const target = this.#actors.get(name)
    const pid = target === undefined || target.isDead ? NO_PID : target.link.pid
    const path = `${this.#mount.control}/pins/${pid}`
    const answer = await this.#ask(actor, { do: 'read-file', path })
    if (answer === null) return killedBy(actor)
    if (answer.errno !== 0) return failed(answer.errno)
    const root = `${this.#mount.mountpoint}/${this.#name}/`
    return { is: 'ok', value: formatPins(answer.value, root, target?.fds ?? new Map()) }
  }

  // What comes of it

  async finished(): Promise<readonly Started[]> {
    await this.#settle()
    return this.#finished.splice(0)
  }

  async notices(): Promise<readonly Notice[]> {
    await this.#settle()
    const events = (await this.#mount.watcher.events()).flatMap((event) => this.#toNotice(event))
    for (const actor of this.#actors.values()) {
      if (!this.#isIdle(actor)) continue
      await within(`'${actor.name}' tells its signals`, this.#ask(actor, { do: 'nothing' }))
    }
    return [...events, ...this.#signals.splice(0)]
  }

  #toNotice({ event, lease, offender }: EventRecord): Notice[] {
    if (lease === undefined) return []
    const process = offender === undefined ? null : this.#processName(offender.pid)
    return [{ kind: 'event', event, lease: this.#leaseName(lease), offender: process }]
  }

  #noteSignals(actor: Actor, { signals }: Answer): void {
    for (const { signo, value } of signals) {
      const signal = (['SIGUSR1', 'SIGUSR2', 'SIGIO'] as const).find((name) => SIGNALS[name] === signo)
      if (signal !== undefined) this.#signals.push({ kind: 'signal', process: actor.name, signal, value })
    }
  }

  #leaseName(id: number): Name {
    return this.#leaseNames.get(id) ?? `lease-${id}`
  }

  #processName(pid: number): Name {
    return this.#processNames.get(pid) ?? `pid-${pid}`
  }

  async sight(lease: Name): Promise<LeaseSight> {
    const record = (await this.#leases()).find(({ id }) => id === this.#leaseIds.get(lease))
    if (record === undefined) return { state: 'none' }
    const { state, mode, level, notifyOnly, pins, owners } = record
    const names = owners.map(({ pid }) => this.#processName(pid)).sort()
    return { state, mode, level, isNotifyOnly: notifyOnly, owners: names, pinCount: pins }
  }

  async leases(): Promise<readonly Name[]> {
    return (await this.#leases()).map(({ id }) => this.#leaseName(id))
  }

  async #leases() {
    return (await this.#mount.watcher.report()).leases
  }

  async pass(ms: number): Promise<void> {
    // One deadline after the other, as they would come: what follows from the first may do away with the next.
    for (let left = ms; left > 0; ) {
      const next = Math.min(left, (await this.#nextDeadlineMs()) ?? left)
      await this.#advance(next)
      left -= next
    }
  }

  async passDeadlines(): Promise<void> {
    for (let count = 0; count < DEADLINES_MAX; count++) {
      const next = await this.#nextDeadlineMs()
      if (next === null) return
      await this.#advance(next)
    }
    throw new Error('a lease is breaking without end')
  }

  /** How long it is until the first deadline that is under way. */
  async #nextDeadlineMs(): Promise<number | null> {
    const left = (await this.#leases()).flatMap(({ state, breakTimeLeftMs = 0 }) =>
      state === 'breaking' ? [Math.max(1, breakTimeLeftMs)] : [],
    )
    return left.length === 0 ? null : Math.min(...left)
  }

  async #advance(ms: number): Promise<void> {
    await this.#mount.clock.advance(ms)
    await this.#mount.watcher.barrier()
    await this.#settle()
  }

  async isAlive(process: Name): Promise<boolean> {
    const actor = this.#actor(process)
    await this.#settleDeath(actor)
    return !actor.isDead
  }

  async close(): Promise<void> {
    const deaths = [...this.#actors.values()].map(({ link }) => {
      link.kill()
      return link.died
    })
    try {
      await within('the processes of the scenario end', Promise.all(deaths), PATIENCE_MS / 2)
    } catch {
      // Something hangs on the mount, and ends when its requests do.
      this.#stage.abort(this.#mount)
      await within('the processes of the scenario end', Promise.all(deaths))
    }
    for (const { link } of this.#actors.values()) link.close()
    await this.#stage.reap()
    rmSync(`${this.#mount.backing}/${this.#name}`, { recursive: true, force: true })
  }
}

function failed(errno: number): Outcome {
  return { is: 'failed', errno: errnoName(errno) }
}

const SIGBUS = 7

function killedBy({ link }: Actor): Outcome {
  const death: Death | null = link.death
  return { is: 'killed', signal: death?.signo === SIGBUS ? 'SIGBUS' : 'SIGKILL' }
}

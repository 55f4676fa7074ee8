/** What the tests of the rules share: short ways to say "process 2 truncates file 1" and to see what came of it. */
import { assert } from '../lib/assert.js'
import { type Errno, errnoName } from '../lib/errno.js'
import type {
  ContextId,
  FileId,
  Instant,
  LeaseId,
  Ofd,
  PinId,
  ProcessKey,
  RequestId,
  Uid,
} from '../lib/ids.js'
import type { Range } from '../lib/range.js'
import { mint } from './answers.js'
import { createLeaseRules, DEFAULT_POLICY } from './index.js'
import type {
  Answer,
  Effect,
  Input,
  LayoutOperation,
  LeaseEvent,
  LeaseInfo,
  LeaseLevel,
  LeaseMode,
  LeasePolicy,
  LeaseRules,
  Mapping,
  PinHolder,
  PollState,
  WhenBusy,
} from './types.js'

export const ofdOf = (id: number): Ofd => mint<Ofd>(id)
export const processOf = (key: number): ProcessKey => mint<ProcessKey>(key)
export const fileOf = (id: number): FileId => mint<FileId>(id)
export const leaseOf = (id: number): LeaseId => mint<LeaseId>(id)
export const pinOf = (id: number): PinId => mint<PinId>(id)
export const contextOf = (id: number): ContextId => mint<ContextId>(id)
export const userOf = (id: number): Uid => mint<Uid>(id)
export const requestOf = (id: number): RequestId => mint<RequestId>(id)

export const BREAK_MS = DEFAULT_POLICY.breakTimeMs

/** `[0, 100]` is the bytes 0 to 99; leaving it out is the whole file. */
export type Bytes = readonly [start: number, end: number]

export function rangeOf([start, end]: Bytes = [0, Number.POSITIVE_INFINITY]): Range {
  return { start, end }
}

export interface TakeOptions {
  readonly ofd?: number
  readonly file?: number
  readonly process?: number | null
  readonly user?: number
  readonly bytes?: Bytes
  readonly mode?: LeaseMode
  readonly level?: LeaseLevel
  readonly mayDelayOthers?: boolean
  readonly whenBusy?: WhenBusy
  readonly breakTimeMs?: number
}

export interface ChangeOptions {
  readonly process?: number | null
  readonly ofd?: number | null
  readonly file?: number
  readonly bytes?: Bytes
  readonly operation?: LayoutOperation
  readonly nonBlocking?: boolean
}

export interface PinOptions {
  readonly process?: number | null
  readonly context?: number
  readonly bytes?: Bytes
  readonly user?: number
}

/** One instance of the rules, a clock moved by hand, and a record of everything that came out. */
export class World {
  readonly rules: LeaseRules
  now = 1_000
  /** Of the last step. */
  effects: readonly Effect[] = []
  /** Of all steps since the last `forget`. */
  readonly events: LeaseEvent[] = []
  readonly replies = new Map<number, string>()
  readonly #grants = new Map<number, LeaseId>()
  #lastRequest = 0

  constructor(policy: Partial<LeasePolicy> = {}) {
    this.rules = createLeaseRules({ ...DEFAULT_POLICY, ...policy })
  }

  step(input: Input): Answer {
    const step = this.rules.step(input, mint<Instant>(this.now))
    this.effects = step.effects
    for (const effect of step.effects) {
      if (effect.kind === 'event') this.events.push(effect.event)
      if (effect.kind !== 'reply') continue
      assert(!this.replies.has(effect.request), 'a request is answered twice')
      this.replies.set(effect.request, nameOf(effect.errno))
      if (effect.lease !== undefined) this.#grants.set(effect.request, effect.lease)
    }
    return step.answer
  }

  /** Takes a lease: process 1 through its OFD 1 on file 1, normal and read, unless told otherwise. */
  take(options: TakeOptions = {}): LeaseId {
    const answer = this.step(this.#acquireInput(options))
    assert(answer.status === 'done' && answer.lease !== undefined, `no lease: ${JSON.stringify(answer)}`)
    return answer.lease
  }

  /** @returns `done`, `waiting` or the name of the errno. */
  tryTake(options: TakeOptions = {}): string {
    return outcomeOf(this.step(this.#acquireInput(options)))
  }

  #acquireInput(options: TakeOptions): Input {
    const ofd = options.ofd ?? 1
    const process = options.process === undefined ? ofd : options.process
    this.#lastRequest++
    return {
      kind: 'acquire',
      request: requestOf(this.#lastRequest),
      ofd: ofdOf(ofd),
      file: fileOf(options.file ?? 1),
      process: process === null ? null : processOf(process),
      user: userOf(options.user ?? 1000),
      range: rangeOf(options.bytes),
      mode: options.mode ?? 'read',
      level: options.level ?? 'normal',
      mayDelayOthers: options.mayDelayOthers ?? true,
      whenBusy: options.whenBusy ?? 'fail',
      breakTimeMs: options.breakTimeMs ?? 0,
    }
  }

  /** Sets mode and level of a lease (L4); what is left out stays as it is. */
  set(lease: LeaseId, options: TakeOptions): string {
    const info = this.rules.lease(lease)
    const ofd = options.ofd ?? info?.ofd ?? 1
    this.#lastRequest++
    return outcomeOf(
      this.step({
        kind: 'change',
        request: requestOf(this.#lastRequest),
        ofd: ofdOf(ofd),
        lease,
        process: processOf(options.process ?? ofd),
        mode: options.mode ?? info?.mode ?? 'read',
        level: options.level ?? info?.level ?? 'normal',
        mayDelayOthers: options.mayDelayOthers ?? true,
        whenBusy: options.whenBusy ?? 'fail',
        breakTimeMs: options.breakTimeMs ?? 0,
      }),
    )
  }

  release(ofd: number, lease: LeaseId | null = null): string {
    return outcomeOf(this.step({ kind: 'release', ofd: ofdOf(ofd), lease }))
  }

  /** Process 9, which owns nothing, truncates file 1 to nothing, unless told otherwise. */
  change(options: ChangeOptions = {}): string {
    this.#lastRequest++
    const process = options.process === undefined ? 9 : options.process
    const ofd = options.ofd ?? null
    return outcomeOf(
      this.step({
        kind: 'layout-change',
        request: requestOf(this.#lastRequest),
        file: fileOf(options.file ?? 1),
        ofd: ofd === null ? null : ofdOf(ofd),
        process: process === null ? null : processOf(process),
        operation: options.operation ?? 'truncate',
        range: rangeOf(options.bytes),
        nonBlocking: options.nonBlocking ?? false,
      }),
    )
  }

  /** A change that has gone ahead is over at once, as most are. */
  changeAndFinish(options: ChangeOptions = {}): string {
    const outcome = this.change(options)
    if (outcome === 'done') this.finish(this.lastRequest)
    return outcome
  }

  finish(request: number): string {
    return outcomeOf(this.step({ kind: 'layout-change-done', request: requestOf(request) }))
  }

  interrupt(request: number): void {
    this.step({ kind: 'interrupt', request: requestOf(request) })
  }

  /** The number of the last lease request or layout change. */
  get lastRequest(): number {
    return this.#lastRequest
  }

  /** What a request that waited was answered: `ok`, the name of an errno, or undefined while it waits. */
  reply(request: number): string | undefined {
    return this.replies.get(request)
  }

  grantOf(request: number): LeaseId {
    const lease = this.#grants.get(request)
    assert(lease !== undefined, `request ${request} got no lease`)
    return lease
  }

  setOwner(ofd: number, lease: LeaseId, owner: number, signo: number | null = null): string {
    const signal = signo === null ? null : { signo, value: ofd, registrar: userOf(1000) }
    return outcomeOf(
      this.step({ kind: 'set-owner', ofd: ofdOf(ofd), lease, owner: processOf(owner), signal }),
    )
  }

  removeOwner(ofd: number, lease: LeaseId, owner: number): string {
    return outcomeOf(this.step({ kind: 'remove-owner', ofd: ofdOf(ofd), lease, owner: processOf(owner) }))
  }

  pin(lease: LeaseId, options: PinOptions = {}): PinId {
    const answer = this.step(this.#pinInput(lease, options))
    assert(answer.status === 'done' && answer.pin !== undefined, `no pin: ${JSON.stringify(answer)}`)
    return answer.pin
  }

  tryPin(lease: LeaseId, options: PinOptions = {}): string {
    return outcomeOf(this.step(this.#pinInput(lease, options)))
  }

  #pinInput(lease: LeaseId, options: PinOptions): Input {
    const process = options.process === undefined ? 1 : options.process
    return {
      kind: 'pin',
      lease,
      range: rangeOf(options.bytes),
      process: process === null ? null : processOf(process),
      user: userOf(options.user ?? 1000),
      holder: holderOf(process ?? 0, options.context),
    }
  }

  unpin(pin: PinId, process = 1, context?: number): string {
    return outcomeOf(this.step({ kind: 'unpin', pin, holder: holderOf(process, context) }))
  }

  closeContext(context: number): void {
    this.step({ kind: 'context-closed', context: contextOf(context) })
  }

  close(ofd: number, mappings: readonly Mapping[] = []): void {
    this.step({ kind: 'ofd-closed', ofd: ofdOf(ofd), mappings })
  }

  remap(mappings: readonly Mapping[], file = 1): void {
    this.step({ kind: 'mappings-changed', file: fileOf(file), mappings })
  }

  exit(process: number): void {
    this.step({ kind: 'process-exited', process: processOf(process) })
  }

  revoke(lease: LeaseId, kill = false): string {
    return outcomeOf(this.step({ kind: 'revoke', lease, kill }))
  }

  /** Lets time pass and tells the rules of it, as the engine's timer does. */
  pass(ms: number): void {
    this.now += ms
    this.step({ kind: 'time-passed' })
  }

  /** The lease, which has to exist. */
  lease(id: LeaseId): LeaseInfo {
    const info = this.rules.lease(id)
    assert(info !== undefined, `there is no lease ${id}`)
    return info
  }

  poll(ofd: number): PollState {
    return this.rules.pollState(ofdOf(ofd))
  }

  query(options: ChangeOptions = {}) {
    const process = options.process === undefined ? 9 : options.process
    const result = this.rules.query(
      fileOf(options.file ?? 1),
      options.ofd === undefined || options.ofd === null ? null : ofdOf(options.ofd),
      process === null ? null : processOf(process),
      options.operation ?? 'truncate',
      rangeOf(options.bytes),
    )
    return { outcome: nameOf(result.errno), lease: result.lease }
  }

  /** What happened since the last call, as `event:lease`, oldest first. */
  told(): string[] {
    return this.events.splice(0).map((event) => `${event.event}:${event.lease.id}`)
  }

  /** Effects of the last step that are of this kind. */
  sent<Kind extends Effect['kind']>(kind: Kind): Extract<Effect, { readonly kind: Kind }>[] {
    return this.effects.filter((effect): effect is Extract<Effect, { readonly kind: Kind }> => {
      return effect.kind === kind
    })
  }

  /** Everything that can be seen from outside, to compare before and after. */
  snapshot(): string {
    const leases = [...this.rules.leases()]
    const polls = leases.map((lease) => (lease.ofd === null ? null : this.rules.pollState(lease.ofd)))
    return JSON.stringify([leases, [...this.rules.pins()], polls, this.rules.nextDeadline()])
  }
}

function holderOf(process: number, context: number | undefined): PinHolder {
  if (context !== undefined) return { kind: 'context', context: contextOf(context) }
  return { kind: 'process', process: processOf(process) }
}

export function mappingOf(process: number, bytes?: Bytes): Mapping {
  return { process: processOf(process), range: rangeOf(bytes) }
}

function outcomeOf(answer: Answer): string {
  return answer.status === 'failed' ? errnoName(answer.errno) : answer.status
}

function nameOf(errno: Errno | 0): string {
  return errno === 0 ? 'ok' : errnoName(errno)
}

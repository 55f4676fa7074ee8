/**
 * Holdfast in the model: the rules, with what they are told and what follows from it as `src/daemon` has it, but for
 * the bytes on the wire. Time is a number.
 */
import type { Effect, Input, LeaseEvent, LeasePolicy, LeaseRules, Step } from '../../lease/index.js'
import type { Errno } from '../../lib/errno.js'
import type { Instant, LeaseId, ProcessKey, RequestId } from '../../lib/ids.js'

/** What Holdfast does to the world around it. */
export interface Surroundings {
  event(event: LeaseEvent): void
  signal(effect: Extract<Effect, { kind: 'signal' }>): void
  kill(process: ProcessKey): void
}

type Resume = (errno: Errno | 0, lease: LeaseId | undefined) => void

/** What became of something that may have to wait. */
export type Asked = { readonly errno: Errno | 0; readonly lease: LeaseId | undefined } | RequestId

export class ModelHoldfast {
  readonly rules: LeaseRules
  nowMs = 0
  readonly #surroundings: Surroundings
  readonly #waiting = new Map<RequestId, Resume>()
  #lastRequest = 0

  constructor(rules: LeaseRules, surroundings: Surroundings) {
    this.rules = rules
    this.#surroundings = surroundings
  }

  static policyOf(mount: LeasePolicy): LeasePolicy {
    const { breakTimeMs, leaseCountMax, pinCountMax, onTimeout } = mount
    return { breakTimeMs, leaseCountMax, pinCountMax, onTimeout }
  }

  step(input: Input): Step {
    const step = this.rules.step(input, this.nowMs as Instant)
    for (const effect of step.effects) this.#carryOut(effect)
    return step
  }

  /** Gives the rules a request that may have to wait; `resume` is called if it had to. */
  ask(makeInput: (request: RequestId) => Input, resume: Resume): Asked {
    this.#lastRequest++
    const request = this.#lastRequest as RequestId
    const { answer } = this.step(makeInput(request))
    if (answer.status === 'failed') return { errno: answer.errno, lease: undefined }
    if (answer.status === 'done') return { errno: 0, lease: answer.lease }
    this.#waiting.set(request, resume)
    return request
  }

  /**
   * A layout change from the question to its end. `act` is called once, when the change goes ahead.
   * @param finish told how it ended if it had to wait.
   */
  askChange<Result>(
    change: Omit<Extract<Input, { kind: 'layout-change' }>, 'kind' | 'request'>,
    act: () => Result,
    finish: (result: Result | Errno) => void,
  ): { readonly result: Result | Errno } | RequestId {
    let request: RequestId | null = null
    const carryOut = () => {
      const result = act()
      if (request !== null) this.step({ kind: 'layout-change-done', request })
      return result
    }
    const asked = this.ask(
      (id) => {
        request = id
        return { kind: 'layout-change', request: id, ...change }
      },
      (errno) => finish(errno === 0 ? carryOut() : errno),
    )
    if (typeof asked === 'number') return asked
    return { result: asked.errno === 0 ? carryOut() : asked.errno }
  }

  #carryOut(effect: Effect): void {
    switch (effect.kind) {
      case 'reply': {
        const resume = this.#waiting.get(effect.request)
        this.#waiting.delete(effect.request)
        resume?.(effect.errno, effect.lease)
        return
      }
      case 'event':
        this.#surroundings.event(effect.event)
        return
      case 'signal':
        this.#surroundings.signal(effect)
        return
      case 'kill':
        this.#surroundings.kill(effect.process)
        return
      case 'poll':
      case 'file-free':
        return // Nobody sleeps in poll here, and a file of the model is kept anyway.
    }
  }
}

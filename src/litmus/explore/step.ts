import type { Action, Name, Notice, Outcome } from '../scenario.js'
import type { ActionId, Started } from '../world.js'
import type { Facts } from './facts.js'

/** One step of a machine, as the auditor sees it: something is done, or time passes, and everything that follows. */
export interface Step {
  /** null: time passed. */
  readonly move: {
    readonly id: ActionId
    readonly process: Name
    readonly action: Action
    readonly outcome: Outcome
  } | null
  /** What had waited and has returned. */
  readonly finished: readonly Started[]
  readonly notices: readonly Notice[]
  readonly before: Facts
  readonly after: Facts
}

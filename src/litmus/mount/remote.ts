/** How the runner asks the host: requests and answers, one JSON object a line. */
import type { Scenario } from '../scenario.js'
import type { World } from '../world.js'

export interface HostOptions {
  readonly passthrough: boolean
  /** What the files lie on. tmpfs cannot zero a range. */
  readonly backing: 'ext4' | 'tmpfs'
  /** `held`: it is moved by `pass` and `passDeadlines` only. `real`: deadlines pass as they do anywhere. */
  readonly clock: 'held' | 'real'
}

/** What can be asked of a world by its name and arguments. */
export type WorldMethod = keyof World

export type HostRequest =
  | { readonly id: number; readonly ask: 'make'; readonly scenario: Scenario }
  | {
      readonly id: number
      readonly ask: 'world'
      readonly world: number
      readonly method: WorldMethod
      readonly args: readonly unknown[]
    }

export type HostAnswer =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: string }

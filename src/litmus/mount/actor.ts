/** A process of a scenario, and the call it is in. */
import type { Action, Name, Outcome, User } from '../scenario.js'
import type { ActionId } from '../world.js'
import type { AgentLink } from './links.js'

export interface RunningCall {
  readonly id: ActionId
  readonly actor: Actor
  readonly action: Action
  /** Ends when the outcome is there. */
  readonly ended: Promise<void>
  outcome: Outcome | null
}

export class Actor {
  readonly name: Name
  readonly link: AgentLink
  readonly fds: Map<Name, number>
  readonly mappings = new Map<Name, number>()
  user: User
  /** Descriptors that were sent to it while it could not take them; they are in flight. */
  readonly inbox: Name[] = []
  /** What it has not returned from. */
  call: RunningCall | null = null

  constructor(name: Name, link: AgentLink, user: User, fds: ReadonlyMap<Name, number> = new Map()) {
    this.name = name
    this.link = link
    this.user = user
    this.fds = new Map(fds)
  }

  get isDead(): boolean {
    return this.link.death !== null
  }
}

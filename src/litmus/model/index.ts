/** The model as a world to play scenarios in. */
import type { Action, LeaseSight, Name, Notice, Scenario } from '../scenario.js'
import type { Started, World, WorldMaker } from '../world.js'
import type { ModelOptions } from './kernel.js'
import { ModelMachine } from './machine.js'

export type { ModelOptions } from './kernel.js'
export { type FileView, ModelMachine, type OpenFileView, type ProcessView } from './machine.js'

class ModelWorld implements World {
  readonly #machine: ModelMachine

  constructor(machine: ModelMachine) {
    this.#machine = machine
  }

  async start(process: Name, action: Action): Promise<Started> {
    return this.#machine.start(process, action)
  }

  async finished(): Promise<readonly Started[]> {
    return this.#machine.takeFinished()
  }

  async notices(): Promise<readonly Notice[]> {
    return this.#machine.takeNotices()
  }

  async sight(lease: Name): Promise<LeaseSight> {
    return this.#machine.sight(lease)
  }

  async leases(): Promise<readonly Name[]> {
    return this.#machine.leases()
  }

  async pass(ms: number): Promise<void> {
    this.#machine.pass(ms)
  }

  async passDeadlines(): Promise<void> {
    this.#machine.passDeadlines()
  }

  async isAlive(process: Name): Promise<boolean> {
    return this.#machine.isAlive(process)
  }

  async close(): Promise<void> {}
}

export function modelWorld(options: Partial<ModelOptions> = {}): WorldMaker {
  return {
    name: 'model',
    make: async (scenario: Scenario) => new ModelWorld(new ModelMachine(scenario, options)),
    close: async () => {},
  }
}

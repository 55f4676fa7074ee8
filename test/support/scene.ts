/**
 * What the tests of leases between processes start from: one mount, and for each test a fresh file on it and
 * processes that end with the test. Call it once, at the top of a test file.
 */
import path from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest'
import type { Agent } from './agent.js'
import { controlDirectory } from './events.js'
import { eventually, eventuallyTrue } from './eventually.js'
import { listing, type Row } from './listing.js'
import { Sandbox, SOON_MS } from './sandbox.js'

export const PAGE = 4096
export const FILE_SIZE = 16 * PAGE

export interface Scene {
  readonly box: Sandbox
  /** The mountpoint. */
  readonly tree: string
  readonly control: string
  /** A fresh file on the mount, open to everybody. */
  readonly file: string
  /** A process that ends with the test; with `uid` as that user, without root's capabilities. */
  agent(role: string, uid?: number): Promise<Agent>
  /** Makes somebody else's process end with the test as well. */
  adopt(agent: Agent): Agent
  leases(): Promise<Row[]>
  /** Waits until the only lease of the file, or the one with this id, is in a state. */
  becomes(state: string, id?: bigint): Promise<void>
}

export function scene(...mountOptions: string[]): Scene {
  let box: Sandbox
  let control = ''
  let file = ''
  let counter = 0
  let agents: Agent[] = []
  const tree = () => path.join(box.work, 'tree')

  beforeAll(async () => {
    box = await Sandbox.create()
    await box.must('mkdir tree && chmod 777 tree')
    await box.mount(tree(), ...mountOptions)
    await box.must('echo > tree/first')
    control = await controlDirectory(box, path.join(tree(), 'first'))
  })

  afterAll(async () => {
    await box.dispose()
  })

  beforeEach(async () => {
    file = await box.file(`tree/file-${++counter}`, FILE_SIZE)
    await box.must('chmod 666 "$1"', { args: [file] })
  })

  afterEach(async () => {
    for (const agent of agents) agent.disconnect()
    agents = []
    // A test that failed may have left commands that hold leases.
    await box.endCommands()
    await eventuallyTrue('no lease is left', async () => (await leases()).length === 0, SOON_MS)
  })

  const leases = async () => await listing(box, 'leases')

  const adopt = (agent: Agent) => {
    agents.push(agent)
    return agent
  }

  return {
    get box() {
      return box
    },
    get tree() {
      return tree()
    },
    get control() {
      return control
    },
    get file() {
      return file
    },
    async agent(role, uid) {
      const agent = adopt(await box.agent(`${role}-${counter}-${agents.length}`))
      if (uid !== undefined) await agent.call('become', uid, uid)
      return agent
    },
    adopt,
    leases,
    async becomes(state, id) {
      await eventually(`the lease is ${state}`, async (saw) => {
        const rows = (await leases()).filter((row) => row.file === file)
        saw(rows)
        return rows.some((row) => row.state === state && (id === undefined || row.id === Number(id)))
          ? true
          : undefined
      })
    },
  }
}

export function isAlive(box: Sandbox, pid: number): boolean {
  return box.processes().some((line) => line.pid === pid)
}

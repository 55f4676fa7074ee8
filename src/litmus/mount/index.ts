/**
 * Scenarios with real processes and real system calls, on a real mount of Holdfast. Needs root.
 *
 * Three kinds of processes: the runner (whoever calls this) asks the host over a pipe; the host is init of a mount
 * and a process namespace of its own and steers; its agents are the processes of a scenario. Only agents touch a
 * mount, and all of it is gone when the runner is.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Scenario } from '../scenario.js'
import type { World, WorldMaker } from '../world.js'
import { LineReader } from './protocol.js'
import type { HostAnswer, HostOptions, HostRequest, WorldMethod } from './remote.js'

export interface MountWorldOptions {
  readonly passthrough: boolean
  /** ext4 unless said otherwise. */
  readonly backing?: HostOptions['backing']
  /** Held unless said otherwise: on a busy machine no deadline passes by accident. */
  readonly clock?: HostOptions['clock']
}

/** No step takes that long but letting time pass. */
const PATIENCE_MS = 120_000
const READY_ID = 0
const PROGRAM = fileURLToPath(new URL('../../../dist/litmus/mount/host.js', import.meta.url))

/** @throws if the machine lacks what is needed; the message says what. */
export async function mountWorld(options: MountWorldOptions): Promise<WorldMaker> {
  const { passthrough, backing = 'ext4', clock = 'held' } = options
  const start = async () => {
    const host = new Host({ passthrough, backing, clock })
    await host.ready()
    return host
  }
  let host = await start()
  return {
    name: options.passthrough ? 'mount' : 'mount without passthrough',
    make: async (scenario) => {
      // One that broke down has taken a scenario along, and need not take the others too.
      if (host.hasEnded) host = await start()
      return await host.make(scenario)
    },
    close: async () => await host.close(),
  }
}

interface Waiting {
  resolve(result: unknown): void
  reject(error: Error): void
}

class Host {
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, Waiting>()
  readonly #ready: Promise<unknown>
  readonly #ended: Promise<void>
  #lastId = READY_ID
  hasEnded = false
  #said = ''

  constructor(options: HostOptions) {
    const namespaces = ['--mount', '--pid', '--fork', '--kill-child', '--mount-proc']
    const argv = [
      ...namespaces,
      '--propagation',
      'private',
      process.execPath,
      PROGRAM,
      JSON.stringify(options),
    ]
    this.#child = spawn('unshare', argv, { stdio: ['pipe', 'pipe', 'pipe'] })
    this.#ready = this.#wait(READY_ID, PATIENCE_MS)
    const lines = new LineReader()
    this.#child.stdout?.on('data', (bytes: Buffer) => {
      for (const line of lines.take(bytes)) this.#answered(JSON.parse(line) as HostAnswer)
    })
    this.#child.stderr?.on('data', (bytes: Buffer) => {
      this.#said = `${this.#said}${bytes.toString()}`.slice(-4000)
    })
    this.#child.stdin?.on('error', () => {
      // It has ended, which is noticed below.
    })
    this.#ended = new Promise((resolve) => {
      const gone = (why: string) => {
        this.hasEnded = true
        for (const { reject } of this.#waiting.values()) reject(new Error(`${why}\n${this.#said}`))
        this.#waiting.clear()
        resolve()
      }
      this.#child.on('error', (error) => gone(`no namespace for the mounts: ${error.message}`))
      this.#child.on('close', () => gone('the host of the mounts has ended'))
    })
  }

  async ready(): Promise<void> {
    try {
      await this.#ready
    } catch (error) {
      await this.close()
      throw error
    }
  }

  async make(scenario: Scenario): Promise<World> {
    const world = await this.#ask({ id: ++this.#lastId, ask: 'make', scenario })
    return this.#worldOf(Number(world))
  }

  #worldOf(world: number): World {
    // What a method gives back has been through JSON, and is plain data.
    const call = async <Result>(method: WorldMethod, ...args: unknown[]): Promise<Result> => {
      const extra = method === 'pass' ? Number(args[0]) : method === 'passDeadlines' ? PATIENCE_MS : 0
      const result = await this.#ask({ id: ++this.#lastId, ask: 'world', world, method, args }, extra)
      return result as Result
    }
    return {
      start: async (process, action, willWait) => await call('start', process, action, willWait),
      finished: async () => await call('finished'),
      notices: async () => await call('notices'),
      sight: async (lease) => await call('sight', lease),
      leases: async () => await call('leases'),
      pass: async (ms) => await call('pass', ms),
      passDeadlines: async () => await call('passDeadlines'),
      isAlive: async (process) => await call('isAlive', process),
      // Of a host that has ended nothing is left.
      close: async () => {
        if (!this.hasEnded) await call('close')
      },
    }
  }

  /** The kernel ends everything with the host. */
  async close(): Promise<void> {
    this.#child.stdin?.end()
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), PATIENCE_MS)
    await this.#ended
    clearTimeout(timer)
  }

  async #ask(request: HostRequest, extraMs = 0): Promise<unknown> {
    if (this.hasEnded) throw new Error(`the host of the mounts has ended\n${this.#said}`)
    const answer = this.#wait(request.id, PATIENCE_MS + extraMs)
    this.#child.stdin?.write(`${JSON.stringify(request)}\n`)
    return await answer
  }

  #wait(id: number, patienceMs: number): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new Error(`the host does not answer within ${patienceMs} ms\n${this.#said}`))
        this.#child.kill('SIGKILL')
      }, patienceMs)
      const settled =
        <T>(settle: (value: T) => void) =>
        (value: T) => {
          clearTimeout(timer)
          settle(value)
        }
      this.#waiting.set(id, { resolve: settled(resolve), reject: settled(reject) })
    })
  }

  #answered(answer: HostAnswer): void {
    const waiting = this.#waiting.get(answer.id)
    this.#waiting.delete(answer.id)
    if ('error' in answer) waiting?.reject(new Error(answer.error))
    else waiting?.resolve(answer.result)
  }
}

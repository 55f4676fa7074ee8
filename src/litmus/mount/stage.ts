/**
 * What scenarios on a mount are played on: a mount namespace and a process namespace of their own, an ext4 file
 * system in a file, mounts of Holdfast over directories of it, and the first agent. The host is the init process
 * of it all: when it ends, for whatever reason, the kernel ends every process, and with the last of them the mounts.
 */
import { execFile, spawn } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { FORKABLE } from '../../linux/fork.js'
import { readMounts } from '../../linux/mounts.js'
import type { MountSpec } from '../scenario.js'
import { HeldClock, type MountClock, REAL_CLOCK } from './clock.js'
import { type AgentLink, AgentServer } from './links.js'
import type { AgentStart } from './protocol.js'
import type { HostOptions } from './remote.js'
import { GUARD_UID, Watcher } from './watcher.js'

const run = promisify(execFile)

/** Below /run, which is a tmpfs that nobody else sees. */
const DIRECTORY = '/run/litmus'
const BACKING = `${DIRECTORY}/backing`
const CODE = `${DIRECTORY}/code`
const COMMAND_PATIENCE_MS = 20_000
const IMAGE_BYTES = 128 * 1024 * 1024
const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
/** What slows Node's start or changes what it runs. */
const ENVIRONMENT = { PATH: process.env.PATH ?? '/usr/bin:/bin' }

async function command(program: string, ...args: string[]): Promise<void> {
  await run(program, args, { timeout: COMMAND_PATIENCE_MS, env: ENVIRONMENT })
}

/** A mount of Holdfast that several scenarios are played on, one after the other. */
export interface DataMount {
  readonly mountpoint: string
  /** The same files, past the mount. */
  readonly backing: string
  readonly control: string
  readonly clock: MountClock
  readonly watcher: Watcher
  /** Of the connection in /sys/fs/fuse/connections. */
  readonly connections: readonly number[]
}

export class Stage {
  readonly directory = DIRECTORY
  readonly #options: HostOptions
  readonly #server: AgentServer
  readonly #first: AgentLink
  readonly #mounts = new Map<string, DataMount>()
  #lastMount = 0

  private constructor(options: HostOptions, server: AgentServer, first: AgentLink) {
    this.#options = options
    this.#server = server
    this.#first = first
  }

  static async set(options: HostOptions): Promise<Stage> {
    // Engines of the machine are not seen, and nothing of ours is left behind.
    await command('mount', '-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', '/run')
    for (const name of [DIRECTORY, BACKING, CODE, `${DIRECTORY}/mailboxes`]) mkdirSync(name)
    chmodSync(`${DIRECTORY}/mailboxes`, 0o1777)
    // An engine would make a cgroup of its own there, which nobody would remove after a kill of everything.
    for (const { type, mountpoint } of readMounts()) {
      if (type === 'cgroup2') await command('umount', '-l', mountpoint.toString())
    }
    const connections = '/sys/fs/fuse/connections'
    if (!readMounts().some(({ type }) => type === 'fusectl')) {
      await command('mount', '-t', 'fusectl', 'fusectl', connections)
    }
    if (options.backing === 'ext4') await mountImage()
    await showCode()
    const server = await AgentServer.listen(DIRECTORY)
    return new Stage(options, server, await startFirst(server))
  }

  /** A process of its own, as from another terminal; user 0 has every capability. */
  async agent(id: string, uid: number): Promise<AgentLink> {
    return await this.forkOf(this.#first, id, { uid })
  }

  async forkOf(parent: AgentLink, id: string, apart?: { uid: number }): Promise<AgentLink> {
    const arrival = this.expect(id)
    const answer = await parent.command({ do: 'fork', id, ...(apart === undefined ? {} : { apart }) })
    if (answer?.errno !== 0) throw new Error(`agent ${parent.id} cannot fork: ${answer?.errno ?? 'it ended'}`)
    return await arrival
  }

  expect(id: string): Promise<AgentLink> {
    return this.#server.expect(id)
  }

  /** Lets go of processes that have ended. */
  async reap(): Promise<void> {
    await this.#first.command({ do: 'reap' })
  }

  async mount(spec: MountSpec): Promise<DataMount> {
    const key = JSON.stringify([spec.breakTimeMs, spec.onTimeout, spec.leaseCountMax, spec.pinCountMax])
    const found = this.#mounts.get(key)
    if (found !== undefined) return found
    const name = `m${++this.#lastMount}`
    const backing = `${BACKING}/${name}`
    const mountpoint = `${DIRECTORY}/${name}`
    mkdirSync(backing)
    mkdirSync(mountpoint)
    writeFileSync(`${backing}/sentinel`, '')
    chownSync(`${backing}/sentinel`, GUARD_UID, GUARD_UID)
    const args = ['mount', backing, mountpoint, '--break-time', String(spec.breakTimeMs)]
    args.push('--max-leases', String(spec.leaseCountMax), '--max-pins', String(spec.pinCountMax))
    const clock = this.#options.clock === 'held' ? new HeldClock(`${DIRECTORY}/${name}.clock`) : REAL_CLOCK
    args.push(...clock.options)
    if (spec.onTimeout === 'kill') args.push('--on-timeout', 'kill')
    if (!this.#options.passthrough) args.push('--no-passthrough')
    await command(`${ROOT}bin/holdfast`, ...args)
    const info = readMounts().filter((mount) => mount.mountpoint.toString().startsWith(mountpoint))
    const data = info.find((mount) => mount.mountpoint.toString() === mountpoint)
    if (data === undefined) throw new Error(`${mountpoint} is not mounted`)
    const control = data.source.toString()
    const ways = readMounts().filter(({ mountpoint: at }) => [mountpoint, control].includes(at.toString()))
    const watcher = await Watcher.start(this, { name, mountpoint, control })
    const connections = ways.map(({ minor }) => minor)
    const made: DataMount = { mountpoint, backing, control, clock, watcher, connections }
    this.#mounts.set(key, made)
    return made
  }

  /** When something hangs on a mount: every request gets an error, and the mount is not used again. */
  abort(mount: DataMount): void {
    for (const connection of mount.connections) {
      writeFileSync(`/sys/fs/fuse/connections/${connection}/abort`, '1')
    }
    for (const [key, each] of this.#mounts) if (each === mount) this.#mounts.delete(key)
  }
}

async function mountImage(): Promise<void> {
  const image = `${DIRECTORY}/image`
  await command('truncate', '-s', String(IMAGE_BYTES), image)
  await command('mkfs.ext4', '-q', '-F', '-m', '0', image)
  await command('mount', '-o', 'loop', image, BACKING)
}

/**
 * Agents that have become ordinary users execute themselves again, from a checkout that may lie where they cannot
 * read: so it is shown at a place where everybody can.
 */
async function showCode(): Promise<void> {
  const koffi = createRequire(import.meta.url).resolve('koffi')
  const modules = koffi.slice(0, koffi.lastIndexOf('/node_modules/') + '/node_modules'.length)
  for (const [from, name] of [
    [`${ROOT}dist`, 'dist'],
    [modules, 'node_modules'],
  ] as const) {
    mkdirSync(`${CODE}/${name}`)
    await command('mount', '--bind', from, `${CODE}/${name}`)
  }
  writeFileSync(`${CODE}/node`, '')
  await command('mount', '--bind', process.execPath, `${CODE}/node`)
  writeFileSync(`${CODE}/package.json`, readFileSync(`${ROOT}package.json`))
}

async function startFirst(server: AgentServer): Promise<AgentLink> {
  const start: AgentStart = { directory: DIRECTORY, id: 'first', resumed: null }
  const arrival = server.expect(start.id)
  const program = `${CODE}/dist/litmus/mount/agent.js`
  const child = spawn(`${CODE}/node`, [...FORKABLE, program, JSON.stringify(start)], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: ENVIRONMENT,
    cwd: '/',
  })
  child.on('error', (error) => console.error(error.message))
  return await arrival
}

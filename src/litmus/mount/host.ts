/**
 * The program in which worlds on a mount live, as init of its own process namespace. It does what the runner asks
 * for on its standard input, and ends with it.
 */

import { MountWorld } from './play.js'
import { LineReader } from './protocol.js'
import type { HostAnswer, HostOptions, HostRequest } from './remote.js'
import { Stage } from './stage.js'

const READY_ID = 0

function answer(message: HostAnswer): void {
  process.stdout.write(`${JSON.stringify(message)}\n`)
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}

async function main(options: HostOptions): Promise<void> {
  const stage = await Stage.set(options)
  const worlds = new Map<number, MountWorld>()

  async function carryOut(request: HostRequest): Promise<unknown> {
    if (request.ask === 'make') {
      worlds.set(request.id, await MountWorld.make(stage, request.scenario))
      return request.id
    }
    const world = worlds.get(request.world)
    if (world === undefined) throw new Error(`there is no world ${request.world}`)
    const method = world[request.method] as (...args: readonly unknown[]) => Promise<unknown>
    const result = await method.apply(world, [...request.args])
    if (request.method === 'close') worlds.delete(request.world)
    return result
  }

  function reply(request: HostRequest): void {
    const { id } = request
    carryOut(request).then(
      (result) => answer({ id, result: result ?? null }),
      (error: unknown) => answer({ id, error: reasonOf(error) }),
    )
  }

  const lines = new LineReader()
  process.stdin.on('data', (bytes: Buffer) => {
    for (const line of lines.take(bytes)) reply(JSON.parse(line) as HostRequest)
  })
  answer({ id: READY_ID, result: 'ready' })
}

// Whatever is left ends with this process, and the mounts with what is left.
process.stdin.on('end', () => process.exit(0))
process.stdin.on('error', () => process.exit(0))
main(JSON.parse(process.argv[2] ?? '') as HostOptions).catch((error: unknown) => {
  answer({ id: READY_ID, error: reasonOf(error) })
  process.exitCode = 1
  process.stdin.destroy()
})

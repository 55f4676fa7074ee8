/** The shells that /bin/sh may be, and bin/holdfast's way of evaluating a plan in each. */
import { type SpawnSyncReturns, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import path from 'node:path'

const CANDIDATES: readonly (readonly [string, readonly string[]])[] = [
  ['dash', ['dash']],
  ['bash', ['bash']],
  ['bash as sh', ['bash', '--posix']],
  ['busybox sh', ['busybox', 'sh']],
]

export const SHELLS = CANDIDATES.filter(
  ([, [program = '', ...args]]) => spawnSync(program, [...args, '-c', ':']).status === 0,
).map(([name, command]) => ({ name, command }))

/** Stands in for the launcher: a plan from a command substitution, evaluated; then what follows if it comes back. */
const LAUNCHER = 'hf_plan=$(cat "$1"); eval "$hf_plan"; echo came back'

/** @param words what stands behind the plan on the launcher's command line, `--` and COMMAND. */
export function evaluate(
  shell: { readonly command: readonly string[] },
  plan: Uint8Array,
  directory: string,
  words: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): SpawnSyncReturns<Buffer> {
  const file = path.join(directory, 'plan')
  writeFileSync(file, plan)
  const [program = '', ...args] = shell.command
  return spawnSync(program, [...args, '-c', LAUNCHER, 'sh', file, ...words], {
    // With a socket for standard input bash believes that it serves rshd(8), and reads ~/.bashrc.
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 10_000,
    env: { PATH: process.env.PATH ?? '', ...env },
  })
}

/** What Holdfast is compared with, and Holdfast: each mounted over one directory, with or without a log of requests. */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, openSync } from 'node:fs'
import path from 'node:path'
import { call, env, HOLDFAST, hasProgram, isMounted, until } from './machine.js'

/**
 * @typedef {object} Peer
 * @property {string} name
 * @property {string | null} lacks Why it cannot be measured, if it cannot.
 * @property {RegExp} request What a line of its log looks like that tells of a request; group 1 is the opcode.
 * @property {(backing: string, directory: string, log: string | null) => Promise<void>} mount
 */

const LIBFUSE_REQUEST = /^unique: \d+, opcode: (\w+)/

/** @param {string} file */
const openLog = (file) => openSync(file, 'a')

/**
 * In a session of its own, as Holdfast's engine is: where the scheduler shares the processor among sessions, it
 * makes a difference.
 * @param {string[]} argv @param {string} directory @param {string | null} log
 */
async function startDaemon(argv, directory, log) {
  const output = log === null ? 'ignore' : openLog(log)
  const daemon = spawn(argv[0] ?? '', argv.slice(1), {
    stdio: ['ignore', output, output],
    env,
    detached: true,
  })
  daemon.unref()
  await until(argv[0] ?? '', () => isMounted(directory))
}

function bindfs() {
  return /** @satisfies {Peer} */ ({
    name: 'bindfs',
    lacks: hasProgram('bindfs') ? null : 'bindfs is not installed (apt-get install bindfs)',
    request: LIBFUSE_REQUEST,
    mount: (backing, directory, log) =>
      startDaemon(['bindfs', log === null ? '-f' : '-d', backing, directory], directory, log),
  })
}

/**
 * An example program of libfuse, which no package brings along compiled. It believes that nobody else changes the
 * directory, and lets the kernel remember everything for a day.
 */
function passthroughHp() {
  const program = process.env.HOLDFAST_BENCH_PASSTHROUGH_HP ?? 'passthrough_hp'
  return /** @satisfies {Peer} */ ({
    name: 'passthrough_hp',
    lacks: hasProgram(program)
      ? null
      : `${program} is not there (example/passthrough_hp.cc of libfuse; HOLDFAST_BENCH_PASSTHROUGH_HP=path)`,
    request: LIBFUSE_REQUEST,
    mount: (backing, directory, log) => {
      const options = log === null ? ['--foreground'] : ['--foreground', '--debug-fuse']
      return startDaemon([program, ...options, backing, directory], directory, log)
    },
  })
}

/** @param {string} name @param {string[]} options */
function holdfast(name, options) {
  return /** @satisfies {Peer} */ ({
    name,
    lacks: existsSync(HOLDFAST) ? null : 'bin/holdfast is missing',
    request: /^rx [^:]*: (\w+)/,
    async mount(backing, directory, log) {
      const debug = log === null ? [] : ['--debug', log]
      call(HOLDFAST, ['mount', ...options, ...debug, backing, directory])
      if (!isMounted(directory)) throw new Error('holdfast mount ended without a mount')
    },
  })
}

/** @param {boolean} withPlain @returns {Peer[]} In the order of columns. */
export function peers(withPlain) {
  const plain = withPlain ? [holdfast('without passthrough', ['--no-passthrough'])] : []
  return [bindfs(), passthroughHp(), holdfast('holdfast', []), ...plain]
}

/** The names that goals of being faster than others refer to. */
export const RIVALS = ['bindfs', 'passthrough_hp']

/** @param {Peer} peer @param {string} backing @param {string} directory @param {string | null} log */
export async function mountPeer(peer, backing, directory, log) {
  mkdirSync(path.dirname(directory), { recursive: true })
  mkdirSync(directory)
  await peer.mount(backing, directory, log)
}

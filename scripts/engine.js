/** The engine of the one mount that on-mount.sh has made, and what the kernel and `metrics` tell of it. */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { REPOSITORY } from '../test/support/compile.js'

const HOLDFAST = path.join(REPOSITORY, 'bin', 'holdfast')

/**
 * @typedef {object} Engine
 * @property {number} pid
 * @property {string} control Its control directory.
 * @property {readonly string[]} connections /sys/fs/fuse/connections/N of its mounts.
 */

/** What on-mount.sh tells of the place. @param {string} name */
export function fromEnvironment(name) {
  const value = process.env[name]
  if (value === undefined) throw new Error(`$${name} is not set: --inside is for on-mount.sh`)
  return value
}

/** @returns {Engine} */
export function findEngine() {
  const { mounts } = JSON.parse(execFileSync(HOLDFAST, ['status', '--json'], { encoding: 'utf8' }))
  const [{ engine, control }] = mounts
  const numbers = readFileSync('/proc/self/mountinfo', 'latin1')
    .split('\n')
    .filter((line) => line.includes(` - fuse.holdfast`) && line.includes(` ${control} `))
    .map((line) => line.split(' ')[2]?.split(':')[1])
  const connections = [...new Set(numbers)].map((number) => `/sys/fs/fuse/connections/${number}`)
  return { pid: engine.pid, control, connections }
}

/** @param {number} pid */
export function descriptorsOf(pid) {
  return readdirSync(`/proc/${pid}/fd`)
}

/** @param {number} pid */
export function residentBytes(pid) {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1')
  return Number(/^VmRSS:\s*(\d+) kB/m.exec(status)?.[1]) * 1024
}

/** @param {string} text @returns {Map<string, number>} by name with labels. */
export function parseMetrics(text) {
  const samples = new Map()
  for (const line of text.split('\n')) {
    const space = line.lastIndexOf(' ')
    if (line !== '' && !line.startsWith('#')) samples.set(line.slice(0, space), Number(line.slice(space + 1)))
  }
  return samples
}

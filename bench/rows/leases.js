/** What only Holdfast has. */
import { mkdirSync } from 'node:fs'
import path from 'node:path'
import { call, HOLDFAST, isMounted, until } from '../machine.js'
import { prepareSmallFile, SMALL_FILE } from './files.js'
import { MICROSECONDS, MILLISECONDS, measured, own, repeated, shared } from './row.js'

/** @typedef {import('./row.js').Row} Row */
/** @typedef {import('./row.js').Scale} Scale */
/** @typedef {import('../world.js').World} World */
/** @typedef {import('../world.js').Target} Target */

/** 100,000 leases, each an ioctl. */
const LEASES_TIMEOUT_MS = 300_000

/** @param {Target} target */
const smallFile = (target) => shared(target, SMALL_FILE)

/**
 * All leases are taken and kept by one process, which takes too long to do it again for each figure: the first
 * phase measures all, the others give what it has found.
 * @param {string} on
 * @param {number} files
 * @param {number[]} counts
 * @returns {Row}
 */
function among(on, files, counts) {
  /** @type {number[]} */
  let found = []
  const directory = `held-${files}`
  const names = counts.map((count) => `lease, ${count.toLocaleString('en')} on ${on}`)
  return {
    ...MICROSECONDS,
    onlyHoldfast: true,
    isOnce: true,
    isUncounted: true,
    prepareOwn: (_world, into) => mkdirSync(path.join(into, directory)),
    phases: names.map((name, index) => ({
      name,
      how: 'set and released while so many are held; the best of five loops',
      goal: index === names.length - 1 ? { kind: 'phase', times: 2, of: names[0] ?? '' } : null,
      measure: (world, target, { loop }) => {
        if (index === 0) {
          const ms = 'ms' in loop ? 3 * loop.ms : 100
          const args = ['among', own(target, directory), files, ms, ...counts].map(String)
          found = call(world.programs.leases, args, { timeoutMs: LEASES_TIMEOUT_MS })
            .trim()
            .split('\n')
            .map(Number)
        }
        return found[index] ?? Number.NaN
      },
    })),
  }
}

/** @type {Row[]} */
export const LEASES = [
  {
    ...MICROSECONDS,
    onlyHoldfast: true,
    prepare: prepareSmallFile,
    phases: [
      {
        name: 'lease set+release',
        how: 'an exclusive read lease of one file',
        goal: null,
        ...repeated('leases', 'lease', smallFile, (scale) => scale.loop),
      },
    ],
  },
  // One less than a user may have by default: the one that is set and released is the last.
  among('10,000 files', 10_000, [1, 1_000, 99_999]),
  among('one file', 1, [1, 100, 10_000]),
  {
    ...MICROSECONDS,
    onlyHoldfast: true,
    prepare: prepareSmallFile,
    phases: [
      {
        name: 'refused truncate',
        how: 'ETXTBSY, because another process holds a lease',
        goal: null,
        ...repeated('leases', 'refused', smallFile, (scale) => scale.loop),
      },
    ],
  },
  {
    ...MILLISECONDS,
    onlyHoldfast: true,
    isUncounted: true,
    prepare: prepareSmallFile,
    phases: [
      {
        name: 'added by holdfast run',
        how: 'until the command runs, with a mount of its own over one file',
        goal: { kind: 'at most', value: 100 },
        async measure(world, target) {
          // Beside the mounts that are measured above: this one `run` makes by itself, over the file.
          const file = path.join(target.backing, SMALL_FILE)
          const { timing } = world.programs
          const direct = measured(timing, ['started', timing, 'now'])
          const run = measured(timing, ['started', HOLDFAST, 'run', file, '--', timing, 'now'])
          await until('the end of the mount that run made', () => !isMounted(file))
          return run - direct
        },
      },
    ],
  },
]

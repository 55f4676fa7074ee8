/** How many FUSE requests an operation causes: counted in the daemons' own logs. */
import { closeSync, fstatSync, openSync, readSync, truncateSync } from 'node:fs'
import { settle } from './machine.js'
import { guard, prepareRow, targetsOf } from './measure.js'

/** @typedef {import('./world.js').World} World */
/** @typedef {import('./world.js').Target} Target */
/** @typedef {import('./rows/row.js').Row} Row */
/** @typedef {import('./rows/row.js').Scale} Scale */

/**
 * @typedef {object} Requests
 * @property {string} name Of the phase.
 * @property {string} per What an operation is.
 * @property {Record<string, Record<string, number>>} targets For each target: requests for each operation, by opcode.
 */

/** Empties a log, to which the daemon goes on appending, and reads what is added. @param {string} file */
function logReader(file) {
  truncateSync(file)
  const fd = openSync(file, 'r')
  let at = 0
  return {
    /** What has been added; a line that is not complete yet is left for the next time. */
    read() {
      const bytes = Buffer.alloc(fstatSync(fd).size - at)
      const text = bytes.toString('latin1', 0, readSync(fd, bytes, 0, bytes.length, at))
      const complete = text.slice(0, text.lastIndexOf('\n') + 1)
      at += complete.length
      return complete
    },
    close: () => closeSync(fd),
  }
}

/**
 * @param {string} log
 * @param {RegExp} request
 * @returns {Map<string, number>} By opcode.
 */
export function countRequests(log, request) {
  const counts = new Map()
  for (const line of log.split('\n')) {
    const opcode = request.exec(line)?.[1]
    if (opcode !== undefined) counts.set(opcode, (counts.get(opcode) ?? 0) + 1)
  }
  return counts
}

/**
 * @param {Map<string, number>} counts
 * @param {number} operations
 * @returns {Record<string, number>} Requests for each operation, the most frequent first; without what does not
 *   reach a hundredth.
 */
export function perOperation(counts, operations) {
  const all = [...counts].map(([opcode, count]) => /** @type {const} */ ([opcode, count / operations]))
  return Object.fromEntries(all.filter(([, count]) => count >= 0.01).toSorted(([, a], [, b]) => b - a))
}

/**
 * Each row runs twice and the second time counts: by then it has what programs find once and for all.
 * @param {World} world @param {Row} row @param {Scale} scale
 * @returns {Promise<{ requests: Requests[], failed: Map<string, string> }>}
 */
export async function countRow(world, row, scale) {
  const targets = targetsOf(world, row)
  prepareRow(world, row, targets, scale)
  /** @type {Map<string, string>} */
  const failed = new Map()
  /** @type {Requests[]} */
  const requests = row.phases.map(({ name, per }) => ({ name, per: per ?? 'operation', targets: {} }))
  for (const target of targets) {
    await guard(
      target,
      async () => {
        await countOnce(world, row, target, scale)
        const counts = await countOnce(world, row, target, scale)
        for (const [index, { targets: counted }] of requests.entries())
          counted[target.name] = counts[index] ?? {}
      },
      failed,
    )
  }
  return { requests, failed }
}

/** @param {World} world @param {Row} row @param {Target} target @param {Scale} scale */
async function countOnce(world, row, target, scale) {
  if (target.log === null) throw new Error('no requests are logged')
  const log = logReader(target.log.file)
  const counts = []
  for (const phase of row.phases) {
    await phase.before?.(world, target, scale)
    await settle()
    log.read()
    await phase.measure(world, target, scale)
    await settle()
    const requests = countRequests(log.read(), target.log.request)
    counts.push(perOperation(requests, phase.operations?.(scale) ?? 1))
  }
  log.close()
  return counts
}

/** Rounds, medians and ratios. */

/** @typedef {import('./world.js').World} World */
/** @typedef {import('./rows.js').Row} Row */
/** @typedef {import('./rows.js').Scale} Scale */

/**
 * @typedef {object} Spread
 * @property {number} median
 * @property {number} min
 * @property {number} max
 */

/**
 * @typedef {object} Result One line of the table.
 * @property {string} name
 * @property {string} unit
 * @property {number | 'bindfs' | null} goal
 * @property {Record<string, { value: Spread, ratio: Spread | null }>} targets Values in the unit; ratios to the
 *   backing directory, round by round. Of rows that only Holdfast has there is no ratio.
 */

/**
 * @param {number[]} numbers At least one.
 * @returns {Spread}
 */
export function spread(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b)
  const at = (/** @type {number} */ index) => sorted[index] ?? Number.NaN
  const middle = Math.floor(sorted.length / 2)
  const median = sorted.length % 2 === 1 ? at(middle) : (at(middle - 1) + at(middle)) / 2
  return { median, min: at(0), max: at(sorted.length - 1) }
}

/**
 * Measures one row: every target once per round, in an order that turns from round to round, so that neither a
 * slow minute nor a place in the order is charged to one of them.
 * @param {World} world
 * @param {Row} row
 * @param {Scale} scale
 * @param {number} rounds
 * @returns {Promise<Result[]>}
 */
export async function measureRow(world, row, scale, rounds) {
  row.prepare?.(world, scale)
  const targets = world.targets.filter((target) => row.onlyHoldfast !== true || target.hasLeases)
  if (targets.length === 0) return []
  /** @type {Map<string, number[][]>} For each target one list of figures per round. */
  const figures = new Map(targets.map((target) => [target.name, []]))
  // The first round warms everything up and does not count.
  for (let round = -1; round < rounds; round++) {
    for (let place = 0; place < targets.length; place++) {
      const target = targets[(place + round + 1) % targets.length]
      if (target === undefined) continue
      const measured = await row.measure(world, target, scale)
      if (round >= 0) figures.get(target.name)?.push(measured)
    }
  }
  return row.names.map((name, index) => {
    const column = (/** @type {string} */ target) =>
      (figures.get(target) ?? []).map((measured) => (measured[index] ?? Number.NaN) / row.nsPerUnit)
    const base = row.onlyHoldfast === true ? null : column('backing')
    return {
      name,
      unit: row.unit,
      goal: row.goals?.[index] ?? null,
      targets: Object.fromEntries(
        targets.map((target) => {
          const own = column(target.name)
          const ratio =
            base === null ? null : spread(own.map((value, round) => value / (base[round] ?? Number.NaN)))
          return [target.name, { value: spread(own), ratio }]
        }),
      ),
    }
  })
}

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
 * Runs a row without counting it, for every target as long. What is measured is a daemon that has been serving
 * for a while; one that has just started still has its code to compile and its memory to grow.
 * @param {World} world
 * @param {Row} row
 * @param {import('./world.js').Target[]} targets
 * @param {Scale} scale
 */
async function warmUp(world, row, targets, scale) {
  for (const target of targets) {
    const end = performance.now() + scale.warmUpMs
    do await row.measure(world, target, scale)
    while (performance.now() < end)
  }
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
  if (row.isOnce !== true) await warmUp(world, row, targets, scale)
  for (let round = 0; round < (row.isOnce === true ? 1 : rounds); round++) {
    for (let place = 0; place < targets.length; place++) {
      const target = targets[(place + round) % targets.length]
      if (target === undefined) continue
      figures.get(target.name)?.push(await row.measure(world, target, scale))
    }
  }
  const goalOf = (/** @type {number} */ index) => {
    const goal = row.goals?.[index] ?? null
    if (goal === null || typeof goal !== 'object') return goal
    const others = (figures.get('holdfast') ?? []).map(
      (measured) => (measured[goal.of] ?? Number.NaN) / row.nsPerUnit,
    )
    return Math.round(goal.times * spread(others).median)
  }
  return row.names.map((name, index) => {
    const column = (/** @type {string} */ target) =>
      (figures.get(target) ?? []).map((measured) => (measured[index] ?? Number.NaN) / row.nsPerUnit)
    const base = row.onlyHoldfast === true ? null : column('backing')
    return {
      name,
      unit: row.unit,
      goal: goalOf(index),
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

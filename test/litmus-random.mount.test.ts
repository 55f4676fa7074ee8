/**
 * Step by step the same: random histories in the model and on a real mount. Run it again with the seed that a failure
 * names: `holdfast litmus --random --seed N`, or HOLDFAST_SEED=N for this file.
 */
import { describe, expect, test } from 'vitest'
import { createLeaseRules } from '../dist/lease/index.js'
import { asScenario, compare, shrink } from '../dist/litmus/differential/compare.js'
import { makeHistory, runRandom } from '../dist/litmus/differential/run.js'
import { modelWorld } from '../dist/litmus/model/index.js'
import { mountWorld } from '../dist/litmus/mount/index.js'

/** Of each of two: with what goes before and after, half a minute. */
const RUN_MS = 10_000
const SHRINK_MS = 60_000

describe.each([
  ['with passthrough', true],
  ['without passthrough', false],
])('%s', (_title, passthrough) => {
  test('random histories come out in the model as on a mount', async () => {
    // The same ones each time, so that a change is judged by what it changed; `npm run litmus -- --random` draws others.
    const seed = Number(process.env.HOLDFAST_SEED ?? 1)
    const maker = await mountWorld({ passthrough })
    try {
      const untilMs = performance.now() + RUN_MS
      const run = await runRandom({ makers: [{ maker, passthrough }], seed, untilMs, shrinkMs: SHRINK_MS })
      expect(run.failure ?? '', `HOLDFAST_SEED=${seed}`).toBe('')
      expect(run.histories).toBeGreaterThan(0)
    } finally {
      await maker.close()
    }
  })
})

describe('a difference', () => {
  test('is found and shrunk to a history from which nothing can be left out', async () => {
    // Rules to which nobody who pins is an owner.
    const broken = modelWorld({
      createRules: (policy) => {
        const rules = createLeaseRules(policy)
        const step: typeof rules.step = rules.step.bind(rules)
        return Object.assign(rules, {
          step: (...[input, now]: Parameters<typeof step>) =>
            step(input.kind === 'pin' ? { ...input, process: -1 as typeof input.process } : input, now),
        })
      },
    })
    for (let seed = 1; ; seed++) {
      const { scenario, steps } = makeHistory(seed, true)
      const found = await compare(scenario, steps, broken, true)
      if (found === null) continue
      const shortest = await shrink(
        found,
        (part) => compare(scenario, part, broken, true),
        () => true,
      )
      const { lines } = asScenario(scenario, shortest.steps, true)
      expect(lines.at(-1)).toMatchObject({ action: { do: 'pin' } })
      expect(lines.length).toBeLessThan(6)
      for (const left of shortest.steps) {
        const rest = shortest.steps.filter((step) => step !== left)
        expect(await compare(scenario, rest, broken, true)).toBe(null)
      }
      return
    }
  })
})

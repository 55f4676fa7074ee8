import { describe, expect, test } from 'vitest'
import { FIGURES, formatVerdicts, judge, type Sample } from './judgement.js'
import { draw } from './picture.js'

const START_S = 10

/** Sixty rests, one a second, with load between them, of figures that are as `at` says. */
function samples(at: (second: number, figure: string) => number): Sample[] {
  return Array.from({ length: 120 }, (_, index) => {
    const isRest = index % 2 === 1
    const atS = index / 2
    // Under load everything is larger, which is nobody's business.
    const values = FIGURES.map(({ name }) => [name, at(atS, name) + (isRest ? 0 : 1e9)])
    return { atS, isRest, values: Object.fromEntries(values) as Record<string, number> }
  })
}

function grown(at: (second: number, figure: string) => number): string[] {
  const verdicts = judge(samples(at), START_S)
  return verdicts.filter(({ isFine }) => !isFine).map(({ figure }) => figure.name)
}

describe('judge', () => {
  test('what stays where it is, is fine', () => {
    expect(grown(() => 100)).toEqual([])
  })

  test('what grows during the start and then stays is fine', () => {
    expect(grown((second) => 1e8 * Math.min(second, START_S))).toEqual([])
  })

  test('what goes up and down, and a single odd sample at either end, is fine', () => {
    expect(grown((second) => 100 + (second % 3))).toEqual([])
    expect(grown((second) => (second > 59 ? 1e9 : 100))).toEqual([])
  })

  test.each(FIGURES.map(({ name }) => [name]))(
    '%s that grows a little all the time is named, alone',
    (name) => {
      const { unit } = FIGURES.find((figure) => figure.name === name) ?? {}
      const each = unit === 'bytes' ? 1e6 : 1
      expect(grown((second, figure) => (figure === name ? each * second : 7))).toEqual([name])
    },
  )

  test('one lease that is left over for good is named', () => {
    expect(grown((second, figure) => (figure === 'leases' && second > 30 ? 1 : 0))).toEqual(['leases'])
  })

  test('a figure that could not be read is not fine', () => {
    expect(grown((_, figure) => (figure === 'heap' ? Number.NaN : 1))).toEqual(['heap'])
  })

  test('too few rests are no verdict', () => {
    expect(() => judge(samples(() => 1).slice(0, 20), START_S)).toThrow(/too few/)
  })
})

test('the lines and the picture show every figure, and which of them grew', () => {
  const all = samples((second, figure) => (figure === 'pins' ? second : 1))
  const verdicts = judge(all, START_S)
  const lines = formatVerdicts(verdicts, '10 s')
  expect(lines).toHaveLength(FIGURES.length + 1)
  expect(lines.filter((line) => line.endsWith('GREW'))).toEqual([expect.stringMatching(/^pins .* GREW$/)])
  const picture = draw(verdicts, all, START_S, 'a <title>')
  for (const { name } of FIGURES) expect(picture).toContain(`>${name} (`)
  expect(picture).toContain('pins (in the rules): grew')
  expect(picture).toContain('a &lt;title>')
  expect(picture.match(/<polyline/g)).toHaveLength(2 * FIGURES.length)
})

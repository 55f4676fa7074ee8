import { describe, expect, test } from 'vitest'
import { DEFAULT_POLICY, FEATURES } from '../daemon/main.js'
import { parsePolicy, parseWithout } from './launching.js'

describe('parsePolicy', () => {
  test('what is not given is the default', () => {
    expect(parsePolicy({})).toEqual(DEFAULT_POLICY)
  })

  test('what is given is taken', () => {
    expect(parsePolicy({ breakTime: '500', maxLeases: '7', maxPins: '1000000000' })).toEqual({
      ...DEFAULT_POLICY,
      breakTimeMs: 500,
      leaseCountMax: 7,
      pinCountMax: 1_000_000_000,
    })
  })

  for (const breakTime of ['', '0', '-1', '60001', '1.5', '1e3', '0x10', ' 5', 'x', '9999999999999']) {
    test(`a break time of ${JSON.stringify(breakTime)} is wrong usage, and the option is named`, () => {
      const error = expect.objectContaining({ exitCode: 2, message: expect.stringContaining('--break-time') })
      expect(() => parsePolicy({ breakTime })).toThrow(error)
    })
  }
})

describe('parseWithout', () => {
  const parse = (without?: string, passthrough = true) => [...parseWithout({ without, passthrough })].sort()

  test.skipIf(process.getuid?.() !== 0)(
    'nothing is left out of its own accord (but for passthrough: root)',
    () => {
      expect(parse()).toEqual([])
      expect(parse('', false)).toEqual(['passthrough'])
    },
  )

  test('a list has commas, or colons where commas mean something else; `all` is all that can be left out', () => {
    expect(parse('noflush,dont-mask', false)).toEqual(['dont-mask', 'noflush', 'passthrough'])
    expect(parse('noflush:dont-mask', false)).toEqual(['dont-mask', 'noflush', 'passthrough'])
    expect(parse('all')).toHaveLength(FEATURES.filter(({ isRequired }) => isRequired !== true).length)
  })

  for (const name of ['posix-acl', 'FUSE_DONT_MASK', 'constructor', ' noflush']) {
    test(`${name} is wrong usage, and what there is is named`, () => {
      const message = expect.stringContaining(`--without ${name}: no such feature (passthrough, `)
      expect(() => parse(name)).toThrow(expect.objectContaining({ exitCode: 2, message }))
    })
  }
})

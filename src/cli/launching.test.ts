import { describe, expect, test } from 'vitest'
import type { ReportRecord } from '../control/formats/records.js'
import { DEFAULT_POLICY, FEATURES } from '../daemon/main.js'
import { findUnheard, parsePolicy, parseWithout } from './launching.js'

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

describe('findUnheard', () => {
  const path = Buffer.from('/srv/a')
  const mount: ReportRecord = {
    type: 'mount',
    mountpoint: '/srv',
    control: '/run/holdfast/0',
    kind: 'mount',
    backing: 'ext4',
    passthrough: true,
    cache: 'auto',
    features: ['passthrough', 'noflush'],
    engine: { pid: 1, command: 'holdfast' },
    leases: 0,
    pins: 0,
  }
  const find = (given: { cache?: string; without?: string; passthrough?: boolean; debug?: string }) =>
    findUnheard(path, [mount], { passthrough: true, ...given })

  test('nothing asked, or what is so anyway: nothing said', () => {
    expect(find({})).toEqual([])
    expect(find({ cache: 'auto', without: 'dont-mask' })).toEqual([])
  })

  test('what is otherwise than asked is named in one line, with how it is', () => {
    expect(find({ cache: 'strict' })).toEqual([
      'holdfast: /srv/a is mounted already, with cache auto: --cache strict has no effect',
    ])
    expect(find({ cache: 'none', without: 'noflush,dont-mask', passthrough: false })).toEqual([
      'holdfast: /srv/a is mounted already, with cache auto, noflush, passthrough: --cache none, --without noflush, --no-passthrough have no effect',
    ])
  })

  test('a debug log, which a mount is given only when it is made, is named too', () => {
    expect(find({ debug: 'log' })).toEqual(['holdfast: /srv/a is mounted already: --debug log has no effect'])
    expect(find({ cache: 'none', debug: 'l\n' })).toEqual([
      'holdfast: /srv/a is mounted already, with cache auto: --cache none, --debug l\\x0a have no effect',
    ])
  })
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

  for (const name of ['FUSE_DONT_MASK', 'constructor', ' noflush']) {
    test(`${name} is wrong usage, and what there is is named`, () => {
      const message = expect.stringContaining(`--without ${name}: no such feature (passthrough, `)
      expect(() => parse(name)).toThrow(expect.objectContaining({ exitCode: 2, message }))
    })
  }
  test('a feature that there is no mount without is wrong usage for this reason', () => {
    const message = '--without posix-acl: there is no mount without it'
    expect(() => parse('noflush,posix-acl')).toThrow(expect.objectContaining({ exitCode: 2, message }))
  })
})

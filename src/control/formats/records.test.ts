import { describe, expect, test } from 'vitest'
import { formatAge, formatLeases, formatLength, formatOwners, type LeaseRecord } from './records.js'

const LEASE: LeaseRecord = {
  type: 'lease',
  id: 7,
  file: '/srv/a b',
  mountpoint: '/srv',
  device: '8:1',
  inode: '42',
  start: 0,
  length: 0,
  mode: 'read',
  level: 'exclusive',
  state: 'active',
  notifyOnly: false,
  pins: 1,
  ageMs: 61_000,
  uid: 0,
  owners: [{ pid: 12, command: 'cat' }],
}

describe('formatLeases', () => {
  test('every value stands under its title', () => {
    const [header = '', line = ''] = formatLeases([LEASE]).split('\n')
    const at = (title: string) => line.slice(header.indexOf(title)).split(' ')[0]
    expect(at('ID')).toBe('7')
    expect(at('MODE')).toBe('read')
    expect(at('LEVEL')).toBe('exclusive')
    expect(at('STATE')).toBe('active')
    expect(at('START')).toBe('0')
    expect(at('LENGTH')).toBe('end')
    expect(at('PINS')).toBe('1')
    expect(at('AGE')).toBe('61s')
    expect(at('UID')).toBe('0')
    expect(at('OWNERS')).toBe('12(cat)')
    expect(line.slice(header.indexOf('FILE'))).toBe('/srv/a b')
  })

  test('columns are as wide as what stands in them, in every line', () => {
    const wide = { ...LEASE, id: 123_456_789_012, start: Number.MAX_SAFE_INTEGER, uid: 4_294_967_294 }
    const owners = [1, 2, 3, 4].map((pid) => ({ pid: pid * 100_000, command: 'a-long-command' }))
    const text = formatLeases([LEASE, { ...wide, owners, file: '/f' }])
    const [header = '', narrow = '', line = ''] = text.split('\n')
    for (const title of ['MODE', 'STATE', 'UID', 'OWNERS', 'FILE']) {
      for (const one of [narrow, line]) expect(one.slice(0, header.indexOf(title))).toMatch(/ $/)
    }
    expect(line.split(/ +/)).toHaveLength(11)
    expect(line.slice(header.indexOf('FILE'))).toBe('/f')
    expect(text.endsWith('\n')).toBe(true)
  })

  test('a lease that only notifies says so instead of its level', () => {
    expect(formatLeases([{ ...LEASE, level: 'normal', notifyOnly: true }])).toContain(' notify ')
  })

  test('header and lines end in one newline each', () => {
    expect(formatLeases([]).match(/\n/g)).toHaveLength(1)
    expect(formatLeases([LEASE, LEASE]).match(/\n/g)).toHaveLength(3)
  })
})

test('formatAge: at most two digits more than a person wants, in the largest unit that says something', () => {
  const ages = [0, 999, 1000, 99_999, 100_000, 5_999_999, 6_000_000, 359_999_999, 360_000_000]
  expect(ages.map(formatAge)).toEqual(['0s', '0s', '1s', '99s', '1m', '99m', '1h', '99h', '4d'])
})

test('formatOwners: pid and command of each, or a dash', () => {
  expect(formatOwners([])).toBe('-')
  expect(
    formatOwners([
      { pid: 1, command: 'init' },
      { pid: 2, command: 'x y' },
    ]),
  ).toBe('1(init),2(x y)')
})

test('formatLength: 0 is the end', () => {
  expect([formatLength(0), formatLength(1)]).toEqual(['end', '1'])
})

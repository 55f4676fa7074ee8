import { describe, expect, test } from 'vitest'
import type { LeaseEvent, LeaseInfo, PinInfo } from '../../lease/index.js'
import { Errno } from '../../lib/errno.js'
import type { FileId, ProcessKey } from '../../lib/ids.js'
import type { FileNode } from '../../passthrough/gate.js'
import { filePath, formatLeaseEvent, type Names, pathText, timestamp } from './event-records.js'

const LEASE = {
  id: 3,
  file: 2 as FileId,
  range: { start: 10, end: 20 },
  mode: 'read',
  level: 'exclusive',
  user: 1000,
  owners: [1 as ProcessKey],
} as unknown as LeaseInfo
const PIN = {
  id: 9,
  range: { start: 12, end: Infinity },
  holder: { kind: 'context', context: 7 },
} as unknown as PinInfo

function names(below = 'a', mountpoint = '/srv'): Names {
  const node = { path: () => Buffer.from(below, 'latin1') } as unknown as FileNode
  return {
    files: new Map([[2 as FileId, { node, mountpoint: () => Buffer.from(mountpoint) }]]),
    contexts: new Map([[7, { pid: 77, command: 'opener' }]]),
    processes: {
      describe: (key) => (key === null ? { pid: 0, command: '?' } : { pid: 40 + key, command: 'cat' }),
    },
  }
}

describe('pathText', () => {
  test('what is readable is exact by itself', () => {
    expect(pathText(Buffer.from('/srv/größe'))).toEqual({ file: '/srv/größe' })
  })

  test('what is not readable comes with its bytes', () => {
    for (const bytes of [Buffer.from([0x2f, 0xff]), Buffer.from('/a\nb'), Buffer.from('/\u0085')]) {
      const { file, fileBase64 } = pathText(bytes)
      expect(file).toContain('\\x')
      expect(Buffer.from(fileBase64 ?? '', 'base64')).toEqual(bytes)
    }
  })

  test('a name that only looks escaped is told apart by having no bytes beside it', () => {
    expect(pathText(Buffer.from('/\\xff'))).toEqual({ file: '/\\xff' })
  })
})

describe('filePath', () => {
  test('joins mountpoint and name; a file that is itself the mount has the mountpoint', () => {
    expect(filePath(2 as FileId, names('b/c'))).toEqual(Buffer.from('/srv/b/c'))
    expect(filePath(2 as FileId, names('', '/srv/model'))).toEqual(Buffer.from('/srv/model'))
    expect(filePath(2 as FileId, names('\xff'))).toEqual(
      Buffer.concat([Buffer.from('/srv/'), Buffer.from([0xff])]),
    )
  })

  test('a file that nobody protects any more has no name', () => {
    expect(filePath(99 as FileId, names())).toEqual(Buffer.from('?'))
  })
})

describe('formatLeaseEvent', () => {
  const base = {
    lease: 3,
    file: '/srv/a',
    start: 10,
    length: 10,
    mode: 'read',
    level: 'exclusive',
    uid: 1000,
    owners: [{ pid: 41, command: 'cat' }],
  }
  const holder = { kind: 'context', context: 7, openedBy: { pid: 77, command: 'opener' } }
  const offender = {
    process: 2 as ProcessKey,
    operation: 'truncate',
    range: { start: 0, end: Infinity },
  } as const
  const rows: readonly [LeaseEvent, object][] = [
    [{ event: 'granted', lease: LEASE }, {}],
    [{ event: 'downgraded', lease: LEASE }, {}],
    [{ event: 'zombie', lease: LEASE }, {}],
    [{ event: 'gone', lease: LEASE }, {}],
    [{ event: 'released', lease: LEASE, reason: 'close' }, { reason: 'close' }],
    [{ event: 'revoked', lease: LEASE, reason: 'timeout' }, { reason: 'timeout' }],
    [{ event: 'broken', lease: LEASE, reason: 'self' }, { reason: 'self' }],
    [
      { event: 'pinned', lease: LEASE, pin: PIN },
      { pin: 9, start: 12, length: 0, holder },
    ],
    [
      { event: 'unpinned', lease: LEASE, pin: PIN, reason: 'exit' },
      { pin: 9, start: 12, length: 0, holder, reason: 'exit' },
    ],
    [
      { event: 'refused', lease: LEASE, offender: { ...offender, errno: Errno.ETXTBSY } },
      { offender: { pid: 42, command: 'cat', operation: 'truncate', start: 0, length: 0, errno: 'ETXTBSY' } },
    ],
    [
      { event: 'break', lease: LEASE, offender: { ...offender, process: null, errno: 0 } },
      { offender: { pid: 0, command: '?', operation: 'truncate', start: 0, length: 0 } },
    ],
  ]
  for (const [event, own] of rows) {
    test(`${event.event} says what there is to say, and nothing else`, () => {
      const { time, ...record } = formatLeaseEvent(event, names())
      expect(Date.parse(time)).not.toBeNaN()
      expect(record).toEqual({ ...base, event: event.event, ...own })
    })
  }
})

test('timestamp: ISO 8601 in UTC', () => {
  expect(timestamp()).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
})

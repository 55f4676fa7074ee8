import { expect, test } from 'vitest'
import type { EventRecord } from '../control/formats/records.js'
import { formatEventLine } from './watch.js'

const time = '2026-01-02T03:04:05.678Z'
const lease = {
  lease: 5,
  file: '/srv/a',
  start: 0,
  length: 0,
  mode: 'read',
  level: 'exclusive',
  owners: [{ pid: 17, command: 'cat' }],
} as const

test.each<[EventRecord, string]>([
  [
    {
      time,
      event: 'refused',
      ...lease,
      offender: { pid: 9, command: 'dd', operation: 'truncate', start: 4, length: 0, errno: 'ETXTBSY' },
    },
    'refused    /srv/a: truncate on 4+end by 9(dd) (ETXTBSY); exclusive read lease 5 of 17(cat)',
  ],
  [
    {
      time,
      event: 'break',
      ...lease,
      offender: { pid: 9, command: 'dd', operation: 'lease', start: 0, length: 0 },
    },
    'break      /srv/a: a lease request on whole file by 9(dd); exclusive read lease 5 of 17(cat)',
  ],
  [
    {
      time,
      event: 'bypassed',
      ...lease,
      reason: 'cut from 8192 to 100 bytes past the mount',
      offender: { pid: 9, command: 'dd', operation: 'truncate', start: 100, length: 0 },
    },
    'bypassed   /srv/a: truncate on 100+end by 9(dd); exclusive read lease 5 of 17(cat); cut from 8192 to 100 bytes past the mount',
  ],
  [
    { time, event: 'lost', ...lease, reason: 'no more is told' },
    'lost       /srv/a: exclusive read lease 5 of 17(cat); no more is told',
  ],
  [
    { time, event: 'pinned', ...lease, pin: 3, holder: { kind: 'process', pid: 17, command: 'cat' } },
    'pinned     /srv/a: pin 3 of 17(cat) on whole file; exclusive read lease 5 of 17(cat)',
  ],
  [
    {
      time,
      event: 'unpinned',
      ...lease,
      owners: [],
      pin: 3,
      reason: 'context-closed',
      holder: { kind: 'context', context: 9, openedBy: { pid: 17, command: 'cat' } },
    },
    'unpinned   /srv/a: pin 3 of a context of 17(cat) on whole file; exclusive read lease 5 of -; context-closed',
  ],
  [{ time, event: 'lost', count: 12 }, 'lost       12 events, because they were read too slowly'],
])('%o', (event, expected) => {
  const line = formatEventLine(event)
  expect(line.slice(0, 12)).toMatch(/^\d\d:\d\d:05\.678$/)
  expect(line.slice(13)).toBe(expected)
})

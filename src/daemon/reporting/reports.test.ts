import { describe, expect, test } from 'vitest'
import type { LeaseRecord, ReportRecord } from '../../control/formats/records.js'
import type { RequestInfo } from '../../fuse/api.js'
import { Errno } from '../../lib/errno.js'
import type { ContextId, LeaseId, Uid } from '../../lib/ids.js'
import { WHOLE_FILE } from '../../lib/range.js'
import { LinuxError } from '../../linux/error.js'
import { testDirectory } from '../../linux/test-directory.js'
import type { Ioctls } from '../leasing/ioctls.js'
import { TestFiles } from '../leasing/test-files.js'
import { Reports } from './reports.js'

const directory = testDirectory()
const NOBODY = 65_534
const STRANGER = 4_000_000

function reporting() {
  const files = new TestFiles(directory)
  const reports = new Reports(files.service, {
    version: '1.2.3',
    ioctls: {} as Ioctls,
    mounts: () => [],
    facts: () => [
      ['abi', 1],
      ['kind', 'run'],
    ],
    controlMountId: () => -1,
    served: () => ({ requests: 17, inodes: 1, tables: [] }),
    command: (_command, done) => {
      done({ errno: 0, text: 'ok' })
      return null
    },
  })
  const records = (uid = 0) => [...reports.report(uid)].map((line) => JSON.parse(line) as ReportRecord)
  return { files, reports, records }
}

function pinWhole(files: TestFiles, lease: LeaseId, holder: 'process' | ContextId, user = 0) {
  const process_ = files.owner(process.pid)
  const { answer } = files.service.step({
    kind: 'pin',
    lease,
    range: WHOLE_FILE,
    process: process_,
    user: user as Uid,
    holder:
      holder === 'process' ? { kind: 'process', process: process_ } : { kind: 'context', context: holder },
  })
  expect(answer.status).toBe('done')
}

describe('report', () => {
  test('one record for each lease and pin, with what a program needs to find the file', () => {
    const { files, records } = reporting()
    const { node, file } = files.open()
    pinWhole(files, files.lease(file, files.owner(process.pid)), 'process')
    const [lease, pin, ...more] = records()
    expect(lease).toMatchObject({
      type: 'lease',
      file: node.place,
      mountpoint: directory,
      start: 0,
      length: 0,
      level: 'exclusive',
      state: 'active',
      pins: 1,
      owners: [{ pid: process.pid }],
    })
    expect(pin).toMatchObject({
      type: 'pin',
      file: node.place,
      count: 1,
      holder: { kind: 'process', pid: process.pid },
    })
    expect(more).toEqual([])
  })

  test('R1: root sees all, the owner of the file its own, a stranger nothing', () => {
    const { files, reports, records } = reporting()
    files.lease(files.open().file, files.owner(process.pid))
    expect(records(0)).toHaveLength(1)
    expect(records(STRANGER)).toHaveLength(0)
    const lines = (uid: number) => [...reports.leases(uid)].join('').split('\n').slice(0, -1)
    expect(lines(STRANGER)).toHaveLength(1)
    expect(lines(0)).toHaveLength(2)
  })

  test('a file that cannot be looked at does not keep the others out', () => {
    const { files, records } = reporting()
    const [broken, whole] = [files.open(), files.open()]
    files.lease(broken.file, files.owner(process.pid))
    files.lease(whole.file, files.owner(process.pid))
    broken.node.failure = new LinuxError(Errno.ESTALE, 'open_by_handle_at')
    for (const uid of [0, NOBODY]) records(uid)
    const inodes = records().map((record) => (record as LeaseRecord).inode)
    expect(inodes[0]).toBe('?')
    expect(inodes[1]).toMatch(/^\d+$/)
  })

  test('a mountpoint that is not UTF-8 is shown as the record of its mount shows it', () => {
    const { files, records } = reporting()
    const { file } = files.open()
    const mountpoint = () => Buffer.from([0x2f, 0xff])
    files.lease({ ...file, mountpoint }, files.owner(process.pid))
    expect(records()[0]).toMatchObject({ mountpoint: '/\\xff' })
  })
})

describe('pins of a process (R2)', () => {
  test('its own pins are plain paths, each file once for each pin; who has none has no report', () => {
    const { files, reports } = reporting()
    const { node, file } = files.open()
    const lease = files.lease(file, files.owner(process.pid))
    expect(reports.pinsOf(process.pid, 0)).toBeNull()
    pinWhole(files, lease, 'process')
    expect(reports.pinsOf(process.pid, 0)).toBe(`${node.place}\n`)
    expect([...reports.pinnedPids(0)]).toEqual([process.pid])
    expect(reports.pinsOf(process.pid, STRANGER)).toBeNull()
    expect([...reports.pinnedPids(STRANGER)]).toEqual([])
  })

  test('a closed context takes its pins along', () => {
    const { files, reports, records } = reporting()
    const context = 2 ** 40
    reports.contextOpened(context, { pid: process.pid } as unknown as RequestInfo)
    pinWhole(files, files.lease(files.open().file, files.owner(process.pid)), context as ContextId)
    expect(records()[1]).toMatchObject({
      holder: { kind: 'context', context, openedBy: { pid: process.pid } },
    })
    reports.contextClosed(context)
    expect(records()).toHaveLength(1)
    expect(files.service.contexts.size).toBe(0)
  })
})

test('version: a first line for people, then one fact per line', () => {
  expect(reporting().reports.version()).toBe('holdfast 1.2.3\nabi 1\nkind run\n')
})

import { appendFileSync, chmodSync, closeSync, openSync, renameSync, truncateSync, writeSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { EventRecord } from '../../control/formats/records.js'
import type { LeaseInfo } from '../../lease/index.js'
import { Errno } from '../../lib/errno.js'
import type { FileId } from '../../lib/ids.js'
import { FileChanges, inotify } from '../../linux/file-changes.js'
import { testDirectory } from '../../linux/test-directory.js'
import { BypassWatch } from './bypass-watch.js'
import { TestFiles } from './test-files.js'

const directory = testDirectory()

/** Leases on some files, and what is told of them. Time stands still unless it is moved. */
function setup(fileCount: number, changes?: FileChanges<FileId>) {
  const files = new TestFiles(directory)
  const { service } = files
  const told: { event: EventRecord; lease: number | undefined }[] = []
  const clock = { nowMs: 0 }
  const watch = new BypassWatch(
    {
      rules: service.rules,
      files: service.files,
      processes: service.processes,
      publish: (event, lease) => told.push({ event, lease: lease?.id }),
    },
    changes,
    () => clock.nowMs,
  )
  const owner = files.owner(process.pid)
  const opened = Array.from({ length: fileCount }, () => {
    const { node, file, id } = files.open()
    const lease = files.lease(file, owner)
    for (const info of service.rules.leasesOf(id)) watch.watch(info)
    return { node, id, lease }
  })
  return { watch, told, clock, opened, service, kinds: () => told.map(({ event }) => event.event) }
}

function of<T>(list: readonly T[], index: number): T {
  const item = list[index]
  if (item === undefined) throw new Error(`no item ${index}`)
  return item
}

describe('what is told', () => {
  test('L10: one event for the lease on the file that was cut, and none for what was announced', () => {
    const { watch, told, opened, clock } = setup(2)
    const [first, second] = [of(opened, 0), of(opened, 1)]
    watch.begin(first.id)
    truncateSync(first.node.place, 4000)
    watch.take()
    watch.end(first.id)
    expect(told).toEqual([])
    truncateSync(second.node.place, 100)
    clock.nowMs += 100
    watch.take()
    expect(told).toMatchObject([{ event: { event: 'bypassed' }, lease: second.lease }])
    watch.close()
  })

  test('L10: reading where blocks are is waited for by nobody, and a change meanwhile makes it void', () => {
    const { watch, told, opened, clock } = setup(1)
    const { node, id } = of(opened, 0)
    const reads: (() => void)[] = []
    watch.readExtents = (fd, size, done) =>
      reads.push(() => {
        closeSync(fd)
        done({ allocated: [{ start: size, end: size + 1 }], written: [] }, 0)
      })
    appendFileSync(node.place, 'more')
    watch.take()
    expect(reads).toHaveLength(1)
    watch.begin(id)
    watch.end(id)
    reads.shift()?.()
    // What was read before is not compared with anything: it is read again.
    expect(reads).toHaveLength(1)
    reads.shift()?.()
    clock.nowMs += 100
    truncateSync(node.place, 1)
    watch.take()
    expect(told).toMatchObject([{ event: { event: 'bypassed', offender: { operation: 'truncate' } } }])
    for (const read of reads) read()
    watch.close()
  })

  test('L10: a lost name is told once, and again only after it was there', () => {
    const { watch, kinds, opened, clock } = setup(1)
    const { node } = of(opened, 0)
    const act = (action: () => void) => {
      action()
      clock.nowMs += 100
      watch.take()
    }
    act(() => renameSync(node.place, `${node.place}-away`))
    act(() => appendFileSync(`${node.place}-away`, 'more'))
    expect(kinds()).toEqual(['bypassed'])
    node.isMoving = true
    act(() => chmodSync(`${node.place}-away`, 0o600))
    node.isMoving = false
    clock.nowMs += 100
    watch.turn()
    expect(kinds()).toEqual(['bypassed'])
    act(() => renameSync(`${node.place}-away`, node.place))
    act(() => renameSync(node.place, `${node.place}-away`))
    expect(kinds()).toEqual(['bypassed', 'bypassed'])
    watch.close()
  })

  test('when more happened than the kernel keeps, all files are looked at', () => {
    const { watch, told, opened, clock } = setup(3, new FileChanges<FileId>([inotify]))
    const [first, second, third] = [of(opened, 0), of(opened, 1), of(opened, 2)]
    // inotify makes one event of those that follow each other; its queue has 16,384 places.
    const fds = [first, second].map(({ node }) => openSync(node.place, 'a'))
    for (let round = 0; round < 8500; round++) for (const fd of fds) writeSync(fd, 'x')
    for (const fd of fds) closeSync(fd)
    truncateSync(third.node.place, 1)
    watch.take()
    for (let turn = 0; turn < 10; turn++) {
      clock.nowMs += 1
      watch.turn()
    }
    expect(told.map(({ lease }) => lease)).toEqual([third.lease])
    watch.close()
  })
})

test('after a look it rests: what comes meanwhile is taken in with the next one', () => {
  const { watch, clock, opened, kinds } = setup(1)
  const { node } = of(opened, 0)
  let listenCount = 0
  watch.onListen = () => {
    listenCount++
  }
  expect(watch.timeoutMs()).toBe(-1)
  appendFileSync(node.place, 'more')
  watch.take()
  expect(watch.timeoutMs()).toBe(20)
  truncateSync(node.place, 10)
  clock.nowMs += 19
  watch.turn()
  expect([listenCount, kinds()]).toEqual([0, []])
  clock.nowMs += 1
  watch.turn()
  expect([listenCount, watch.timeoutMs()]).toEqual([1, -1])
  watch.take()
  expect(kinds()).toEqual(['bypassed'])
  watch.close()
})

describe('the limit of the kernel', () => {
  /** A kernel that watches so many files and no more. */
  function limited(countMax: number): FileChanges<FileId> {
    let count = 0
    return new FileChanges<FileId>([
      () => {
        const source = inotify()
        if (source === null) return null
        return {
          ...source,
          add: (fd) => (count++ < countMax ? source.add(fd) : -Errno.ENOSPC),
          remove(fd, name) {
            count--
            source.remove(fd, name)
          },
        }
      },
    ])
  }

  test('beyond it one notice is given, and what is watched goes on being watched', () => {
    const { watch, told, opened } = setup(5, limited(2))
    expect([watch.watchedCount, watch.unwatchedCount]).toEqual([2, 3])
    expect(told).toMatchObject([{ event: { event: 'lost' }, lease: of(opened, 2).lease }])
    expect(told[0]?.event.reason).toMatch(/no more than 2 files/)
    truncateSync(of(opened, 0).node.place, 1)
    truncateSync(of(opened, 4).node.place, 1)
    watch.take()
    expect(told.slice(1)).toMatchObject([{ event: { event: 'bypassed' }, lease: of(opened, 0).lease }])
    for (const { id } of opened) watch.forget(id)
    expect([watch.watchedCount, watch.unwatchedCount]).toEqual([0, 0])
    watch.close()
  })

  test('a lease that cannot be watched is a lease like any other', () => {
    const { service, watch, opened } = setup(1, limited(0))
    const infos: LeaseInfo[] = [...service.rules.leasesOf(of(opened, 0).id)]
    expect(infos.map(({ state }) => state)).toEqual(['active'])
    watch.close()
  })
})

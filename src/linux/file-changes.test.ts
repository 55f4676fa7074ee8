import { appendFileSync, linkSync, renameSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { Errno } from '../lib/errno.js'
import { O_PATH } from './constants.js'
import { FileChanges, fanotify, inotify } from './file-changes.js'
import { close, open } from './files.js'
import { waitReadable } from './poller.js'
import { testDirectory } from './test-directory.js'

const directory = testDirectory()
let count = 0
const opened: number[] = []
afterEach(() => {
  for (const fd of opened.splice(0)) close(fd)
})

function fresh(): { file: string; fd: number } {
  const file = path.join(directory, `file-${++count}`)
  writeFileSync(file, 'x'.repeat(100))
  const fd = open(file, O_PATH)
  opened.push(fd)
  return { file, fd }
}

describe.each([
  { way: 'fanotify', start: fanotify },
  { way: 'inotify', start: inotify },
])('$way', ({ start }) => {
  const seen = (changes: FileChanges<string>) => {
    const found: string[] = []
    const isWhole = changes.read(({ id, isData }) => found.push(`${id} ${isData ? 'data' : 'name'}`))
    return { isWhole, found: [...new Set(found)] }
  }

  test('tells of writing, cutting, links and renaming, each of the file it was, until it is not watched any more', () => {
    const changes = new FileChanges<string>([start])
    const [one, two] = [fresh(), fresh()]
    expect(changes.watch('one', one.fd)).toBe(0)
    expect(changes.watch('two', two.fd)).toBe(0)
    expect(seen(changes)).toEqual({ isWhole: true, found: [] })
    appendFileSync(one.file, 'more')
    expect(waitReadable(changes.fd, 0)).toBe(true)
    expect(seen(changes).found).toEqual(['one data'])
    truncateSync(two.file, 5)
    expect(seen(changes).found).toEqual(['two data'])
    linkSync(one.file, `${one.file}-link`)
    unlinkSync(`${one.file}-link`)
    expect(seen(changes).found).toEqual(['one name'])
    renameSync(two.file, `${two.file}-moved`)
    expect(seen(changes).found).toEqual(['two name'])
    changes.unwatch('one', one.fd)
    appendFileSync(one.file, 'more')
    expect(seen(changes).found).toEqual([])
    expect(changes.watchedCount).toBe(1)
    changes.close()
  })

  test('two ids of one file are both told, also when one of them is given up', () => {
    const changes = new FileChanges<string>([start])
    const { file, fd } = fresh()
    changes.watch('a', fd)
    changes.watch('b', fd)
    appendFileSync(file, 'more')
    expect(seen(changes).found).toEqual(['a data', 'b data'])
    changes.unwatch('a', fd)
    appendFileSync(file, 'more')
    expect(seen(changes).found).toEqual(['b data'])
    changes.close()
  })
})

test('what one way cannot watch is left to the next, except where the limit is reached', () => {
  const { fd } = fresh()
  const failing = (errno: number) => () => {
    const source = inotify()
    return source === null ? null : { ...source, add: () => -errno }
  }
  const helped = new FileChanges<string>([failing(Errno.EOPNOTSUPP), inotify])
  expect(helped.watch('a', fd)).toBe(0)
  const full = new FileChanges<string>([failing(Errno.ENOSPC), inotify])
  expect(full.watch('a', fd)).toBe(-Errno.ENOSPC)
  const none = new FileChanges<string>([() => null])
  expect(none.watch('a', fd)).toBe(-Errno.EMFILE)
  for (const changes of [helped, full, none]) changes.close()
})

test.skipIf(process.geteuid?.() !== 0)('fanotify tells root who it was (needs root)', () => {
  const changes = new FileChanges<string>([fanotify])
  const { file, fd } = fresh()
  changes.watch('a', fd)
  appendFileSync(file, 'more')
  const pids: (number | null)[] = []
  changes.read(({ pid }) => pids.push(pid))
  expect(pids).toEqual([process.pid])
  changes.close()
})

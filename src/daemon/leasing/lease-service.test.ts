import { spawnSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { EventQueue } from '../../control/events.js'
import { Errno } from '../../lib/errno.js'
import type { ContextId, FileId, Ofd, ProcessKey, RequestId, Uid } from '../../lib/ids.js'
import { WHOLE_FILE } from '../../lib/range.js'
import { O_RDONLY } from '../../linux/constants.js'
import { LinuxError } from '../../linux/error.js'
import { close, open } from '../../linux/files.js'
import { mapForReading } from '../../linux/mapping.js'
import { testDirectory } from '../../linux/test-directory.js'
import { TestShell } from '../../linux/test-shell.js'
import type { LeaseService } from './lease-service.js'
import { TestFiles, type TestNode } from './test-files.js'

const directory = testDirectory()
const hasPython = spawnSync('python3', ['--version']).status === 0

/** Somebody truncates the file. @returns the answer, and what is said later. */
function truncate(service: LeaseService, node: TestNode, process: ProcessKey | null = null) {
  const request = service.nextRequestId()
  const later: number[] = []
  const { answer } = service.step({
    kind: 'layout-change',
    request,
    file: node.nodeid as FileId,
    ofd: null,
    process,
    operation: 'truncate',
    range: WHOLE_FILE,
    nonBlocking: false,
  })
  const operation = {
    file: node.nodeid as FileId,
    process,
    operation: 'truncate',
    range: WHOLE_FILE,
  } as const
  if (answer.status === 'waiting') service.wait(request, operation, (errno) => later.push(errno))
  return { status: answer.status, errno: answer.status === 'failed' ? answer.errno : 0, later, request }
}

function reader(service: LeaseService, uid = 0) {
  const queue = new EventQueue(
    uid,
    () => {},
    () => 'NOW',
  )
  service.events.subscribe(queue)
  return () =>
    queue
      .read(1 << 20)
      .toString()
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as { event: string; reason?: string; offender?: { errno?: string } })
}

describe('files', () => {
  test('a file is held from the first lease to the last (P7)', () => {
    const files = new TestFiles(directory)
    const { node, file, ofd } = files.open()
    const owner = files.owner(process.pid)
    const freed: unknown[] = []
    files.service.onFileFree = (free) => freed.push(free.id)
    files.lease(file, owner)
    files.lease(file, owner)
    expect(node.holdCount).toBe(1)
    files.service.step({ kind: 'release', ofd, lease: null })
    expect(node.holdCount).toBe(0)
    expect(files.service.files.size).toBe(0)
    expect(freed).toEqual([file.id])
  })

  test('a file that was kept for a lease which was then refused is let go, but not if another lease is there', () => {
    const files = new TestFiles(directory)
    const { node, file } = files.open()
    files.service.keep(file)
    files.service.keepOnlyIfProtected(file.id)
    expect(node.holdCount).toBe(0)
    files.lease(file, files.owner(process.pid))
    files.service.keepOnlyIfProtected(file.id)
    expect(node.holdCount).toBe(1)
  })

  test('ownerOf: null for a file that cannot be asked, and for one that is not protected', () => {
    const files = new TestFiles(directory)
    const { node, file } = files.open()
    expect(files.service.ownerOf(file.id)).toBeNull()
    files.service.keep(file)
    expect(files.service.ownerOf(file.id)).toBe(process.getuid?.())
    node.failure = new LinuxError(Errno.ESTALE, 'open_by_handle_at')
    expect(files.service.ownerOf(file.id)).toBeNull()
  })
})

describe('processes', () => {
  test('SIGKILL of the owner of a pin ends pin and lease before the next change is judged (P6)', async () => {
    await using shell = new TestShell('read x')
    const files = new TestFiles(directory)
    const { node, file, ofd } = files.open()
    const owner = files.owner(shell.pid)
    const lease = files.lease(file, owner)
    const holder = { kind: 'process', process: owner } as const
    files.service.step({ kind: 'pin', lease, range: WHOLE_FILE, process: owner, user: 0 as Uid, holder })
    files.service.step({ kind: 'ofd-closed', ofd, mappings: [] })
    expect(truncate(files.service, node)).toMatchObject({ status: 'failed', errno: Errno.ETXTBSY })
    const ended: ProcessKey[] = []
    files.service.onExit = (key) => ended.push(key)
    await shell.kill()
    files.service.takeExits()
    expect(truncate(files.service, node).status).toBe('done')
    expect(ended).toEqual([owner])
    expect(files.service.processes.watchedCount).toBe(0)
    expect(node.holdCount).toBe(0)
  })

  test('P6: the last close of a context that waits on the other connection is taken in before a change is judged', () => {
    const files = new TestFiles(directory)
    const { node, file, ofd } = files.open()
    const owner = files.owner(process.pid)
    const lease = files.lease(file, owner)
    const context = 2 ** 40
    const id = context as ContextId
    files.service.contexts.set(context, { pid: process.pid, command: 'test' })
    const holder = { kind: 'context', context: id } as const
    files.service.step({ kind: 'pin', lease, range: WHOLE_FILE, process: owner, user: 0 as Uid, holder })
    files.service.step({ kind: 'ofd-closed', ofd, mappings: [] })
    files.service.takeExits()
    expect(truncate(files.service, node)).toMatchObject({ status: 'failed', errno: Errno.ETXTBSY })
    files.service.takeCloses = () => {
      files.service.step({ kind: 'context-closed', context: id })
      files.service.contexts.delete(context)
    }
    files.service.takeExits()
    expect(truncate(files.service, node).status).toBe('done')
    // Without contexts there is nothing to take in, and nothing to pay for.
    files.service.takeCloses = () => expect.unreachable()
    files.service.takeExits()
  })

  test('who owns nothing any more is not watched any more, except who is expected', async () => {
    await using shell = new TestShell('read x')
    const files = new TestFiles(directory)
    const { file, ofd } = files.open()
    const owner = files.owner(shell.pid)
    files.lease(file, owner)
    files.service.settle(owner)
    expect(files.service.processes.watchedCount).toBe(1)
    files.service.expected.add(owner)
    files.service.step({ kind: 'release', ofd, lease: null })
    expect(files.service.processes.watchedCount).toBe(1)
    files.service.expected.delete(owner)
    files.service.settle(owner)
    expect(files.service.processes.watchedCount).toBe(0)
  })

  test('a bug in what follows one exit does not lose the exits behind it', async () => {
    const shells = [new TestShell('read x'), new TestShell('read x')]
    const files = new TestFiles(directory)
    for (const { pid } of shells) files.owner(pid)
    let exits = 0
    files.service.onExit = () => {
      exits++
      throw new Error('a bug')
    }
    for (const shell of shells) await shell.kill()
    files.service.takeExits()
    expect([exits, files.bugs.length]).toEqual([2, 2])
  })
})

describe('waiting', () => {
  test('a break ends the wait when the holder lets go, with one answer (B4)', () => {
    const files = new TestFiles(directory)
    const { node, file, ofd } = files.open()
    files.lease(file, files.owner(process.pid), 'normal')
    const change = truncate(files.service, node)
    expect(change.status).toBe('waiting')
    expect(files.service.waitingCount).toBe(1)
    expect(files.service.timeoutMs()).toBeGreaterThan(0)
    files.service.step({ kind: 'release', ofd, lease: null })
    expect(change.later).toEqual([0])
    expect(files.service.waitingCount).toBe(0)
    expect(files.service.timeoutMs()).toBe(-1)
  })

  test('an interrupted wait ends with EINTR, once (B7)', () => {
    const files = new TestFiles(directory)
    const { node, file } = files.open()
    files.lease(file, files.owner(process.pid), 'normal')
    const change = truncate(files.service, node)
    files.service.interrupt(change.request)
    files.service.interrupt(change.request)
    expect(change.later).toEqual([Errno.EINTR])
    expect(files.service.waitingCount).toBe(0)
  })

  test('the deadline revokes and lets the change go ahead; before it, time changes nothing (B5)', async () => {
    const files = new TestFiles(directory, { breakTimeMs: 20 })
    const { node, file } = files.open()
    files.lease(file, files.owner(process.pid), 'normal')
    const change = truncate(files.service, node)
    files.service.timePassed()
    expect(change.later).toEqual([])
    await new Promise((resolve) => setTimeout(resolve, files.service.timeoutMs() + 1))
    expect(files.service.timeoutMs()).toBe(0)
    files.service.timePassed()
    expect(change.later).toEqual([0])
  })

  test('one answer that fails does not keep the others from theirs', () => {
    const files = new TestFiles(directory)
    const { node, file, ofd } = files.open()
    files.lease(file, files.owner(process.pid), 'normal')
    const first = truncate(files.service, node)
    const operation = { file: file.id, process: null, operation: 'truncate', range: WHOLE_FILE } as const
    files.service.wait(first.request, operation, () => {
      throw new Error('a bug')
    })
    const { node: other, file: otherFile, ofd: otherOfd } = files.open()
    files.lease(otherFile, files.owner(process.pid), 'normal')
    const second = truncate(files.service, other)
    files.service.step({ kind: 'release', ofd, lease: null })
    files.service.step({ kind: 'release', ofd: otherOfd, lease: null })
    expect(files.bugs).toHaveLength(1)
    expect(second.later).toEqual([0])
    expect(node.holdCount).toBe(0)
  })

  test('break times: from 1 to a minute, else EINVAL and nothing changes', () => {
    const { service } = new TestFiles(directory)
    expect([1, 60_000].map((ms) => service.setBreakTime(ms))).toEqual([0, 0])
    expect([0, 60_001, -1].map((ms) => service.setBreakTime(ms))).toEqual([22, 22, 22])
  })
})

describe('poll', () => {
  test('a break wakes every descriptor that is polled, once (B2)', () => {
    const files = new TestFiles(directory)
    const { node, file, ofd } = files.open()
    files.lease(file, files.owner(process.pid), 'normal')
    const woken: bigint[] = []
    const none = () => {}
    const notifier = {
      poll: (kh: bigint) => woken.push(kh),
      invalidateInode: none,
      invalidateEntry: none,
      deleteEntry: none,
    }
    for (const kh of [5n, 6n, 5n]) files.service.addPoller(ofd, kh, notifier)
    truncate(files.service, node)
    truncate(files.service, node)
    expect(woken).toEqual([5n, 6n])
    expect(files.service.rules.pollState(ofd).priority).toBe(true)
  })
})

describe('the last close', () => {
  test('ends the lease when nobody maps the file (L7)', () => {
    const files = new TestFiles(directory)
    const { node, file, openFile, ofd, id } = files.open()
    files.lease(file, files.owner(process.pid))
    files.service.closed(ofd, openFile, id)
    expect(files.service.rules.leaseCount).toBe(0)
    expect(node.holdCount).toBe(0)
  })

  test('a mapping of an owner keeps the lease (L7)', () => {
    const files = new TestFiles(directory)
    const { node, file, openFile, ofd, id } = files.open()
    const fd = open(node.place, O_RDONLY)
    mapForReading(fd, 0, 4096)
    close(fd)
    files.lease(file, files.owner(process.pid))
    files.service.closed(ofd, openFile, id)
    expect(files.service.rules.leaseCount).toBe(1)
    files.service.mappings.changed()
    expect(files.service.rules.leaseCount).toBe(1)
  })

  test.skipIf(!hasPython)(
    'the lease ends with the mapping, which inotify tells (L7; needs python3)',
    async () => {
      const files = new TestFiles(directory)
      const { node, file, openFile, ofd, id } = files.open()
      const script = `exec python3 -c '
import mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
mapping = mmap.mmap(fd, 4096, prot=mmap.PROT_READ)
os.close(fd)
print("mapped", flush=True)
input()
mapping.close()
print("unmapped", flush=True)
input()' "$1"`
      await using mapper = new TestShell(script, [node.place])
      expect(await mapper.line()).toBe('mapped')
      files.lease(file, files.owner(mapper.pid))
      files.service.closed(ofd, openFile, id)
      expect(files.service.rules.leaseCount).toBe(1)
      mapper.write('')
      expect(await mapper.line()).toBe('unmapped')
      files.service.mappings.changed()
      expect(files.service.rules.leaseCount).toBe(0)
      expect(node.holdCount).toBe(0)
    },
  )

  test('ends the lease also when the backing file cannot be looked at any more', () => {
    const files = new TestFiles(directory)
    const { node, file, openFile, ofd, id } = files.open()
    files.lease(file, files.owner(process.pid))
    files.service.mappings.watch(id, node)
    node.failure = new LinuxError(Errno.EIO, 'statx')
    files.service.closed(ofd, openFile, id)
    expect(files.service.rules.leaseCount).toBe(0)
  })

  test('of a descriptor that asked with START and got nothing is told to the rules', () => {
    const files = new TestFiles(directory)
    const { file, id } = files.open()
    files.lease(file, files.owner(process.pid), 'normal')
    const asker = 1000 as Ofd
    const { answer } = files.service.step({
      kind: 'acquire',
      request: files.service.nextRequestId(),
      ofd: asker,
      file: id,
      process: null,
      user: 0 as Uid,
      range: WHOLE_FILE,
      mode: 'write',
      level: 'normal',
      mayDelayOthers: true,
      whenBusy: 'start',
      breakTimeMs: 0,
    })
    expect(answer).toMatchObject({ status: 'failed', errno: Errno.EAGAIN })
    files.service.step({ kind: 'release', ofd: Number(id) as Ofd, lease: null })
    expect(files.service.rules.pollState(asker).priority).toBe(true)
    files.service.closed(asker, { ...files.open().openFile }, id)
    expect(files.service.rules.pollState(asker).priority).toBe(false)
  })
})

describe('events', () => {
  test('a refusal names who tried and how it was answered; the owner of the file sees it (R1, X3)', () => {
    const files = new TestFiles(directory)
    const { node, file } = files.open()
    const [root, other] = [reader(files.service), reader(files.service, 4_000_000)]
    files.lease(file, files.owner(process.pid))
    truncate(files.service, node)
    const seen = root()
    expect(seen.map(({ event }) => event)).toEqual(['granted', 'refused'])
    expect(seen[1]?.offender?.errno).toBe('ETXTBSY')
    expect(other()).toEqual([])
  })

  test('a file that cannot be asked for its owner does not silence the event', () => {
    const files = new TestFiles(directory)
    const { node, file, ofd } = files.open()
    const root = reader(files.service)
    files.lease(file, files.owner(process.pid))
    node.failure = new LinuxError(Errno.ESTALE, 'open_by_handle_at')
    files.service.step({ kind: 'release', ofd, lease: null })
    expect(root().map(({ event }) => event)).toEqual(['granted', 'released'])
    expect(files.bugs).toEqual([])
  })
})

test('request ids are never given twice', () => {
  const { service } = new TestFiles(directory)
  const ids = new Set<RequestId>(Array.from({ length: 100 }, () => service.nextRequestId()))
  expect(ids.size).toBe(100)
})

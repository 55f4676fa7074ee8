import { describe, expect, test } from 'vitest'
import * as abi from '../../control/formats/abi.js'
import type { RequestInfo } from '../../fuse/api.js'
import { Errno } from '../../lib/errno.js'
import type { ContextId, Uid } from '../../lib/ids.js'
import { WHOLE_FILE } from '../../lib/range.js'
import { testDirectory } from '../../linux/test-directory.js'
import { TestShell } from '../../linux/test-shell.js'
import { Ioctls } from './ioctls.js'
import { TestFiles } from './test-files.js'

const directory = testDirectory()

/** An exclusively leased file, and requests on it as this process makes them. */
function leased() {
  const files = new TestFiles(directory)
  const ioctls = new Ioctls(files.service, { number: 0, control: '/run/holdfast/0', features: 0 })
  const { file, openFile, ofd, id } = files.open()
  const owner = files.owner(process.pid)
  const lease = files.lease(file, owner)
  const request = { pid: process.pid, uid: 0 } as unknown as RequestInfo
  const ask = (cmd: number, input: Buffer) => {
    const args = { fh: 0, flags: 0, cmd, arg: 0n, input, outSize: input.length }
    return ioctls.onFile(request, { ofd, id, file: openFile, protectedFile: file }, args)
  }
  return { files, lease, owner, ask }
}

describe('P6: pins that are over are in nobody’s way, whatever is asked', () => {
  test('RELEASE after the process that pinned was killed', async () => {
    await using shell = new TestShell('read x')
    const { files, lease, ask } = leased()
    const other = files.owner(shell.pid)
    // It becomes an owner, pins and dies; its exit has been seen by nobody yet.
    const rules = files.service
    const ofd = rules.rules.lease(lease)?.ofd
    if (ofd === null || ofd === undefined) throw new Error('the lease has no holder')
    rules.step({ kind: 'set-owner', ofd, lease, owner: other, signal: null })
    const holder = { kind: 'process', process: other } as const
    rules.step({ kind: 'pin', lease, range: WHOLE_FILE, process: other, user: 0 as Uid, holder })
    expect(ask(abi.RELEASE, abi.encodeU64(lease))).toBe(-Errno.EBUSY)
    await shell.kill()
    expect(ask(abi.RELEASE, abi.encodeU64(lease))).toMatchObject({ result: 0 })
  })

  test('RELEASE and GETLEASE after the last close of the context that pinned', () => {
    const { files, lease, owner, ask } = leased()
    const context = (2 ** 40) as ContextId
    const { service } = files
    service.contexts.set(context, { pid: process.pid, command: 'test' })
    const holder = { kind: 'context', context } as const
    service.step({ kind: 'pin', lease, range: WHOLE_FILE, process: owner, user: 0 as Uid, holder })
    expect(ask(abi.RELEASE, abi.encodeU64(lease))).toBe(-Errno.EBUSY)
    service.takeCloses = () => {
      service.step({ kind: 'context-closed', context })
      service.contexts.delete(context)
    }
    const reply = ask(abi.GETLEASE, Buffer.alloc(abi.LEASE_SIZE))
    if (typeof reply !== 'object' || !('output' in reply)) throw new Error(String(reply))
    expect(abi.decodeLease(reply.output as Buffer)).toMatchObject({ id: lease, pinCount: 0 })
    expect(ask(abi.RELEASE, abi.encodeU64(lease))).toMatchObject({ result: 0 })
  })
})

test('what is no request of ours is ENOTTY, and a malformed one EINVAL, whatever else is wrong with it', () => {
  const { ask, lease } = leased()
  for (const cmd of [0, 0x4800, 0xc0404802, 0xc0404901, 0xffffffff]) {
    expect(ask(cmd, Buffer.alloc(64))).toBe(-Errno.ENOTTY)
  }
  for (const cmd of [abi.SETLEASE, abi.RELEASE, abi.GETLEASE, abi.SETOWN, abi.PIN, abi.UNPIN, abi.QUERY]) {
    expect(ask(cmd, Buffer.alloc(7))).toBe(-Errno.EINVAL)
  }
  expect(ask(abi.GETLEASE, Buffer.alloc(abi.LEASE_SIZE))).toMatchObject({ result: 0 })
  expect(ask(abi.RELEASE, abi.encodeU64(lease))).toMatchObject({ result: 0 })
})

import { describe, expect, test } from 'vitest'
import type { RequestInfo } from './api.js'
import { goldenBytes } from './golden/rows.js'
import { FuseSession } from './session.js'
import { encodeInitRequest, encodeRequest, ScriptedTransport } from './testing.js'

const GROUPS = `
  10000000  size 16: header, count, one group
  20000000  type FUSE_EXT_GROUPS
  01000000  nr_groups
  e9030000  groups[0] 1001`
const CONTEXTS = `
  28000000  size 40
  01000000  nr_secctx
  05000000  secctx.size
  00000000  secctx.padding
  "security.selinux\\0"  name
  "label"   value
  0000      padding to 8 bytes`

function made(extensions: string) {
  const seen: Pick<RequestInfo, 'supplementaryGroup' | 'securityContexts'>[] = []
  const names: string[] = []
  const transport = new ScriptedTransport()
  const session = new FuseSession({
    transport,
    fileSystem: {
      mkdir(request, nameZ) {
        names.push(nameZ.toString())
        seen.push(request)
        return -1
      },
    },
    wantedFlags: 0n,
    reportBug: () => {},
  })
  const init = encodeInitRequest()
  session.handle(init, init.length)
  transport.takeWritten()
  const request = encodeRequest('MKDIR', { extensions: goldenBytes(extensions) }, Buffer.alloc(8), 'd\0')
  session.handle(request, request.length)
  return { seen: seen[0], names, error: transport.takeWritten().error }
}

describe('extensions', () => {
  test('none: no group, no contexts', () => {
    expect(made('').seen).toMatchObject({ supplementaryGroup: null, securityContexts: [] })
  })

  test('a supplementary group is decoded and is no part of the name', () => {
    const { seen, names } = made(GROUPS)
    expect(seen?.supplementaryGroup).toBe(1001)
    expect(names).toEqual(['d\0'])
  })

  test('security contexts and a group follow each other', () => {
    const { seen } = made(CONTEXTS + GROUPS)
    expect(seen?.supplementaryGroup).toBe(1001)
    const contexts = seen?.securityContexts ?? []
    expect(contexts.map(({ name, value }) => [name.toString(), value.toString()])).toEqual([
      ['security.selinux', 'label'],
    ])
  })

  test('a context header without contexts says nothing', () => {
    expect(made('0800000000000000  size 8, nr_secctx 0').seen?.securityContexts).toEqual([])
  })

  test('an unknown type is skipped', () => {
    expect(made(`0800000063000000  size 8, type 99\n${GROUPS}`).seen?.supplementaryGroup).toBe(1001)
  })

  for (const [what, extensions] of [
    ['a size of 0', '0000000020000000'],
    ['a size beyond the message', '1000000020000000'],
    ['a size that is not a multiple of 8', '0900000020000000\n0000000000000000'],
    ['more groups than fit', '1000000020000000\n0200000000000000'],
    ['more contexts than fit', '0800000001000000'],
    ['a context longer than its header says', '18000000010000000500000000000000\n"abc\\0vwxy"'],
  ] as const) {
    test(`${what} is EIO`, () => {
      expect(made(extensions)).toMatchObject({ seen: undefined, error: -5 })
    })
  }
})

test('extensions that would reach into the header are EIO', () => {
  const transport = new ScriptedTransport()
  const session = new FuseSession({ transport, fileSystem: {}, wantedFlags: 0n, reportBug: () => {} })
  const request = encodeRequest('STATFS')
  request.writeUInt16LE(1, 36)
  session.handle(request, request.length)
  expect(transport.takeWritten().error).toBe(-5)
})

/** Messages that the kernel takes no reply for. */
import type { FuseFileSystem } from './api.js'
import type { RequestBody } from './body.js'
import type { Request } from './request.js'
import { ProtocolError } from './wire/errors.js'
import { type OneWayName, OPCODES } from './wire/opcodes.js'
import { batchForgetIn, forgetIn, forgetOne, interruptIn, notifyRetrieveIn } from './wire/structs.js'

type OneWay = (
  fs: FuseFileSystem,
  request: Request,
  body: RequestBody,
  interrupt: (unique: bigint) => void,
) => void

/** A row of OPCODES with `reply: 'none'` that is missing here does not compile. */
const ONE_WAY: Readonly<Record<OneWayName, OneWay>> = {
  FORGET(fs, request, body) {
    fs.forget?.(request.nodeid, body.decode(forgetIn).nlookup)
  },
  BATCH_FORGET(fs, _request, body) {
    const { count } = body.decode(batchForgetIn)
    if (body.remaining() !== count * forgetOne.size) throw new ProtocolError(`not ${count} forgets`)
    for (let index = 0; index < count; index++) {
      const { nodeid, nlookup } = body.decode(forgetOne)
      fs.forget?.(nodeid, nlookup)
    }
  },
  INTERRUPT(_fs, _request, body, interrupt) {
    interrupt(body.decode(interruptIn).unique)
  },
  NOTIFY_REPLY(fs, request, body) {
    const { offset, size } = body.decode(notifyRetrieveIn)
    fs.retrieved?.(request.unique, request.nodeid, offset, body.data(size))
  },
}

const BY_CODE: (OneWay | undefined)[] = []
for (const [name, oneWay] of Object.entries(ONE_WAY)) BY_CODE[OPCODES[name as OneWayName].code] = oneWay

/** @returns undefined for an opcode that wants a reply. */
export function oneWayOf(opcode: number): OneWay | undefined {
  return BY_CODE[opcode]
}

/** Does no program wait for this? A close, too, returns before its RELEASE has been read. */
export function isUnawaited(opcode: number): boolean {
  return (
    BY_CODE[opcode] !== undefined || opcode === OPCODES.RELEASE.code || opcode === OPCODES.RELEASEDIR.code
  )
}

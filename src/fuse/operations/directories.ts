/** Operations on open directories. */
import type { Ok } from '../api.js'
import * as s from '../wire/structs.js'
import { decodeFsync, openOperation } from './files.js'
import { emptyOperation, NOT_IMPLEMENTED, type Operation } from './operation.js'

/** The answer is OK; the entries are in the writer, which belongs to the request until it is answered. */
function listOperation(call: Operation<Ok>['call']): Operation<Ok> {
  return {
    call,
    encode(reply, _value, request) {
      reply.data = request.directory === null ? null : request.directory.bytes()
    },
    created: (_value, request) => ({ nodeids: [...(request.directory?.nodeids ?? [])], fh: null }),
  }
}

export const DIRECTORY_OPERATIONS = {
  OPENDIR: openOperation((fs, request, body) => {
    const { flags } = body.decode(s.openIn)
    return fs.opendir?.(request, flags) ?? NOT_IMPLEMENTED
  }),
  READDIR: listOperation((fs, request, body, context) => {
    if (fs.readdir === undefined) return NOT_IMPLEMENTED
    const { fh, offset, size } = body.decode(s.readdirIn)
    request.directory = context.takeDirectory(size, false)
    return fs.readdir(request, fh, offset, request.directory)
  }),
  READDIRPLUS: listOperation((fs, request, body, context) => {
    if (fs.readdirplus === undefined) return NOT_IMPLEMENTED
    const { fh, offset, size } = body.decode(s.readdirIn)
    request.directory = context.takeDirectory(size, true)
    return fs.readdirplus(request, fh, offset, request.directory)
  }),
  RELEASEDIR: emptyOperation((fs, request, body) => {
    const { fh } = body.decode(s.releaseIn)
    return fs.releasedir?.(request, fh) ?? NOT_IMPLEMENTED
  }),
  FSYNCDIR: emptyOperation((fs, request, body) => {
    const { fh, dataOnly } = decodeFsync(body)
    return fs.fsyncdir?.(request, fh, dataOnly) ?? NOT_IMPLEMENTED
  }),
}
